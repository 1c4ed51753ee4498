package site_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/disk"
)

// TestDashboard: each query of the Grafana dashboard names metrics and labels that a hub has.
func TestDashboard(t *testing.T) {
	content, err := os.ReadFile("../dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	require.NoError(t, json.Unmarshal(content, &dashboard))

	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	h := start(t, d, "")
	h.setUp()
	require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), h.backend("bob"), "bob/app", "v1"))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, text := h.do("ann", "GET", "/api/v1/jobs", nil)
		assert.NotContains(c, text, `"running":true`)
	}, 20*time.Second, 100*time.Millisecond, "the first run of each job has ended")
	published := labels(h)
	names, label := regexp.MustCompile(`\b(?:registry|process|go)_[a-z0-9_]+`), regexp.MustCompile(`\{\{([a-z]+)\}\}`)
	queries := 0
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			queries++
			found := names.FindAllString(target.Expr, -1)
			require.NotEmpty(t, found, target.Expr)
			for _, name := range found {
				require.Contains(t, published, name, "%s: %s", p.Title, target.Expr)
				for _, m := range label.FindAllStringSubmatch(target.LegendFormat, -1) {
					require.True(t, m[1] == "instance" || strings.Contains(published[name], m[1]+"="),
						"%s: %s has no label %s", p.Title, name, m[1])
				}
			}
		}
	}
	require.Greater(t, queries, 25)
}

// labels returns the labels of the metrics of a hub, by name.
func labels(h *hub) map[string]string {
	w := httptest.NewRecorder()
	h.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	all := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if name := regexp.MustCompile(`^([a-z0-9_]+)(\{.*\})? `).FindStringSubmatch(line); name != nil {
			all[name[1]] += name[2]
		}
	}
	return all
}
