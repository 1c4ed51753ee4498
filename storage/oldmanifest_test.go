package storage_test

import (
	"bytes"
	"encoding/json"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
)

// TestCollectOldManifestKeepsItsBlobs stores a manifest that an earlier version accepted and
// that a push would refuse now. A collection reads the manifest and keeps what it names.
func TestCollectOldManifestKeepsItsBlobs(t *testing.T) {
	d := newMemory(t)
	s := newStore(t, d, nil)
	layer := random(1, 40_000)
	desc := pushBlob(t, s, "r", layer)
	content := image("one", nil, pushBlob(t, s, "r", []byte("{}")), desc)
	content = bytes.Replace(content, []byte(`"layers":[{`), []byte(`"layers":[{"uxls":[{}],`), 1)
	m := putImage(t, s, "r", content, tags("v1"))

	key := "r/r/m/sha256/" + m.Digest.Encoded()
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	record, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = d.Put(t.Context(), key, bytes.NewReader(withoutRule(t, record)), nil)
	require.NoError(t, err)

	pushBlob(t, s, "r", random(2, 40_000)) // to be collected
	require.Equal(t, 1, int(collected(t, s, noGrace).Blobs))
	got, err := readBlob(t.Context(), s, "r", digest.FromBytes(layer))
	require.NoError(t, err)
	require.Equal(t, layer, got)
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
	require.NoError(t, err)
}

// withoutRule returns the record of a manifest with "urls" in place of "uxls".
func withoutRule(t *testing.T, record []byte) []byte {
	line, content, found := strings.Cut(string(record), "\n")
	require.True(t, found)
	require.Contains(t, content, `"uxls"`)
	content = strings.Replace(content, `"uxls"`, `"urls"`, 1)
	var header map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(line), &header))
	sum, err := json.Marshal(crc32.Checksum([]byte(content), crc32.MakeTable(crc32.Castagnoli)))
	require.NoError(t, err)
	require.Contains(t, header, "sum")
	header["sum"] = sum
	b, err := json.Marshal(header)
	require.NoError(t, err)
	return append(append(b, '\n'), content...)
}
