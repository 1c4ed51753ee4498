package plan

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// document returns a plan with n lines of what goes, and one that stays.
func document(n int) string {
	var b strings.Builder
	b.WriteString(`{"format": "retention plan", "version": 1, "made": "2026-11-01T00:00:00Z", "history": 60, "rules": "x",
"lines": [{"repository":"a","tag":"stays","digest":"sha256:0","decision":"stays"},
{"repository":"a/broken","digest":"","decision":"stays","why":"left alone: damaged"}`)
	for i := range n {
		random := make([]byte, 32)
		_, _ = rand.Read(random)
		fmt.Fprintf(&b, ",\n"+`{"repository":"b","tag":"t%d","digest":"sha256:%s","decision":"goes","rule":"r%d","bytes":2}`,
			i, hex.EncodeToString(random), i%2)
	}
	fmt.Fprintf(&b, "\n],\n"+`"totals": {"repositories": 3, "tags": %d, "removedTags": %d, "bytes": %d}}`, n+1, n, 2*n)
	return b.String()
}

func TestRead(t *testing.T) {
	text := document(5)
	p, err := Read(strings.NewReader(text), 3)
	require.NoError(t, err)
	require.Equal(t, int64(5), p.Going)
	require.Len(t, p.Lines, 3)
	require.Equal(t, "a/broken", p.Alone[0].Repository)
	require.Equal(t, int64(10), p.Totals.Bytes)
	require.Equal(t, int64(60), p.History)
	p.SortRules()
	require.Equal(t, []Rule{{Name: "r0", Tags: 3, Bytes: 6}, {Name: "r1", Tags: 2, Bytes: 4}}, p.Rules)

	packed, err := Unpack(p.Packed)
	require.NoError(t, err)
	content, err := io.ReadAll(packed)
	require.NoError(t, err)
	require.True(t, json.Valid(content), string(content))
	again, err := Read(bytes.NewReader(content), 100)
	require.NoError(t, err)
	require.Len(t, again.Lines, 5)
	require.Equal(t, p.Totals, again.Totals)
	require.NotContains(t, string(content), `"stays"`)
}

// TestLarge: a plan that does not fit into a form is read to its end all the same.
func TestLarge(t *testing.T) {
	p, err := Read(strings.NewReader(document(30_000)), 10)
	require.NoError(t, err)
	require.Empty(t, p.Packed)
	require.Equal(t, int64(30_000), p.Going)
	p, err = Read(strings.NewReader(document(10_000)), 10)
	require.NoError(t, err)
	require.NotEmpty(t, p.Packed)
	require.LessOrEqual(t, len(p.Packed), MaxPacked)
}

func TestInvalid(t *testing.T) {
	text := document(2)
	for n := range len(text) {
		_, err := Read(strings.NewReader(text[:n]), 10)
		require.ErrorIs(t, err, ErrInvalid, text[:n])
	}
	for _, text := range []string{"[]", "null", `{"lines": 1}`, `{"lines": [1]}`, `{"made": 1}`, `{"totals": {}}`,
		`{"totals": {"tags": "x"}}`, `{"lines": [{"bytes": "x"}]}`} {
		_, err := Read(strings.NewReader(text), 10)
		require.ErrorIs(t, err, ErrInvalid, text)
	}
	broken := errors.New("broken")
	_, err := Read(iotest.ErrReader(broken), 10)
	require.ErrorIs(t, err, broken)
	for _, packed := range []string{"", "!", "AAAA"} {
		_, err := Unpack(packed)
		require.ErrorIs(t, err, ErrInvalid, packed)
	}
}

// TestUnpackIsBounded: a small form cannot become a plan of any size.
func TestUnpackIsBounded(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 2 * maxUnpacked >> 20 {
		_, err := z.Write(zeros)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	r, err := Unpack(base64.RawURLEncoding.EncodeToString(b.Bytes()))
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, r)
	require.NoError(t, err)
	require.Equal(t, int64(maxUnpacked), n)
}
