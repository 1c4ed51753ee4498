package storage

import (
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/internal/object"
)

// FuzzUploadID sends anything as the id of an upload: only what was signed for the same repository
// and owner is one.
func FuzzUploadID(f *testing.F) {
	s := &Store{secret: make([]byte, 32), macs: &sync.Pool{}}
	// The ID must be the same in each process of the fuzzer.
	t := uploadID{random: [16]byte{1, 2, 3}, created: time.Unix(1_700_000_000, 0)}
	good := s.sign(t, "repo", "owner")
	f.Add(good, "repo", "owner")
	f.Add(good, "repo\x00owner", "")
	f.Add(good, "rep", "oowner")
	f.Add(good[:len(good)-1], "repo", "owner")
	f.Add("", "", "")
	f.Fuzz(func(ft *testing.T, id, repo, owner string) {
		got, err := s.verify(id, repo, owner)
		if id == good && repo == "repo" && owner == "owner" {
			require.NoError(ft, err)
			require.Equal(ft, t.random, got.random)
			require.Equal(ft, t.created.Unix(), got.created.Unix())
			return
		}
		require.Error(ft, err)
	})
}

// FuzzRecord decodes anything as a record of each kind.
func FuzzRecord(f *testing.F) {
	b, err := object.Encode(&object.Link{State: object.Live, Size: 2, Sum: object.Checksum([]byte("{}"))}, []byte("{}"))
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"hash":"AAAA","size":-1,"segments":[{"size":-9}]}` + "\n"))
	f.Fuzz(func(ft *testing.T, b []byte) {
		for _, header := range []any{&object.Link{}, &object.Manifest{}, &object.Entry{}, &uploadRecord{}} {
			content, ok := object.Decode(b, header)
			require.True(ft, ok || content == nil)
		}
		var r uploadRecord
		if _, ok := object.Decode(b, &r); ok && (r.Algorithm == digest.SHA256 || r.Algorithm == digest.SHA512) {
			_, _ = r.restoreHash()
		}
	})
}
