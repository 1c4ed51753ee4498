package registrytest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// requireNothingToMount requires that a mount fails so that the caller uploads the blob instead,
// and that it changes nothing.
func requireNothingToMount(t *testing.T, b registry.Backend, repo string, content []byte, opts *registry.MountOptions) {
	t.Helper()
	d := descriptor("", content).Digest
	_, err := b.MountBlob(t.Context(), repo, d, opts)
	if !errors.Is(err, registry.ErrUnsupported) {
		requireError(t, err, registry.ErrBlobUnknown)
	}
	requireNoBlob(t, b, repo, d)
}

func (s *suite) mountFrom(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{0, 100, 100_000} {
		content := RandomBytes(uint64(size), size)
		desc := s.pushBlob(t, b, "from", content)
		opts := &registry.MountOptions{From: "from"}
		if s.NoMount {
			requireNothingToMount(t, b, "to", content, opts)
			continue
		}
		for range 2 { // the second time, the blob already exists
			got, err := b.MountBlob(t.Context(), "to", desc.Digest, opts)
			require.NoError(t, err)
			require.Equal(t, desc, got)
			requireBlob(t, b, "to", content)
		}
		requireBlob(t, b, "from", content)
		requireNoBlob(t, b, "elsewhere", desc.Digest)
		got, err := b.MountBlob(t.Context(), "from", desc.Digest, opts)
		require.NoError(t, err, "from itself")
		require.Equal(t, desc, got)
	}
}

func (s *suite) mountSearch(t *testing.T) {
	b, _ := s.new(t)
	for _, size := range []int{100, 100_000} {
		content := RandomBytes(uint64(size), size)
		desc := s.pushBlob(t, b, "from", content)
		if s.NoMount || s.NoMountSearch {
			requireNothingToMount(t, b, "to", content, &registry.MountOptions{Allow: func(string) error { return nil }})
			continue
		}
		got, err := b.MountBlob(t.Context(), "to", desc.Digest, nil)
		require.NoError(t, err)
		require.Equal(t, desc, got)
		requireBlob(t, b, "to", content)
		requireNothingToMount(t, b, "to", append(content, 0), nil)
	}
}

// mountRefused checks that a source that the caller may not pull from is treated like one without
// the blob.
func (s *suite) mountRefused(t *testing.T) {
	b, _ := s.new(t)
	if s.NoMount {
		t.Skip("the backend does not mount")
	}
	content := RandomBytes(1, 100_000)
	desc := s.pushBlob(t, b, "secret/a", content)
	s.pushBlob(t, b, "secret/b", content)
	var mu sync.Mutex
	var asked []string
	refuse := func(repo string) error {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, repo)
		return registry.ErrDenied
	}
	requireNothingToMount(t, b, "to", content, &registry.MountOptions{From: "secret/a", Allow: refuse})
	require.Equal(t, []string{"secret/a"}, asked, "From is asked about")
	asked = nil
	requireNothingToMount(t, b, "to", content, &registry.MountOptions{Allow: refuse})
	if !s.NoMountSearch {
		slices.Sort(asked)
		require.Equal(t, []string{"secret/a", "secret/b"}, asked, "each that has the blob is asked about")
		s.pushBlob(t, b, "public", content)
		got, err := b.MountBlob(t.Context(), "to", desc.Digest, &registry.MountOptions{Allow: func(repo string) error {
			if repo != "public" {
				return registry.ErrDenied
			}
			return nil
		}})
		require.NoError(t, err)
		require.Equal(t, desc, got)
		requireBlob(t, b, "to", content)
		for i, prefixes := range [][]string{{"public"}, {"nothing/", "pub"},
			{"a", "b", "c", "d", "e", "f", "g", "h", "i", "p"}, {""}} {
			last := ""
			got, err := b.MountBlob(t.Context(), fmt.Sprint("to/", i), desc.Digest, &registry.MountOptions{
				Prefixes: prefixes, Allow: func(repo string) error {
					if last = repo; repo != "public" {
						return registry.ErrDenied
					}
					return nil
				},
			})
			require.NoError(t, err, "%q", prefixes)
			require.Equal(t, desc, got)
			require.Equal(t, "public", last, "the source is asked about last")
		}
	}
	got, err := b.MountBlob(t.Context(), "to2", desc.Digest, &registry.MountOptions{From: "secret/a",
		Allow: func(string) error { return nil }})
	require.NoError(t, err)
	require.Equal(t, desc, got)
}

func (s *suite) mountUnknown(t *testing.T) {
	b, _ := s.new(t)
	s.pushBlob(t, b, "from", []byte("another"))
	for _, from := range []string{"from", "nowhere", "to"} {
		requireNothingToMount(t, b, "to", []byte("content"), &registry.MountOptions{From: from})
	}
	requireNothingToMount(t, b, "to", []byte("content"), nil)
}
