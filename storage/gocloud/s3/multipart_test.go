package s3_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

const (
	mib = 1 << 20
	tib = 1 << 40
)

// multipart is one multipart upload.
type multipart struct {
	parts map[int][]byte
	sizes map[int]int64
}

// multipart handles a request of a multipart upload by the rules of Cloudflare R2: at most 10,000
// parts, of which all but the last have the same size of at least 5 MiB. The caller holds the lock.
func (s *server) multipart(w http.ResponseWriter, r *http.Request, name string) {
	q := r.URL.Query()
	if q.Has("uploads") {
		id := strconv.Itoa(len(s.objects) + len(s.uploads) + s.completed)
		s.uploads[id] = &multipart{map[int][]byte{}, map[int]int64{}}
		fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
		return
	}
	id := q.Get("uploadId")
	u := s.uploads[id]
	switch {
	case u == nil:
		refuse(w, 404, "NoSuchUpload")
	case r.Method == http.MethodDelete:
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		number, err := strconv.Atoi(q.Get("partNumber"))
		if err != nil || number < 1 || number > 10_000 {
			refuse(w, 400, "InvalidArgument")
			return
		}
		s.mu.Unlock()
		var keep bytes.Buffer
		n, err := io.Copy(&keep, r.Body)
		s.mu.Lock()
		if err != nil {
			return
		}
		if u.sizes[number] = n; s.keep {
			u.parts[number] = keep.Bytes()
		}
		w.Header().Set("ETag", fmt.Sprintf(`"part %d"`, number))
	default:
		s.complete(w, r, name, u)
		delete(s.uploads, id)
	}
}

func (s *server) complete(w http.ResponseWriter, r *http.Request, name string, u *multipart) {
	var list struct {
		Part []struct{ PartNumber int }
	}
	if err := xml.NewDecoder(r.Body).Decode(&list); err != nil {
		refuse(w, 400, "MalformedXML")
		return
	}
	var content []byte
	size := int64(0)
	for i, part := range list.Part {
		n := u.sizes[part.PartNumber]
		switch last := i == len(list.Part)-1; {
		case part.PartNumber != i+1 || n == 0, !last && n != u.sizes[1]:
			refuse(w, 400, "InvalidPart")
			return
		case !last && n < 5*mib:
			refuse(w, 400, "EntityTooSmall")
			return
		}
		content = append(content, u.parts[part.PartNumber]...)
		size += n
	}
	if s.completed++; s.keep {
		s.objects[name] = content
	}
	s.sizes = append(s.sizes, size)
	s.parts += len(list.Part)
	fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>%s</ETag></CompleteMultipartUploadResult>",
		strings.ReplaceAll(etag(content), `"`, "&quot;"))
}

// simulated is a client of a server that counts the bytes of parts but does not read them.
type simulated struct{ s *server }

func (c simulated) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	number, _ := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if number == 0 {
		if r.Body == nil {
			r.Body = http.NoBody
		}
		c.s.ServeHTTP(w, r)
		return w.Result(), nil
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if number > 10_000 {
		refuse(w, 400, "InvalidArgument")
	} else {
		c.s.uploads[r.URL.Query().Get("uploadId")].sizes[number] = r.ContentLength
		w.Header().Set("ETag", `"part"`)
	}
	return w.Result(), nil
}

// untouched is a body of the given number of bytes whose Read writes nothing.
type untouched struct{ left int64 }

func (u *untouched) Read(p []byte) (int, error) {
	if u.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), u.left)
	u.left -= n
	return int(n), nil
}

// TestPutOfAllPartsThereCanBe: all 10,000 parts have the same size although the client declares 5
// TiB. Further bytes go to the next object. Package parts simulates larger blobs.
func TestPutOfAllPartsThereCanBe(t *testing.T) {
	s := newServer()
	d := openSimulated(t, s, gocloud.Parts{})
	const full = 10_000 * gocloud.DefaultPartSize
	require.EqualValues(t, full, d.MaxObjectSize())
	body := &untouched{full + gocloud.DefaultPartSize + 1}
	for n := 0; body.left > 0; n++ {
		_, err := d.Put(t.Context(), fmt.Sprint("data/", n), io.LimitReader(body, full), &driver.PutOptions{Size: 5 * tib})
		require.NoError(t, err)
	}
	require.Equal(t, []int64{full, gocloud.DefaultPartSize + 1}, s.sizes)
	require.Equal(t, 10_002, s.parts)
}

