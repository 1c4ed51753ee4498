//go:build linux || darwin

package disk

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkReplay is the part of New that replays a journal with two full segments, after a kill. Every
// file is as its record says.
func BenchmarkReplay(b *testing.B) {
	d := newDriver(b, b.TempDir(), nil)
	j := d.journal
	j.syncAll = func() error { return nil }
	const batch = 200
	content := strings.Repeat("x", 900)
	for n := range 2 * segmentRecords / batch {
		keys := make([]string, batch)
		for i := range keys {
			keys[i] = fmt.Sprintf("r/repo-%d/b/sha256/%064d", i%7, n*batch+i)
			put(b, d, keys[i], content, deferred)
		}
		require.NoError(b, d.Sync(b.Context(), keys...))
	}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, j.recover())
	}
}
