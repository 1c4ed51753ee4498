//go:build linux || darwin

package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// TestPutOfManyParts: a body that arrives in parts is stored whole, also if its writing to the disk
// starts before its end, and if a part comes together with the end.
func TestPutOfManyParts(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	content := make([]byte, earlySize+bufferSize+1)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	for name, body := range map[string]io.Reader{
		"halves":   iotest.HalfReader(bytes.NewReader(content)),
		"with end": iotest.DataErrReader(bytes.NewReader(content)),
		"pipe":     io.MultiReader(bytes.NewReader(content[:5]), bytes.NewReader(content[5:])),
	} {
		_, err := d.Put(t.Context(), "a/"+name[:4], body, nil)
		require.NoError(t, err, name)
		r, _, err := d.Open(t.Context(), "a/"+name[:4], nil)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, errors.Join(err, r.Close()))
		require.True(t, bytes.Equal(content, got), name)
	}
	_, err := d.Put(t.Context(), "a/b", iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(content))), nil)
	require.ErrorIs(t, err, iotest.ErrTimeout)
}

// TestPutsShareBuffers: beyond maxBuffers, Puts at the same time have small buffers. All of them
// are given back.
func TestPutsShareBuffers(t *testing.T) {
	d := newDriver(t, t.TempDir(), nil)
	var begun, done sync.WaitGroup
	release := make(chan struct{})
	const puts = maxBuffers + 10
	begun.Add(puts)
	errs := make([]error, puts)
	for i := range puts {
		done.Go(func() {
			_, errs[i] = d.Put(t.Context(), fmt.Sprint("a/", i), readerFunc(func([]byte) (int, error) {
				begun.Done()
				<-release
				return 0, io.EOF
			}), nil)
		})
	}
	begun.Wait()
	buf, giveBack := d.buffers.Get()
	require.Len(t, buf, smallBufferSize)
	giveBack(true)
	close(release)
	done.Wait()
	require.NoError(t, errors.Join(errs...))
	buf, giveBack = d.buffers.Get()
	require.Len(t, buf, bufferSize)
	giveBack(true)
}

// readerFunc is an [io.Reader].
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
