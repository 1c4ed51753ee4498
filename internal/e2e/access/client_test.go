package access

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// client is a program that speaks to a registry. Each method returns an error and the output of the
// program.
type client struct {
	// login is nil if the program has no login, and credentials go with each command.
	login  func(t *testing.T, user, password string) (string, error)
	logout func(t *testing.T) (string, error)
	pull   func(t *testing.T, repo string) (string, error)
	// push pushes an image of its own.
	push func(t *testing.T, repo string) (string, error)
	// mount pushes the image of the repository from to another repository. It is nil if the program
	// does not mount.
	mount func(t *testing.T, from, to string) (string, error)
	// late means that the program does not check a login before its first use.
	late bool
	// seed means that the program can pull only images that it has pushed itself.
	seed bool
}

// each runs a test for each client.
func each(t *testing.T, test func(t *testing.T, connect func(t *testing.T, addr string) *client)) {
	all := maps.Clone(clients)
	maps.Copy(all, slow)
	for name, open := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// try runs a program for a client.
func try(t *testing.T, p *harness.Program, args ...string) (string, error) {
	t.Helper()
	stdout, stderr, err := p.Try(t, args...)
	return stdout + stderr, err
}

// clients returns each client, new, for the registry at an address.
var clients = map[string]func(t *testing.T, addr string) *client{
	"docker":     docker,
	"podman":     podman,
	"skopeo":     skopeo,
	"containerd": containerd,
	"crane":      crane,
	"oras":       oras,
	"regctl":     regctl,
}

func docker(t *testing.T, addr string) *client {
	d := harness.Docker(t)
	d.Run(t, "build", "-q", "-t", "local", harness.BuildContext(t, t.Name(), ""))
	push := func(t *testing.T, repo string) (string, error) {
		d.Run(t, "tag", "local", addr+"/"+repo)
		return try(t, d, "push", addr+"/"+repo)
	}
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, d, "login", "-u", user, "-p", password, addr)
		},
		logout: func(t *testing.T) (string, error) { return try(t, d, "logout", addr) },
		pull:   func(t *testing.T, repo string) (string, error) { return try(t, d, "pull", addr+"/"+repo) },
		push:   push,
		mount:  func(t *testing.T, _, to string) (string, error) { return push(t, to) },
	}
}

func podman(t *testing.T, addr string) *client {
	p := harness.Podman(t)
	p.Run(t, "build", "-q", "--isolation", "chroot", "-t", "local", harness.BuildContext(t, t.Name(), ""))
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, p, "login", "--tls-verify=false", "-u", user, "-p", password, addr)
		},
		logout: func(t *testing.T) (string, error) { return try(t, p, "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, p, "pull", "--tls-verify=false", addr+"/"+repo)
		},
		push: func(t *testing.T, repo string) (string, error) {
			return try(t, p, "push", "--tls-verify=false", "local", addr+"/"+repo)
		},
	}
}

func skopeo(t *testing.T, addr string) *client {
	s := harness.NewProgram(t, "skopeo")
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, s, "login", "--tls-verify=false", "-u", user, "-p", password, addr)
		},
		logout: func(t *testing.T) (string, error) { return try(t, s, "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, s, "copy", "--src-tls-verify=false", "docker://"+addr+"/"+repo, "dir:"+t.TempDir())
		},
		push: func(t *testing.T, repo string) (string, error) {
			return try(t, s, "copy", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+addr+"/"+repo)
		},
	}
}

// containerd has no login: credentials go with each command.
func containerd(t *testing.T, addr string) *client {
	c := harness.Containerd(t)
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	tar := filepath.Join(t.TempDir(), "image.tar")
	harness.NewProgram(t, "tar").Run(t, "-C", layout, "-cf", tar, ".")
	c.Run(t, "images", "import", "--snapshotter", "native", "--index-name", "local", tar)
	var credentials []string
	run := func(t *testing.T, action, repo string, more ...string) (string, error) {
		args := append([]string{"images", action, "--plain-http"}, credentials...)
		if action == "pull" {
			args = append(args, "--snapshotter", "native")
		}
		return try(t, c, append(append(args, addr+"/"+repo+":latest"), more...)...)
	}
	return &client{
		login: func(_ *testing.T, user, password string) (string, error) {
			credentials = []string{"--user", user + ":" + password}
			return "", nil
		},
		logout: func(*testing.T) (string, error) {
			credentials = nil
			return "", nil
		},
		late: true,
		pull: func(t *testing.T, repo string) (string, error) { return run(t, "pull", repo) },
		push: func(t *testing.T, repo string) (string, error) { return run(t, "push", repo, "local") },
	}
}

func crane(t *testing.T, addr string) *client {
	c := harness.NewProgram(t, "crane")
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, c, "auth", "login", addr, "-u", user, "-p", password)
		},
		late:   true, // it only writes them down
		logout: func(t *testing.T) (string, error) { return try(t, c, "auth", "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, c, "pull", addr+"/"+repo, filepath.Join(t.TempDir(), "image.tar"))
		},
		push: func(t *testing.T, repo string) (string, error) { return try(t, c, "push", layout, addr+"/"+repo) },
		mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, c, "copy", addr+"/"+from, addr+"/"+to)
		},
	}
}

func oras(t *testing.T, addr string) *client {
	o := harness.NewProgram(t, "oras")
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, o, "login", "--plain-http", "-u", user, "-p", password, addr)
		},
		logout: func(t *testing.T) (string, error) { return try(t, o, "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, o, "cp", "--from-plain-http", addr+"/"+repo+":latest", "--to-oci-layout", t.TempDir()+":back")
		},
		push: func(t *testing.T, repo string) (string, error) {
			return try(t, o, "cp", "--from-oci-layout", layout+":latest", "--to-plain-http", addr+"/"+repo+":latest")
		},
		mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, o, "cp", "--from-plain-http", addr+"/"+from+":latest", "--to-plain-http", addr+"/"+to+":latest")
		},
	}
}

func regctl(t *testing.T, addr string) *client {
	r := harness.NewProgram(t, "regctl")
	r.Run(t, "registry", "set", "--skip-check", "--tls", "disabled", addr)
	layout := harness.Layout(t, harness.Image(t, "amd64", t.Name()))
	return &client{
		login: func(t *testing.T, user, password string) (string, error) {
			return try(t, r, "registry", "login", addr, "-u", user, "-p", password)
		},
		logout: func(t *testing.T) (string, error) { return try(t, r, "registry", "logout", addr) },
		pull: func(t *testing.T, repo string) (string, error) {
			return try(t, r, "image", "copy", addr+"/"+repo+":latest", "ocidir://"+t.TempDir()+":back")
		},
		push: func(t *testing.T, repo string) (string, error) {
			return try(t, r, "image", "copy", "ocidir://"+layout+":latest", addr+"/"+repo+":latest")
		},
		mount: func(t *testing.T, from, to string) (string, error) {
			return try(t, r, "image", "copy", addr+"/"+from+":latest", addr+"/"+to+":latest")
		},
	}
}