// TestPutOfTooManyParts: a body that is larger than the maximum size of an object is refused and
// its parts are removed, whatever size was declared.
func TestPutOfTooManyParts(t *testing.T) {
	s := newServer()
	d := openSimulated(t, s, gocloud.Parts{Max: 3})
	const full = 3 * gocloud.DefaultPartSize
	for _, hint := range []int64{0, 1, full, full + 1, 5 * tib} {
		_, err := d.Put(t.Context(), "data", &untouched{full}, &driver.PutOptions{Size: hint})
		require.NoError(t, err)
		_, err = d.Put(t.Context(), "data", &untouched{full + 1}, &driver.PutOptions{Size: hint})
		require.ErrorContains(t, err, "larger than an object can be")
		require.Empty(t, s.uploads)
	}
	require.Equal(t, []int64{full, full, full, full, full}, s.sizes)
}

// TestStoreGoesOnInAFurtherObject: clients can push and pull a blob with more parts than an object
// can have. The Store writes only full objects and a last one.
func TestStoreGoesOnInAFurtherObject(t *testing.T) {
	s := newServer()
	s.keep = true
	d := open(t, s, &gocloud.Options{Parts: gocloud.Parts{Size: 5 * mib, Max: 2}})
	store, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	content := make([]byte, 33*mib)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	for _, length := range []int64{int64(len(content)), -1} {
		s.sizes = nil
		u, err := store.CreateUpload(t.Context(), "r", nil)
		require.NoError(t, err)
		_, err = u.Append(t.Context(), 0, length, bytes.NewReader(content))
		require.NoError(t, err)
		require.Equal(t, []int64{10 * mib, 10 * mib, 10 * mib}, s.sizes, "the rest is one part")
		_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
		require.NoError(t, err)
		blob, err := store.OpenBlob(t.Context(), "r", digest.FromBytes(content), nil)
		require.NoError(t, err)
		got, err := digest.FromReader(blob.Body)
		require.NoError(t, errors.Join(err, blob.Body.Close()))
		require.Equal(t, digest.FromBytes(content), got)
		require.NoError(t, store.DeleteBlob(t.Context(), "r", digest.FromBytes(content), nil))
	}
}

// silent is a body that yields left zero bytes and then blocks until end is closed.
type silent struct {
	left int64
	end  chan struct{}
}

func (b *silent) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.end
		return 0, io.ErrUnexpectedEOF
	}
	n := min(int64(len(p)), b.left)
	clear(p[:n])
	b.left -= n
	return int(n), nil
}

// counted counts the bytes that a handler reads from the body of a request.
type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// TestSilentUploadsTakeAPartEach: 32 clients declare 5 TiB each, send some bytes and then stop. The
// memory in use is one part of each and the read-ahead, whatever size they have declared.
func TestSilentUploadsTakeAPartEach(t *testing.T) {
	const clients, part, sent = 32, 5 * mib, 18 * mib
	store, err := storage.New(t.Context(), open(t, newServer(), &gocloud.Options{Parts: gocloud.Parts{Size: part}}), nil)
	require.NoError(t, err)
	backend, err := registry.New(store, nil)
	require.NoError(t, err)
	var read atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = counted{r.Body, &read}
		backend.ServeHTTP(w, r)
	}))
	defer front.Close()

	end := make(chan struct{})
	var ended sync.WaitGroup
	defer func() {
		close(end)
		front.CloseClientConnections()
		ended.Wait()
	}()
	before := heap()
	for range clients {
		ended.Go(func() {
			url := front.URL + "/v2/r/blobs/uploads/?digest=" + string(digest.FromString(""))
			r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, &silent{sent, end})
			if err != nil {
				t.Error(err)
				return
			}
			r.ContentLength = 5 * tib
			if resp, err := front.Client().Do(r); err == nil {
				_ = resp.Body.Close()
			}
		})
	}
	require.Eventually(t, func() bool { return read.Load() == clients*sent }, 5*time.Minute, 10*time.Millisecond)
	// The parts before the last ones are still on their way to the server of this process.
	require.Eventually(t, func() bool { return heap()-before < clients*part+s3.DefaultReadAhead+16*mib }, time.Minute,
		50*time.Millisecond)
}

// heap returns the number of reachable bytes.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // it fits
}
