package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// Build compiles examples/server, once in a process, and returns the path of the program. go build
// does not rewrite a program that is up to date, so tests in several processes can share it.
var Build = build("server")

// BuildCloud compiles examples/cloud in the same way.
var BuildCloud = build("cloud")

// BuildMirror compiles examples/mirror in the same way.
var BuildMirror = build("mirror")

// BuildCopy compiles examples/copy in the same way.
var BuildCopy = build("copy")

// BuildMaintenance compiles examples/maintenance in the same way.
var BuildMaintenance = build("maintenance")

// BuildHub compiles examples/hub as examples/hub/image does, so that both share what go build has
// cached. Options.Program starts it with the flags that it shares with examples/server.
var BuildHub = build("hub", "-trimpath")

// build returns a function that compiles an example into the folder of Cache.
func build(example string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		cache, err := Cache()
		if err != nil {
			return "", err
		}
		out := filepath.Join(cache, "bin", "registry-"+example)
		return out, BuildTo(out, "./examples/"+example, flags...)
	})
}

// BuildTo compiles a package of the root module, such as ./examples/server, to the file out. With
// flags, it compiles without cgo. A measurement builds to a folder of its own: a program in the
// folder of Cache can be replaced by the build of another checkout.
func BuildTo(out, pkg string, flags ...string) error {
	return goBuild(Root(), out, pkg, flags...)
}

// BuildHere compiles a package of this module, such as ./compare/limit, to the file out.
func BuildHere(out, pkg string) error {
	return goBuild(filepath.Join(Root(), "internal", "e2e"), out, pkg)
}

func goBuild(dir, out, pkg string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), pkg)...)
	if len(flags) > 0 {
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, b)
	}
	return nil
}

// Root returns the folder of the root module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// peerConfig writes the configuration of the peer beside its log and returns its path. The
// configuration is tuned for speed and allows deletes.
func peerConfig(o Options) (string, error) {
	storage := "filesystem: {rootdirectory: '" + o.Storage + "'}"
	switch {
	case o.Storage == "mem://":
		storage = "inmemory: {}"
	case o.Bucket != nil:
		storage = fmt.Sprintf("s3: {region: us-east-1, regionendpoint: 'http://%s', bucket: %s, accesskey: %s, "+
			"secretkey: %s, secure: false, forcepathstyle: true}",
			o.BucketAddr, o.Bucket.Bucket, o.Bucket.User, o.Bucket.Secret)
	}
	config := strings.Join([]string{
		"version: 0.1",
		"log: {level: error, accesslog: {disabled: true}}",
		"storage:",
		"  " + storage,
		"  delete: {enabled: true}",
		"  cache: {blobdescriptor: inmemory}",
		"  redirect: {disable: true}",
		"  maintenance: {uploadpurging: {enabled: false}}",
		"http: {addr: '" + o.Addr + "'}",
	}, "\n")
	if o.Upstream != "" {
		config += "\nproxy: {remoteurl: '" + o.Upstream + "'}"
	}
	path := o.Log + ".yml"
	return path, os.WriteFile(path, []byte(config), 0o644)
}
