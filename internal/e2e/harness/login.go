package harness

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// LoginClient is a program that logs in to a registry. Each method returns an error and the output of the
// program.
type LoginClient struct {
	Login  func(t *testing.T, user, password string) (string, error)
	Logout func(t *testing.T) (string, error)
	Pull   func(t *testing.T, repo string) (string, error)
	// Push pushes an image of its own.
	Push func(t *testing.T, repo string) (string, error)
	// Mount pushes the image of the repository from to another repository. It is nil if the program
	// does not mount.
	Mount func(t *testing.T, from, to string) (string, error)
	// Late means that the program does not check a login before its first use.
	Late bool
	// Seed means that the program can pull only images that it has pushed itself.
	Seed bool
}

// try runs a program for a client.
func try(t *testing.T, p *Program, args ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := p.Try(t, args...)
	return stdout + stderr, err
}

// DockerLogin returns docker for the registry at an address.
func DockerLogin(t *testing.T, addr string) *LoginClient {
	d := Docker(t)
	d.Run(t, "build", "-q", "-t", "local", BuildContext(t, t.Name(), ""))
	push := func(t *testing.T, repo string) (string, error) {
		d.Run(t, "tag", "local", addr+"/"+repo)
		return try(t, d, "push", addr+"/"+repo)
	}
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, d, "login", "-u", user, "-p", password, addr)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, d, "logout", addr) },
		Pull:   func(t *testing.T, repo string) (string, error) { return try(t, d, "pull", addr+"/"+repo) },
		Push:   push,
		Mount:  func(t *testing.T, _, to string) (string, error) { return push(t, to) },
	}
}

// PodmanLogin returns podman for the registry at an address.
func PodmanLogin(t *testing.T, addr string) *LoginClient {
	p := Podman(t)
	p.Run(t, "build", "-q", "--isolation", "chroot", "-t", "local", BuildContext(t, t.Name(), ""))
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, p, "login", "--tls-verify=false", "-u", user, "-p", password, addr)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, p, "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, p, "pull", "--tls-verify=false", addr+"/"+repo)
		},
		Push: func(t *testing.T, repo string) (string, error) {
			return try(t, p, "push", "--tls-verify=false", "local", addr+"/"+repo)
		},
	}
}

// SkopeoLogin returns skopeo for the registry at an address.
func SkopeoLogin(t *testing.T, addr string) *LoginClient {
	s := NewProgram(t, "skopeo")
	layout := Layout(t, Image(t, "amd64", t.Name()))
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, s, "login", "--tls-verify=false", "-u", user, "-p", password, addr)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, s, "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, s, "copy", "--src-tls-verify=false", "docker://"+addr+"/"+repo, "dir:"+t.TempDir())
		},
		Push: func(t *testing.T, repo string) (string, error) {
			return try(t, s, "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+addr+"/"+repo)
		},
	}
}

// ContainerdLogin returns containerd for the registry at an address. It has no login: credentials go with each
// command.
func ContainerdLogin(t *testing.T, addr string) *LoginClient {
	c := Containerd(t)
	layout := Layout(t, Image(t, "amd64", t.Name()))
	tar := filepath.Join(t.TempDir(), "image.tar")
	NewProgram(t, "tar").Run(t, "-C", layout, "-cf", tar, ".")
	c.Run(t, "images", "import", "--snapshotter", "native", "--index-name", "local", tar)
	var credentials []string
	run := func(t *testing.T, action, repo string, more ...string) (string, error) {
		args := append([]string{"images", action, "--plain-http"}, credentials...)
		if action == "pull" {
			args = append(args, "--snapshotter", "native")
		}
		return try(t, c, append(append(args, addr+"/"+repo+":latest"), more...)...)
	}
	return &LoginClient{
		Login: func(_ *testing.T, user, password string) (string, error) {
			credentials = []string{"--user", user + ":" + password}
			return "", nil
		},
		Logout: func(*testing.T) (string, error) {
			credentials = nil
			return "", nil
		},
		Late: true,
		Pull: func(t *testing.T, repo string) (string, error) { return run(t, "pull", repo) },
		Push: func(t *testing.T, repo string) (string, error) { return run(t, "push", repo, "local") },
	}
}

