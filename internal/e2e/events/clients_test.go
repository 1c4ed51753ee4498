package events

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestClients pushes an image with the programs that people use. Each push has one event for the
// manifest with its tag, after the events of its blobs.
func TestClients(t *testing.T) {
	r := newReceiver(t)
	server := harness.New(t, options(t, webhookArgs(t, r.URL, quickRetries...)))
	for name, push := range map[string]func(t *testing.T, ref string){
		"crane": func(t *testing.T, ref string) {
			harness.NewProgram(t, "crane").Run(t, "push", harness.Layout(t, harness.Image(t, "amd64", t.Name())), ref)
		},
		"skopeo": func(t *testing.T, ref string) {
			harness.NewProgram(t, "skopeo").Run(t, "copy", "--dest-tls-verify=false",
				"oci:"+harness.Layout(t, harness.Image(t, "amd64", t.Name()))+":latest", "docker://"+ref)
		},
		"podman": func(t *testing.T, ref string) {
			p := harness.Podman(t)
			p.Run(t, "build", "--isolation=chroot", "-q", "-t", ref, harness.BuildContext(t, t.Name(), ""))
			p.Run(t, "push", "--tls-verify=false", ref)
		},
		"docker": func(t *testing.T, ref string) {
			d := harness.Docker(t)
			d.Run(t, "build", "-q", "-t", ref, harness.BuildContext(t, t.Name(), ""))
			d.Run(t, "push", ref)
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := "clients/" + name
			push(t, server.Addr+"/"+repo+":v1")
			var events []event
			require.Eventually(t, func() bool {
				events = slices.DeleteFunc(r.received(), func(e event) bool { return e.Repository != repo })
				return slices.ContainsFunc(events, func(e event) bool { return e.Kind == "manifest" })
			}, 10*time.Second, 10*time.Millisecond)
			last := events[len(events)-1]
			require.Equal(t, "push", last.Action)
			require.Equal(t, []string{"v1"}, last.Tags)
			require.Equal(t, server.DigestOf(t, repo, "v1"), last.Target.Digest.String())
			require.Contains(t, strings.ToLower(last.Request.UserAgent), agents[name])
			blobs := map[string]bool{}
			for _, e := range events[:len(events)-1] {
				require.Equal(t, "blob", e.Kind)
				blobs[e.Target.Digest.String()] = true
			}
			require.Len(t, blobs, 3, "a config and two layers")
		})
	}
}

// agents has a part of each program's User-Agent header, in lower case.
var agents = map[string]string{"crane": "crane", "skopeo": "skopeo", "podman": "", "docker": "docker"}
