package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

// watched is a Driver that records how objects are opened.
type watched struct {
	driver.Driver
	opens    []string // "full", "same" (not modified), "changed" (replaced) or "none", in order
	timeless bool     // Put reports no time, like that of an object store
}

func (w *watched) Open(ctx context.Context, key string,
	opts *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	r, info, err := w.Driver.Open(ctx, key, opts)
	how := "full"
	switch {
	case errors.Is(err, driver.ErrNotExist):
		how = "none"
	case errors.Is(err, driver.ErrNotModified):
		how, info = "same", driver.Info{Key: key, Version: info.Version} // as little as the contract allows
	case opts != nil && opts.IfNotVersion != "":
		how = "changed"
	}
	w.opens = append(w.opens, how)
	return r, info, err
}

func (w *watched) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	info, err := w.Driver.Put(ctx, key, body, opts)
	if w.timeless {
		info.ModTime = time.Time{}
	}
	return info, err
}

// taken returns how objects were opened since the last call.
func (w *watched) taken() string {
	defer func() { w.opens = nil }()
	return strings.Join(w.opens, " ")
}

var someDigest = digest.FromString("some")

// putLink writes a link of size bytes in place of l.
func putLink(t *testing.T, r Repo, l *Link, content string) *Link {
	t.Helper()
	want := &Link{Size: int64(len(content)), Tail: []byte(content), Version: l.Version}
	now, err := r.SetLink(t.Context(), someDigest, want, Live)
	require.NoError(t, err)
	return now
}

func readLink(t *testing.T, r Repo) *Link {
	t.Helper()
	l, err := r.ReadLink(t.Context(), someDigest)
	require.NoError(t, err)
	return l
}

// TestReadOfKnownRecordIsConditional: each read asks the storage once. It gets the bytes only if it
// does not know the version.
func TestReadOfKnownRecordIsConditional(t *testing.T) {
	w := &watched{Driver: memory.New(nil)}
	mine, theirs := New(w, time.Hour, 0).Repo("r"), New(w.Driver, time.Hour, 0).Repo("r")
	require.Equal(t, Gone, readLink(t, mine).State)
	require.Equal(t, Gone, readLink(t, mine).State)
	require.Equal(t, "none none", w.taken())

	l := putLink(t, theirs, &Link{}, "first")
	first := readLink(t, mine)
	require.Equal(t, l.Version, first.Version)
	require.False(t, first.ModTime.IsZero())
	require.Equal(t, first, readLink(t, mine))
	require.Equal(t, "full same", w.taken())

	l = putLink(t, theirs, l, "second")
	require.Equal(t, "second", string(readLink(t, mine).Tail))
	require.Equal(t, "second", string(readLink(t, mine).Tail))
	require.Equal(t, "changed same", w.taken())

	require.NoError(t, theirs.Remove(t.Context(), theirs.LinkKey(someDigest), l.Version))
	require.Equal(t, &Link{}, readLink(t, mine))
	require.Equal(t, &Link{}, readLink(t, mine))
	require.Equal(t, "none none", w.taken())
}

// TestReadOfOwnWriteIsConditional: a Store knows what it has written, if the driver reports the
// time of a write. The record is the same as one that another Store reads.
func TestReadOfOwnWriteIsConditional(t *testing.T) {
	for _, timeless := range []bool{false, true} {
		w := &watched{Driver: memory.New(nil), timeless: timeless}
		mine, theirs := New(w, time.Hour, 0).Repo("r"), New(w.Driver, time.Hour, 0).Repo("r")
		l := putLink(t, mine, &Link{}, "first")
		putLink(t, mine, l, "second")
		own := readLink(t, mine)
		require.Equal(t, readLink(t, theirs), own)
		require.Equal(t, own, readLink(t, mine))
		require.Equal(t, map[bool]string{false: "same same", true: "full same"}[timeless], w.taken())
	}
}

