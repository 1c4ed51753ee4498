package full

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// chart makes a chart and returns the path of its package.
func chart(t *testing.T, h *harness.Program, name, version, more string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	write(t, dir, "Chart.yaml", "apiVersion: v2\nname: "+name+"\nversion: "+version+"\ndescription: made by a test\n"+more)
	write(t, dir, "values.yaml", "greeting: hello\n")
	write(t, dir, "templates/config.yaml", "apiVersion: v1\nkind: ConfigMap\n"+
		"metadata: {name: {{ .Release.Name }}}\ndata: {greeting: {{ .Values.greeting }}}\n")
	if more != "" {
		h.Run(t, "dependency", "update", "--plain-http", dir)
	}
	out := t.TempDir()
	h.Run(t, "package", "--destination", out, dir)
	return filepath.Join(out, name+"-"+version+".tgz")
}

func TestHelm(t *testing.T) {
	h, charts := harness.NewProgram(t, "helm"), "oci://"+registry.Addr+"/charts"
	packed := chart(t, h, "hello", "0.1.0", "")
	h.Run(t, "push", "--plain-http", packed, charts)
	h.Run(t, "push", "--plain-http", chart(t, h, "hello", "0.2.0+build.1", ""), charts)

	require.Contains(t, h.Run(t, "show", "chart", "--plain-http", charts+"/hello", "--version", "0.1.0"), "version: 0.1.0")
	require.Contains(t, h.Run(t, "show", "values", "--plain-http", charts+"/hello", "--version", "0.1.0"),
		"greeting: hello")
	require.Contains(t, h.Run(t, "template", "released", "--plain-http", charts+"/hello"), "name: released")
	// Without a version helm lists the tags and takes the greatest; "+" is no character of a tag,
	// so helm writes "_".
	require.Contains(t, h.Run(t, "show", "chart", "--plain-http", charts+"/hello"), "version: 0.2.0+build.1")
	require.Equal(t, []string{"0.1.0", "0.2.0_build.1"}, registry.TagsOf(t, "charts/hello"))

	dir := t.TempDir()
	h.Run(t, "pull", "--plain-http", "--destination", dir, charts+"/hello", "--version", "0.1.0")
	want, err := os.ReadFile(packed)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dir, "hello-0.1.0.tgz"))
	require.NoError(t, err)
	require.Equal(t, want, got)
	h.Run(t, "pull", "--plain-http", "--destination", t.TempDir(),
		charts+"/hello@"+registry.DigestOf(t, "charts/hello", "0.1.0"))

	_, stderr, err := h.Try(t, "pull", "--plain-http", "--destination", dir, charts+"/hello", "--version", "9.9.9")
	require.Error(t, err)
	require.Contains(t, stderr, "not found")
}

// TestHelmDependency packs a chart with one that it fetches from the registry.
func TestHelmDependency(t *testing.T) {
	h, charts := harness.NewProgram(t, "helm"), "oci://"+registry.Addr+"/dependent"
	h.Run(t, "push", "--plain-http", chart(t, h, "part", "1.2.3", ""), charts)
	h.Run(t, "push", "--plain-http", chart(t, h, "whole", "1.0.0",
		"dependencies: [{name: part, version: ^1.0.0, repository: \""+charts+"\"}]\n"), charts)
	require.Contains(t, h.Run(t, "template", "released", "--plain-http", charts+"/whole"),
		"whole/charts/part/templates/config.yaml")
}
