package login_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/client"
	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

// newRegistry returns a registry with tokens, where ann may do everything.
func newRegistry() http.Handler {
	store, err := storage.New(context.Background(), memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	ann := &users{m: map[string]string{"ann": "secret"}}
	tokens, err := token.New(store, ann, members, &token.Options{Always: true})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.New(store, &registry.Options{Authenticator: tokens, Authorizer: tokens})
	if err != nil {
		log.Fatal(err)
	}
	return tokens.Handler(reg)
}

// A client with a Login answers the challenge of the registry: it gets a token with the password,
// and sends the request again.
func ExampleNew() {
	server := httptest.NewServer(newRegistry())
	defer server.Close()

	l, err := login.New(server.URL, &login.Options{
		Source: login.Static(login.Credentials{Username: "ann", Password: "secret"}),
		// A token service at another host must be listed, such as auth.docker.io for Docker Hub.
		Realms: nil,
	})
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.New(server.URL, &client.Options{
		HTTPClient: server.Client(), Authorize: l.Authorize, Challenge: l.Challenge,
	})
	if err != nil {
		log.Fatal(err)
	}
	desc, err := registry.PushBlob(context.Background(), c, "app", "", strings.NewReader("hello"))
	fmt.Println(desc.Size, err)
	// Output: 5 <nil>
}

// A docker configuration has credentials for several registries.
func ExampleDockerConfig() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "config.json")
	config := `{"auths": {"registry.example": {"auth": "YW5uOnNlY3JldA=="}}}`
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		log.Fatal(err)
	}

	source := login.DockerConfig(path) // "" means the one of this user
	c, err := source(context.Background(), "registry.example")
	fmt.Println(c.Username, c.Password, err)
	c, err = source(context.Background(), "other.example")
	fmt.Printf("%q %v\n", c.Username, err)
	// Output:
	// ann *** <nil>
	// "" <nil>
}

// A file with credentials is read again when they were refused.
func ExampleFile() {
	l, err := login.New("https://registry.example", &login.Options{Source: login.File("/etc/mirror/credentials")})
	fmt.Println(l != nil, err)
	// Output: true <nil>
}

// A Kubernetes secret that is mounted as a folder has one file for each key.
func ExampleFiles() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	username, password := filepath.Join(folder, "username"), filepath.Join(folder, "password")
	for path, content := range map[string]string{username: "ann\n", password: "secret\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			log.Fatal(err)
		}
	}

	source := login.Files(username, password)
	c, err := source(context.Background(), "registry.example")
	fmt.Println(c.Username, c.Password, c.Password.Value(), err)
	// Output: ann *** secret <nil>
}

// Cached limits the calls of an expensive Source. This one issues credentials for ten minutes.
func ExampleCached() {
	calls := 0
	issue := func(context.Context, string) (login.Credentials, error) {
		calls++
		return login.Credentials{
			Username: "robot", Password: "short-lived", Expires: time.Now().Add(10 * time.Minute),
		}, nil
	}
	source := login.Cached(issue, time.Minute)
	for range 3 {
		if _, err := source(context.Background(), "registry.example"); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(calls)
	// Output: 1
}
