package usage_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// TestContents: the contents follow pushes, deletes and collections, from any replica.
func TestContents(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		s := newStore(t, d, nil)
		requireContents(t, newMeter(t, d), s, "team/app")
		a := push(t, s, "team/app", "v1", 1, 100)
		push(t, s, "team/app", "v2", 2, 40_000)
		push(t, s, "team/app/web", "v1", 3, 100)
		m := newMeter(t, d)
		c := requireContents(t, m, s, "team/app")
		require.Len(t, maps.Collect(c.Manifests()), 2)
		require.Len(t, maps.Collect(c.Blobs()), 6)
		require.NoError(t, s.DeleteManifest(t.Context(), "team/app", reference.Ref{Digest: a.Descriptor.Digest}, nil))
		_, err := s.Collect(t.Context(), &storage.CollectOptions{Grace: -1})
		require.NoError(t, err)
		c = requireContents(t, m, s, "team/app")
		require.Len(t, maps.Collect(c.Blobs()), 3)
		_, err = m.Contents(t.Context(), "Team")
		require.ErrorIs(t, err, registry.ErrNameInvalid)
		require.NoError(t, s.DeleteRepository(t.Context(), "team/app", nil))
		require.Empty(t, maps.Collect(requireContents(t, newMeter(t, d), s, "team/app").Blobs()))
	})
}

// TestContentsReadOnlyWhatIsNew: a second call on another replica reads the table and no record.
func TestContentsReadOnlyWhatIsNew(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 100 {
		push(t, s, "app", "v1", uint64(i), 10)
	}
	first, f := newCounted(t, d)
	opens := f.Count("Open")
	requireContents(t, first, nil, "app")
	require.Equal(t, 1+101+100+100, f.Count("Open")-opens) // the table, layers, configs, manifests

	second, f := newCounted(t, d)
	before := f.Count("")
	requireContents(t, second, nil, "app")
	require.Equal(t, 3, f.Count("")-before)

	push(t, s, "app", "v1", 1000, 10)
	opens, puts := f.Count("Open"), f.Count("Put")
	requireContents(t, second, s, "app")
	require.Equal(t, 1+4, f.Count("Open")-opens)
	require.Equal(t, 1, f.Count("Put")-puts)
}

// TestContentsInParts: a large table is divided, and a push rewrites one part or so.
func TestContentsInParts(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for i := range 100 {
		push(t, s, "app", "v1", uint64(i), 10)
	}
	m, f := newCounted(t, d)
	m.SetPartSize(4 << 10)
	requireContents(t, m, s, "app")
	parts := keys(t, d, "s/r/app/")
	require.Greater(t, len(parts), 7)
	opens := f.Count("Open")
	requireContents(t, m, nil, "app")
	require.Equal(t, len(parts), f.Count("Open")-opens)
	puts := f.Count("Put")
	push(t, s, "app", "v1", 1000, 10)
	requireContents(t, m, s, "app")
	require.LessOrEqual(t, f.Count("Put")-puts, 4)

	// A table that has become small is one part again.
	require.NoError(t, s.DeleteRepository(t.Context(), "app", nil))
	push(t, s, "app", "v1", 1, 10)
	requireContents(t, m, s, "app")
	require.Len(t, keys(t, d, "s/r/app/"), 1)
	opens = f.Count("Open")
	requireContents(t, m, nil, "app")
	require.Equal(t, 1, f.Count("Open")-opens)
}

// TestContentsDamagedTable: a table that is cut short, damaged, foreign, or that of another repository is
// replaced.
func TestContentsDamagedTable(t *testing.T) {
	for name, f := range map[string]func([]byte) []byte{
		"empty":   func([]byte) []byte { return nil },
		"cut":     func(b []byte) []byte { return b[:len(b)/2] },
		"flipped": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"foreign": func([]byte) []byte { return []byte("{}\nhello") },
		"header":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"blobs":`), []byte(`"blobs":9`), 1) },
		"negative": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"manifests":`), []byte(`"manifests":-`), 1)
		},
		"parts": func(b []byte) []byte { return bytes.Replace(b, []byte(`"parts":`), []byte(`"parts":99999`), 1) },
		"most negative": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"parts":1`), []byte(`"parts":-9223372036854775808`), 1)
		},
		"other": func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"repository":"`), []byte(`"repository":"x`), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := memory.New(nil)
			s := newStore(t, d, nil)
			push(t, s, "app", "v1", 1, 10)
			m, counted := newCounted(t, d)
			requireContents(t, m, s, "app")
			damage(t, d, "s/", f)
			requireContents(t, m, s, "app")
			opens := counted.Count("Open")
			requireContents(t, m, nil, "app")
			require.Equal(t, 1, counted.Count("Open")-opens)
		})
	}
}

// requireContents requires that the contents are what the API of a store serves. It does not compare
// without a store.
func requireContents(t *testing.T, m *usage.Meter, s *storage.Store, repo string) *usage.Contents {
	t.Helper()
	c, err := m.Contents(t.Context(), repo)
	require.NoError(t, err)
	if s == nil {
		return c
	}
	blobs, manifests := served(t, s, repo)
	require.Equal(t, blobs, maps.Collect(c.Blobs()))
	require.Equal(t, manifests, maps.Collect(c.Manifests()))
	last := digest.Digest("")
	for d := range c.Blobs() {
		require.Greater(t, d, last)
		last = d
	}
	return c
}

// served returns the sizes of the blobs and manifests of a repository that clients can pull.
func served(t *testing.T, s *storage.Store, repo string) (blobs, manifests map[digest.Digest]int64) {
	t.Helper()
	blobs, manifests = map[digest.Digest]int64{}, map[digest.Digest]int64{}
	for b, err := range s.Inventory().Blobs(t.Context(), repo) {
		require.NoError(t, err)
		if desc, err := s.StatBlob(t.Context(), repo, b.Digest, nil); err == nil {
			blobs[b.Digest] = desc.Size
		}
	}
	for b, err := range s.Inventory().Manifests(t.Context(), repo) {
		require.NoError(t, err)
		if m, err := s.GetManifest(t.Context(), repo, reference.Ref{Digest: b.Digest}); err == nil {
			manifests[b.Digest] = int64(len(m.Content))
		}
	}
	return blobs, manifests
}
