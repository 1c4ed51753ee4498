package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/strictjson"
)

const (
	// rereadAfter is the time after which a Login reads a file again.
	rereadAfter = time.Minute
	// maxFile is the maximum size of a file with credentials, in bytes.
	maxFile = 1 << 20
)

// File returns a Source that reads a file. Its content is either "username:password", with or
// without a line end, or a JSON object with the keys username, password, identitytoken and
// registrytoken, all of them optional. An empty file is anonymous.
//
// A Login reads the file again after a minute, and at once when the credentials were refused.
//
// Errors of the Source: those of reading the file; one for a file with other content or of more than
// 1 MiB.
func File(path string) Source {
	return func(context.Context, string) (Credentials, error) {
		content, err := readFile(path)
		if err != nil {
			return Credentials{}, err
		}
		c, err := parseFile(content)
		if err != nil {
			return Credentials{}, fmt.Errorf("login: %s: %w", path, err)
		}
		c.Expires = time.Now().Add(rereadAfter)
		return c, nil
	}
}

// Files returns a Source that reads the username and the password from a file each, as a mounted
// Kubernetes secret has them. A line end after them does not count. A Login reads the files again
// as it does with [File].
//
// Errors of the Source: those of reading the files; one for a file of more than 1 MiB.
func Files(usernamePath, passwordPath string) Source {
	return func(context.Context, string) (Credentials, error) {
		username, err := readFile(usernamePath)
		if err != nil {
			return Credentials{}, err
		}
		password, err := readFile(passwordPath)
		if err != nil {
			return Credentials{}, err
		}
		return Credentials{
			Username: line(username), Password: Secret(line(password)), Expires: time.Now().Add(rereadAfter),
		}, nil
	}
}

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("login: %w", err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("login: %w", err)
	case len(content) > maxFile:
		return nil, fmt.Errorf("login: %s is too large", path)
	}
	return content, nil
}

// line returns content without one line end.
func line(content []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
}

// parseFile reads the content of a [File]. Its errors do not repeat the content.
func parseFile(content []byte) (c Credentials, err error) {
	text := line(content)
	switch {
	case strings.TrimSpace(text) == "":
		return c, nil
	case strings.HasPrefix(strings.TrimSpace(text), "{"):
		return parseJSON(content)
	}
	username, password, ok := strings.Cut(text, ":")
	if !ok || strings.ContainsAny(text, "\r\n") {
		return c, errors.New("the content is neither username:password nor JSON")
	}
	return Credentials{Username: username, Password: Secret(password)}, nil
}

func parseJSON(content []byte) (c Credentials, err error) {
	r, err := strictjson.NewReader(content)
	if err == nil {
		_, err = r.Object([]string{"username", "password", "identitytoken", "registrytoken"}, func(key string) error {
			value, err := r.Text()
			switch key {
			case "username":
				c.Username = value
			case "password":
				c.Password = Secret(value)
			case "identitytoken":
				c.IdentityToken = Secret(value)
			case "registrytoken":
				c.RegistryToken = Secret(value)
			}
			return err
		})
	}
	if err != nil {
		return Credentials{}, errors.New("malformed JSON")
	}
	return c, nil
}
