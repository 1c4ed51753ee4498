package login

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

const (
	// helperTimeout is the maximum time that a credential helper may take.
	helperTimeout = 30 * time.Second
	// maxHelperOutput is the maximum size of what a credential helper writes, in bytes.
	maxHelperOutput = 64 << 10
	// helperAgain is the time after which a helper is run again.
	helperAgain = 10 * time.Minute
)

// helperName matches the names of helpers. A name cannot be a path.
var helperName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// errNoCredentials is returned when a helper does not know the host.
var errNoCredentials = errors.New("login: the credential helper has no credentials")

// helperSource returns a Source that runs docker-credential-NAME.
func helperSource(name string) Source {
	return func(ctx context.Context, host string) (Credentials, error) {
		if !helperName.MatchString(name) {
			return Credentials{}, fmt.Errorf("login: %q is not the name of a credential helper", name)
		}
		out, err := runHelper(ctx, "docker-credential-"+name, serverOf(host))
		if err != nil {
			return Credentials{}, err
		}
		var answer struct {
			Username string
			Secret   Secret
		}
		if err := json.Unmarshal(out, &answer); err != nil {
			return Credentials{}, fmt.Errorf("login: docker-credential-%s: malformed output", name)
		}
		c := Credentials{Username: answer.Username, Password: answer.Secret, Expires: time.Now().Add(helperAgain)}
		if c.Username == tokenUser {
			c.IdentityToken, c.Password = answer.Secret, ""
		}
		return c, nil
	}
}

// runHelper runs a helper with the command get, and returns its output. Errors do not repeat the
// output, except that the helper does not know the server.
func runHelper(ctx context.Context, program, server string) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	out := &limitedBuffer{left: maxHelperOutput, full: cancel}
	cmd := exec.CommandContext(within, program, "get") //nolint:gosec // the name is checked, and the host configures it
	cmd.Stdin, cmd.Stdout = strings.NewReader(server), out
	cmd.WaitDelay = time.Second // for a child of the helper that keeps its output open
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case out.left < 0:
		return nil, fmt.Errorf("login: %s wrote too much", program)
	case within.Err() != nil:
		return nil, fmt.Errorf("login: %s took too long", program)
	case errors.As(err, &exit) && strings.Contains(out.kept.String(), "credentials not found"):
		return nil, errNoCredentials
	case errors.As(err, &exit):
		return nil, fmt.Errorf("login: %s failed with %s", program, exit.ProcessState)
	case err != nil:
		return nil, fmt.Errorf("login: %w", err)
	}
	return out.kept.Bytes(), nil
}

// limitedBuffer keeps what a program writes, up to a limit. The buffer is not embedded: its ReadFrom
// would have no limit.
type limitedBuffer struct {
	kept bytes.Buffer
	left int    // negative after too much
	full func() // called after too much
}

// Write implements [io.Writer].
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		b.full()
		return 0, errors.New("too much output")
	}
	return b.kept.Write(p)
}
