package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// flaky is a driver whose readers fail after some bytes, while breaks is positive.
type flaky struct {
	driver.Driver
	after  int64
	breaks atomic.Int64
}

var errLost = errors.New("connection reset")

func (f *flaky) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	r, info, err := f.Driver.Open(ctx, key, opts)
	if err != nil || f.breaks.Add(-1) < 0 {
		return r, info, err
	}
	broken := io.MultiReader(io.LimitReader(r, f.after), readerFunc(func([]byte) (int, error) { return 0, errLost }))
	return struct {
		io.Reader
		io.Closer
	}{broken, r}, info, nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReadResumesAfterLostConnection loses the connection to the storage several times while a
// blob is read. The reader notices nothing as long as each connection delivers some bytes.
func TestReadResumesAfterLostConnection(t *testing.T) {
	f := &flaky{Driver: newMemory(t), after: 1000}
	s := newStore(t, f, nil)
	content := random(1, 100_000)
	desc := pushBlob(t, s, "r", content)
	read := func() ([]byte, error) {
		b, err := s.OpenBlob(t.Context(), "r", desc.Digest, nil)
		require.NoError(t, err)
		f.breaks.Store(50)
		defer b.Body.Close()
		return io.ReadAll(b.Body)
	}
	got, err := read()
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Negative(t, f.breaks.Load(), "the last reader did not fail")
	f.after = 0
	got, err = read()
	require.ErrorIs(t, err, errLost)
	require.Empty(t, got)
	require.EqualValues(t, 46, f.breaks.Load(), "the Store opens the object again three times")

}
