package outbox

import (
	"hash/crc32"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
)

// FuzzStored decodes hostile objects and cursors: nothing panics, and what is accepted is consistent.
func FuzzStored(f *testing.F) {
	content := `{"id":"1","time":"2026-01-02T03:04:05Z","action":"push"}` + "\n"
	good, err := encode(&batchHeader{Nonce: "n", Count: 1, Time: time.Now(),
		Sum: crc32.Checksum([]byte(content), castagnoli)}, []byte(content))
	require.NoError(f, err)
	marker, err := encode(&batchHeader{Nonce: "n", First: 7, Closed: true}, nil)
	require.NoError(f, err)
	at, err := encode(&cursor{Nonce: "n", Seq: 3, Number: 9, Gap: &notification.Gap{Events: -1}}, nil)
	require.NoError(f, err)
	dead, err := encode(&letter{Nonce: "n", Event: notification.Event{ID: "1"}}, nil)
	require.NoError(f, err)
	for _, b := range [][]byte{good, marker, at, dead, good[:20], []byte("\n"), []byte("{}\n"), nil} {
		f.Add(b)
	}
	p := positions{at: map[string]position{newStreamID(time.Now()): {1, 2, 3}}}
	f.Add([]byte(p.String()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeBatch(5, b); err == nil {
			require.Len(t, r.events, r.Count)
			require.False(t, r.Closed && r.Count > 0)
			require.GreaterOrEqual(t, r.end(), r.First)
		} else {
			require.ErrorIs(t, err, errCorrupt)
		}
		if c, err := decodeCursor(b); err == nil {
			require.GreaterOrEqual(t, c.Seq, int64(0))
		}
		_, _ = decodeLetter(b)
		if p, err := parsePositions(string(b)); err == nil {
			again, err := parsePositions(p.String())
			require.NoError(t, err)
			require.Equal(t, p, again)
		}
		if seq, ok := parseBatchKey(string(b)); ok {
			require.GreaterOrEqual(t, seq, int64(0))
		}
		key := letterKey("hook", string(b))
		require.Less(t, len(key), 500)
		require.False(t, strings.Contains(key[len("e/d/hook/"):], "/"))
	})
}
