package login

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// hubKey is the key of Docker Hub in a docker configuration.
const hubKey = "https://index.docker.io/v1/"

// helperPeriod is how long the credentials of a helper are kept, whatever was refused.
const helperPeriod = time.Second

// DockerConfig returns a Source that reads a configuration of docker, podman or a similar client,
// and asks its credential helpers. If path is "", it is config.json in the folder that the
// environment variable DOCKER_CONFIG names, or else in ~/.docker.
//
// The Source looks for a host in credHelpers first, then asks the helper credsStore, and then looks
// in auths. Keys may be a host or a URL. An entry for a path below a host is not used. Docker Hub,
// under any of its host names, has the key https://index.docker.io/v1/. A host that is not found is
// anonymous.
//
// A helper is the program docker-credential-NAME in PATH. It may take 30 seconds, and write 64 KiB.
// Its credentials are kept for a second at least. A Login reads the configuration again as it does
// with [File], and runs a helper again after ten minutes.
//
// Errors of the Source: those of reading the file; one for malformed content or a failed helper.
func DockerConfig(path string) Source {
	var mu sync.Mutex
	helpers := map[string]Source{}
	helper := func(name string) Source {
		mu.Lock()
		defer mu.Unlock()
		if helpers[name] == nil {
			helpers[name] = Cached(helperSource(name), helperPeriod)
		}
		return helpers[name]
	}
	return func(ctx context.Context, host string) (Credentials, error) {
		config, err := readDockerConfig(path)
		if err != nil {
			return Credentials{}, err
		}
		name := config.helper(host)
		if name == "" {
			return config.entry(host)
		}
		c, err := helper(name)(ctx, host)
		if errors.Is(err, errNoCredentials) {
			return config.entry(host)
		}
		return c, err
	}
}

// dockerConfig is the part of a docker configuration that is about credentials.
type dockerConfig struct {
	path        string
	Auths       map[string]dockerAuth `json:"auths"`
	CredsStore  string                `json:"credsStore"`
	CredHelpers map[string]string     `json:"credHelpers"`
}

type dockerAuth struct {
	Auth          Secret `json:"auth"` // base64 of username:password
	Username      string `json:"username"`
	Password      Secret `json:"password"`
	IdentityToken Secret `json:"identitytoken"`
	RegistryToken Secret `json:"registrytoken"`
}

func readDockerConfig(path string) (*dockerConfig, error) {
	if path == "" {
		folder := os.Getenv("DOCKER_CONFIG")
		if folder == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return nil, fmt.Errorf("login: %w", err)
			}
			folder = filepath.Join(home, ".docker")
		}
		path = filepath.Join(folder, "config.json")
	}
	content, err := readFile(path)
	if err != nil {
		return nil, err
	}
	c := &dockerConfig{path: path}
	if err := json.Unmarshal(content, c); err != nil {
		return nil, fmt.Errorf("login: %s: malformed JSON", path) // the error may quote a secret
	}
	return c, nil
}

// helper returns the name of the helper for a host, or "".
func (c *dockerConfig) helper(host string) string {
	if name, ok := lookup(c.CredHelpers, host); ok {
		return name
	}
	return c.CredsStore
}

// entry returns the credentials for a host in auths.
func (c *dockerConfig) entry(host string) (Credentials, error) {
	a, ok := lookup(c.Auths, host)
	if !ok {
		return Credentials{Expires: time.Now().Add(rereadAfter)}, nil
	}
	creds := Credentials{
		Username: a.Username, Password: a.Password, IdentityToken: a.IdentityToken, RegistryToken: a.RegistryToken,
		Expires: time.Now().Add(rereadAfter),
	}
	if a.Auth != "" {
		decoded, err := base64.StdEncoding.DecodeString(a.Auth.Value())
		username, password, ok := strings.Cut(string(decoded), ":")
		if err != nil || !ok {
			return Credentials{}, fmt.Errorf("login: %s: malformed auth of %q", c.path, host)
		}
		creds.Username, creds.Password = username, Secret(strings.TrimRight(password, "\x00"))
	}
	return creds, nil
}

// serverOf returns the key of a host in a docker configuration, in normalized form.
func serverOf(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ":443")
	switch host {
	case "docker.io", "index.docker.io", "registry-1.docker.io":
		return hubKey
	}
	return host
}

// lookup returns the value for a host: that under its own key, or else under a URL of the host.
func lookup[V any](m map[string]V, host string) (v V, ok bool) {
	server := serverOf(host)
	if v, ok = m[server]; ok {
		return v, true
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if plain := plainHost(key); plain != "" && serverOf(plain) == server {
			return m[key], true
		}
	}
	return v, false
}

// plainHost returns the host of a key, or "" if the key is for a path below a host.
func plainHost(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ := strings.Cut(key, "/")
	switch strings.Trim(path, "/") {
	case "", "v1", "v2":
		return host
	}
	return ""
}
