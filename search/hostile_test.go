package search_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage/memory"
)

// TestHostileContent: what clients can write is bounded, and is found as text.
func TestHostileContent(t *testing.T) {
	s := newStore(t, memory.New(nil))
	labels := map[string]string{"a\nb": "x\ny=z", "\u212a": "\u0130 \xff", "html": "<script>",
		"big": strings.Repeat("W", 1<<16)}
	layers := make([]string, 300)
	push(t, s, "r", one{arch: strings.Repeat("a", 1<<12), labels: labels, layers: layers}, "v1")
	blob := digest.FromString("{}")
	_, err := registry.PushBlob(t.Context(), s, "r", blob, strings.NewReader("{}"))
	require.NoError(t, err)
	x := newContentIndex(t, s, search.Options{})
	for _, query := range []string{"<script>", "label:html", "z", "*", "***", "%", "label:*", "\u212a", "sha256:",
		"digest:*"} {
		found, err := x.Search(t.Context(), query, everything, nil)
		require.NoError(t, err, query)
		for _, r := range found.Results {
			for _, m := range r.Matched {
				require.LessOrEqual(t, len(m.Text), 256)
				require.NotContains(t, m.Text, "\n")
			}
			for _, p := range r.Platforms {
				require.LessOrEqual(t, len(p), 256)
			}
		}
	}
	require.NotEmpty(t, kinds(t, x, "<script>", everything))
	require.Less(t, x.State().Bytes, 16<<10)
}

// BenchmarkContent searches 10,000 repositories with 100,000 tags and 30,000 images.
func BenchmarkContent(b *testing.B) {
	s := newStore(b, memory.New(nil))
	for i := range 10_000 {
		repo := fmt.Sprintf("team%d/app-%d", i%100, i)
		for j, arch := range []string{"amd64", "arm64", "s390x"} {
			var tags []string
			for k := range 4 - j {
				tags = append(tags, fmt.Sprintf("v%d.%d.%d", j, k, i))
			}
			push(b, s, repo, one{arch: arch, labels: map[string]string{"maintainer": "team", "title": repo,
				"revision": digest.FromString(repo).Encoded()[:40]}, layers: []string{"base", arch, repo}}, tags...)
		}
	}
	x := newContentIndex(b, s, search.Options{})
	b.Log(x.State())
	for _, query := range []string{"app", "v1", "arm64", "sha256:1234", "title=team42", "team42 v*", "none at all"} {
		b.Run(strings.ReplaceAll(query, " ", "+"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := x.Search(b.Context(), query, everything, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("sharing", func(b *testing.B) {
		layers := []digest.Digest{digest.FromString("base"), digest.FromString("arm64")}
		for b.Loop() {
			if _, err := x.Sharing(b.Context(), layers, everything, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("namespaces", func(b *testing.B) {
		for b.Loop() {
			if _, err := x.Namespaces(b.Context(), "", everything, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
