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

// BuildHub compiles examples/hub as examples/hub/image does, so that both share what go build has cached.
// Options.Program starts it with the flags that it shares with examples/server.
var BuildHub = build("hub", "-trimpath")

// build returns a function that compiles an example, with flags also without cgo.
func build(example string, flags ...string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		cache, err := Cache()
		if err != nil {
			return "", err
		}
		out := filepath.Join(cache, "bin", "registry-"+example)
		cmd := exec.Command("go", append(append([]string{"build", "-o", out}, flags...), "./examples/"+example)...)
		if len(flags) > 0 {
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		cmd.Dir = Root()
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build ./examples/%s: %w\n%s", example, err, b)
		}
		return out, nil
	})
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
