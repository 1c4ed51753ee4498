package mirror

import (
	"io"
	"log"
	"strings"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// silent returns a logger that logs nothing.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// dockerConfig returns the configuration folder of a client.
func dockerConfig(d *harness.Program) string {
	for _, v := range d.Env {
		if dir, ok := strings.CutPrefix(v, "DOCKER_CONFIG="); ok {
			return dir
		}
	}
	return ""
}
