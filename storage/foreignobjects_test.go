package storage_test

import (
	"bytes"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// TestForeignObjectsDoNoHarm puts objects below the keys of the Store that the Store did not
// write. They crash neither a collection nor a reader, and no content in use is removed.
func TestForeignObjectsDoNoHarm(t *testing.T) {
	large := random(1, 40_000)
	unknown := digest.FromString("unknown")
	for _, key := range []string{
		"data/x", "data/aa/x", "data/aa/xy", "dead/x", "dead/aa/x", "u/x", "u/aa/x", "b/x", "c/UPPER", "c/nothing", "h/x",
		"h/r/x",
		"h/r/7000000000000000.m.0011223344556677.sha256-zz", "h/r/7000000000000000.t.0011223344556677.v2", "r/x", "r/r/b/x",
		"r/r/m/x", "r/r/t/v2", "r/r/x/x",
		"r/r/b/sha256/" + unknown.Encoded(), "r/r/m/sha256/" + unknown.Encoded(), "r/r/f/sha256/" + unknown.Encoded() + "/x",
	} {
		for _, line := range []string{
			"", "garbage", "{}", "null", "[1]", `{"state":"strange"}`,
			`{"state":"live","size":5,"segments":[{"name":"x","size":5}]}`,
			`{"state":"condemned","size":5,"segments":[{"name":"","size":5}]}`, `{"state":"refused","subject":"bad"}`,
			`{"descriptor":{"digest":"bad"}}`,
			`{"descriptor":{"digest":"` + string(unknown) + `"},"next":[{"descriptor":{"digest":"bad"}}]}`,
			`{"before":{"digest":"bad"}}`,
		} {
			what := key + " " + line
			d := newMemory(t)
			s := newStore(t, d, withHistory)
			content := image("one", nil, pushBlob(t, s, "r", []byte("{}")), pushBlob(t, s, "r", large))
			putImage(t, s, "r", content, tags("v1"))
			_, err := d.Put(t.Context(), key, bytes.NewReader([]byte(line+"\n")), nil)
			require.NoError(t, err, what)
			for range 2 {
				// It fails if it cannot read a manifest.
				_, _ = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
			}
			for _, ref := range []string{"v2", "v1"} {
				_, _ = s.StatManifest(t.Context(), "r", byTag(ref), nil)
				_, err = s.GetManifest(t.Context(), "r", byTag(ref))
			}
			require.NoError(t, err, what)
			got, err := readBlob(t.Context(), s, "r", digest.FromBytes(large))
			require.NoError(t, err, what)
			require.Equal(t, large, got, what)
			if _, err = readBlob(t.Context(), s, "r", unknown); err == nil {
				t.Errorf("%s: read", what)
			}
			_, err = s.Restore(t.Context(), "r", byTag("v2"), nil)
			require.Error(t, err, what)
			require.NotErrorIs(t, err, registry.ErrTagExists, what)
		}
	}
}