// CraneLogin returns crane for the registry at an address.
func CraneLogin(t *testing.T, addr string) *LoginClient {
	c := NewProgram(t, "crane")
	layout := Layout(t, Image(t, "amd64", t.Name()))
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, c, "auth", "login", addr, "-u", user, "-p", password)
		},
		Late:   true, // it only writes them down
		Logout: func(t *testing.T) (string, error) { return try(t, c, "auth", "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, c, "pull", addr+"/"+repo, filepath.Join(t.TempDir(), "image.tar"))
		},
		Push: func(t *testing.T, repo string) (string, error) { return try(t, c, "push", layout, addr+"/"+repo) },
		Mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, c, "copy", addr+"/"+from, addr+"/"+to)
		},
	}
}

// OrasLogin returns oras for the registry at an address.
func OrasLogin(t *testing.T, addr string) *LoginClient {
	o := NewProgram(t, "oras")
	layout := Layout(t, Image(t, "amd64", t.Name()))
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, o, "login", "--plain-http", "-u", user, "-p", password, addr)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, o, "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, o, "cp", "--from-plain-http", addr+"/"+repo+":latest", "--to-oci-layout", t.TempDir()+":back")
		},
		Push: func(t *testing.T, repo string) (string, error) {
			return try(t, o, "cp", "--from-oci-layout", layout+":latest", "--to-plain-http", addr+"/"+repo+":latest")
		},
		Mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, o, "cp", "--from-plain-http", addr+"/"+from+":latest", "--to-plain-http", addr+"/"+to+":latest")
		},
	}
}

// RegctlLogin returns regctl for the registry at an address.
func RegctlLogin(t *testing.T, addr string) *LoginClient {
	r := NewProgram(t, "regctl")
	r.Run(t, "registry", "set", "--skip-check", "--tls", "disabled", addr)
	layout := Layout(t, Image(t, "amd64", t.Name()))
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, r, "registry", "login", addr, "-u", user, "-p", password)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, r, "registry", "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, r, "image", "copy", addr+"/"+repo+":latest", "ocidir://"+t.TempDir()+":back")
		},
		Push: func(t *testing.T, repo string) (string, error) {
			return try(t, r, "image", "copy", "ocidir://"+layout+":latest", addr+"/"+repo+":latest")
		},
		Mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, r, "image", "copy", addr+"/"+from+":latest", addr+"/"+to+":latest")
		},
	}
}

// HelmLogin returns helm for the registry at an address. It pushes charts, whose name is the last component of the
// repository.
func HelmLogin(t *testing.T, addr string) *LoginClient {
	h := NewProgram(t, "helm")
	chart := func(t *testing.T, name string) string {
		dir := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.MkdirAll(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Chart.yaml"),
			[]byte("apiVersion: v2\nname: "+name+"\nversion: 0.1.0\n"), 0o644))
		out := t.TempDir()
		h.Run(t, "package", "--destination", out, dir)
		return filepath.Join(out, name+"-0.1.0.tgz")
	}
	return &LoginClient{
		Login: func(t *testing.T, user, password string) (string, error) {
			return try(t, h, "registry", "login", "--plain-http", "-u", user, "-p", password, addr)
		},
		Logout: func(t *testing.T) (string, error) { return try(t, h, "registry", "logout", addr) },
		Pull: func(t *testing.T, repo string) (string, error) {
			return try(t, h, "pull", "--plain-http", "--destination", t.TempDir(), "oci://"+addr+"/"+repo, "--version", "0.1.0")
		},
		Push: func(t *testing.T, repo string) (string, error) {
			return try(t, h, "push", "--plain-http", chart(t, filepath.Base(repo)), "oci://"+addr+"/"+filepath.Dir(repo))
		},
		Seed: true,
	}
}
