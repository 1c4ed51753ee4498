package access

import (
	"maps"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// client is a program that speaks to a registry.
type client = harness.LoginClient

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

// clients returns each client, new, for the registry at an address.
var clients = map[string]func(t *testing.T, addr string) *client{
	"docker":     harness.DockerLogin,
	"podman":     harness.PodmanLogin,
	"skopeo":     harness.SkopeoLogin,
	"containerd": harness.ContainerdLogin,
	"crane":      harness.CraneLogin,
	"oras":       harness.OrasLogin,
	"regctl":     harness.RegctlLogin,
}