// TestEachKindOfRecordIsCached reads a record of each kind twice.
func TestEachKindOfRecordIsCached(t *testing.T) {
	w := &watched{Driver: memory.New(nil)}
	r, theirs := New(w, time.Hour, 0).Repo("r"), New(w.Driver, time.Hour, 0).Repo("r")
	content := []byte("{}")
	m := &Manifest{State: Visible, Nonce: NewNonce(), MediaType: "type", Size: 2, Sum: Checksum(content)}
	_, err := theirs.Put(t.Context(), r.ManifestKey(someDigest), "", m, content, driver.Deferred)
	require.NoError(t, err)
	desc := ocispec.Descriptor{MediaType: "type", Digest: someDigest, Size: 2}
	_, err = theirs.PutTag(t.Context(), "v1", &Entry{}, Entry{Descriptor: desc, Moved: []string{"push"}})
	require.NoError(t, err)
	_, err = theirs.PutRepository(t.Context(), nil, ExpectAbsent)
	require.NoError(t, err)
	for range 2 {
		m, err = r.ReadManifest(t.Context(), someDigest)
		require.NoError(t, err)
		require.Equal(t, "{}", string(m.Content))
		e, err := r.ReadEntry(t.Context(), r.TagKey("v1"))
		require.NoError(t, err)
		require.Equal(t, desc, e.Descriptor)
		c, err := r.ReadRepository(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, c.Version)
	}
	require.Equal(t, "full full full same same same", w.taken())
}

// TestChangesOfACallerStayItsOwn: a caller may change the fields of a record, and append to its
// slices.
func TestChangesOfACallerStayItsOwn(t *testing.T) {
	r := New(memory.New(nil), time.Hour, 0).Repo("r")
	putLink(t, r, &Link{}, "content")
	want := *readLink(t, r)
	for range 3 {
		l := readLink(t, r)
		require.Equal(t, want, *l)
		l.State, l.Size, l.Version = Condemned, 1, "another"
		l.Tail = append(l.Tail, "more"...)
		l.Segments = append(l.Segments, Segment{Name: "more"})
	}
}

// TestLargeRecordsAreNotCached reads records below and above the limit.
func TestLargeRecordsAreNotCached(t *testing.T) {
	w := &watched{Driver: memory.New(nil)}
	r := New(w, time.Hour, 0).Repo("r")
	l := putLink(t, r, &Link{}, strings.Repeat("x", 16<<10))
	readLink(t, r)
	require.Equal(t, "same", w.taken())
	putLink(t, r, l, strings.Repeat("x", maxRecord+1))
	readLink(t, r)
	readLink(t, r)
	require.Equal(t, "changed changed", w.taken())
}

// TestStoreWithoutCacheReadsTheBytes: a pass over the storage neither uses nor fills the cache.
func TestStoreWithoutCacheReadsTheBytes(t *testing.T) {
	w := &watched{Driver: memory.New(nil)}
	s := New(w, time.Hour, 0)
	r, pass := s.Repo("r"), s.WithoutCache().Repo("r")
	l := putLink(t, pass, &Link{}, "first")
	readLink(t, pass)
	readLink(t, r)
	readLink(t, r)
	readLink(t, pass)
	require.Equal(t, "full full same full", w.taken())
	putLink(t, pass, l, "second")
	require.Equal(t, "second", string(readLink(t, r).Tail))
}

// TestCacheIsBounded adds more records than fit.
func TestCacheIsBounded(t *testing.T) {
	c := newRecords()
	for i := range 2 * maxRecords / recordOverhead {
		key := fmt.Sprintf("key%d", i)
		c.add(driver.Info{Key: key, Version: "1", ModTime: time.Now()}, &record{}, 100)
	}
	require.LessOrEqual(t, c.byKey.Len(), maxRecords/(recordOverhead+100))
}

// TestReadsSeeEveryFinishedWrite: two Stores share the storage, as two processes do. A read that
// begins after a write has returned sees it, or a later one.
func TestReadsSeeEveryFinishedWrite(t *testing.T) {
	d := memory.New(nil)
	writer, reader := New(d, time.Hour, 0).Repo("r"), New(d, time.Hour, 0).Repo("r")
	var written atomic.Int64
	var wg sync.WaitGroup
	for _, r := range []Repo{writer, reader, reader} {
		wg.Go(func() {
			for written.Load() < 500 {
				least := written.Load()
				l, err := r.ReadLink(t.Context(), someDigest)
				if err != nil || l.Size < least {
					t.Errorf("size %d after %d: %v", l.Size, least, err)
					written.Store(500)
				}
			}
		})
	}
	l := &Link{}
	for written.Load() < 500 {
		n := written.Load() + 1
		l = putLink(t, writer, l, strings.Repeat("x", int(n)))
		written.CompareAndSwap(n-1, n)
	}
	wg.Wait()
}
