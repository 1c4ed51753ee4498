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

// Cache is the folder of what is installed or built for the tests; install.sh and install-full.sh use the same.
func Cache() (string, error) {
	if dir := os.Getenv("REGISTRY_CACHE"); dir != "" {
		return dir, nil
	}
	home, err := os.UserHomeDir()
	return filepath.Join(home, ".cache", "registrykit"), err
}

// Tool returns the path of a program that install.sh or install-full.sh installs. A missing one is an error that says what to do.
func Tool(name string) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "bin", name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err = exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed, run internal/e2e/install.sh, or internal/e2e/install-full.sh for make e2e-full: %w", name, err)
	}
	return path, nil
}

// Build compiles examples/server, once in a process, and returns the path of the program.
var Build = build("server")

// BuildCloud compiles examples/cloud.
var BuildCloud = build("cloud")

func build(example string) func() (string, error) {
	return sync.OnceValues(func() (string, error) {
		cache, err := Cache()
		if err != nil {
			return "", err
		}
		out := filepath.Join(cache, "bin", "registry-"+example)
		cmd := exec.Command("go", "build", "-o", out, "./examples/"+example)
		cmd.Dir = Root()
		if b, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build ./examples/%s: %w\n%s", example, err, b)
		}
		return out, nil
	})
}

// Root is the folder of the root module.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..")
}

// peerConfig writes the configuration of the peer beside its log: what an operator who wants speed and deletes would write.
func peerConfig(o Options) (string, error) {
	storage := "filesystem: {rootdirectory: '" + o.Storage + "'}"
	switch {
	case o.Storage == "mem://":
		storage = "inmemory: {}"
	case o.Bucket != nil:
		storage = fmt.Sprintf("s3: {region: us-east-1, regionendpoint: 'http://%s', bucket: %s, accesskey: %s, secretkey: %s, secure: false, forcepathstyle: true}",
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
	path := o.Log + ".yml"
	return path, os.WriteFile(path, []byte(config), 0o644)
}
