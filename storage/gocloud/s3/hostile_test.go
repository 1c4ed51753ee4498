package s3_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// listed returns the keys that a List yields before it ends or fails.
func listed(t *testing.T, d *gocloud.Driver) (keys []string, err error) {
	t.Helper()
	for info, err := range d.List(t.Context(), "", nil) {
		if err != nil {
			return keys, err
		}
		keys = append(keys, info.Key)
	}
	return keys, nil
}

// TestListCutShortFails: a connection that ends before the response gives io.EOF, which must not
// look like the end of the list.
func TestListCutShortFails(t *testing.T) {
	s, d := openServer(t)
	put(t, d, "a", nil)
	s.respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := listed(t, d)
	require.ErrorIs(t, err, driver.ErrUnavailable)
}

// response returns a handler that responds with a status and a body.
func response(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestListFromProxyFails: a response that is not a complete list is an error, not an empty list.
func TestListFromProxyFails(t *testing.T) {
	s, d := openServer(t)
	put(t, d, "a", nil)
	put(t, d, "b", nil)
	whole, err := listed(t, d)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, whole)
	object := func(of string) string {
		return "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>" + of + "</Contents></ListBucketResult>"
	}
	for _, body := range []string{
		"", "welcome", "<html><body>welcome</body></html>", "<Error><Code>InternalError</Code></Error>",
		"<ListBucketResult/>",
		"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
		"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken></ListBucketResult>",
		"<ListBucketResult><IsTruncated>false</IsTruncated>",
		object("<Key>a</Key><LastModified>2006-01-02T15:04:05Z</LastModified><ETag>x</ETag>"),
		object("<Key>a</Key><LastModified>2006-01-02T15:04:05Z</LastModified><Size>1</Size>"),
		object("<Key>a</Key><ETag>x</ETag><Size>1</Size>"),
	} {
		s.respond(response(http.StatusOK, body))
		keys, err := listed(t, d)
		require.Error(t, err, "%q", body)
		require.Empty(t, keys, "%q", body)
	}
}

// TestIncompleteResponseIsUnavailable: an object without a version could be changed only without a
// condition. An object without a time would look old enough for a collection.
func TestIncompleteResponseIsUnavailable(t *testing.T) {
	s, d := openServer(t)
	version := put(t, d, "a", nil).Version
	const tag, length, date = "ETag: \"x\"\r\n", "Content-Length: 3\r\n", "Last-Modified: " + modified + "\r\n"
	for _, header := range []string{"", tag + length, tag + date, length + date, length, tag, date} {
		s.respond(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+header+"Connection: close\r\n\r\nabc")
		})
		_, err := d.Stat(t.Context(), "a")
		require.ErrorIs(t, err, driver.ErrUnavailable, header)
		for _, opts := range []*driver.OpenOptions{nil, {IfNotVersion: version}, {Offset: 1, Length: 2}} {
			_, _, err = d.Open(t.Context(), "a", opts)
			require.ErrorIs(t, err, driver.ErrUnavailable, header)
		}
		if strings.Contains(header, tag) {
			continue
		}
		for _, opts := range []*driver.PutOptions{nil, {IfAbsent: true}, {IfVersion: version}} {
			_, err = d.Put(t.Context(), "a", strings.NewReader("another"), opts)
			require.ErrorIs(t, err, driver.ErrUnavailable, header)
		}
	}
}

// TestResponseOfProxyIsUnavailable: only a response of the store itself means that an object is
// missing, that a condition has failed, or that an operation is done.
func TestResponseOfProxyIsUnavailable(t *testing.T) {
	s, d := openServer(t)
	version := put(t, d, "a", nil).Version
	for _, status := range []int{404, 412, 200, 301, 302, 400, 416} {
		for _, body := range []string{
			"", "404 page not found", "<html><body>default backend - 404</body></html>", "<html><br>no XML</html>",
			"<Error><Code>InvalidRange</Code><RequestId>301</RequestId></Error>",
		} {
			s.respond(response(status, body))
			errs := map[string]error{}
			_, errs["list"] = listed(t, d)
			_, errs["stat"] = d.Stat(t.Context(), "a")
			_, _, errs["open"] = d.Open(t.Context(), "a", nil)
			_, _, errs["range"] = d.Open(t.Context(), "a", &driver.OpenOptions{Offset: 1})
			_, errs["put"] = d.Put(t.Context(), "a", strings.NewReader("x"), nil)
			_, errs["create"] = d.Put(t.Context(), "b", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
			_, errs["replace"] = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfVersion: version})
			errs["delete"] = d.Delete(t.Context(), "a", version)
			errs["delete any"] = d.Delete(t.Context(), "a", "")
			for what, err := range errs {
				require.Error(t, err, "%s: %d %q", what, status, body)
				for _, known := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrNotModified} {
					require.NotErrorIs(t, err, known, "%s: %d %q", what, status, body)
				}
			}
		}
	}
	s.respond(nil)
	_, err := d.Stat(t.Context(), "b")
	require.ErrorIs(t, err, driver.ErrNotExist)
	_, _, err = d.Open(t.Context(), "b", nil)
	require.ErrorIs(t, err, driver.ErrNotExist)
	_, err = d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
	require.ErrorIs(t, err, driver.ErrExist)
	_, err = d.Put(t.Context(), "b", strings.NewReader("x"), &driver.PutOptions{IfVersion: version})
	require.ErrorIs(t, err, driver.ErrChanged)
	require.NoError(t, d.Delete(t.Context(), "a", version))
}

// TestMissingBucketIsUnavailable: a response to HEAD has no body, but MinIO names the missing
// resource in a header.
func TestMissingBucketIsUnavailable(t *testing.T) {
	s, d := openServer(t)
	s.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amz-Request-Id", "301301301")
		w.Header().Set("X-Minio-Error-Code", "NoSuchBucket")
		refuse(w, http.StatusNotFound, "NoSuchBucket")
	})
	_, err := d.Stat(t.Context(), "a")
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.NotErrorIs(t, err, driver.ErrNotExist)
	_, _, err = d.Open(t.Context(), "a", nil)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.NotErrorIs(t, err, driver.ErrNotExist)
}

// TestWrongRange: a server may respond to a range with the whole object. The reader yields the
// requested bytes or an error.
func TestWrongRange(t *testing.T) {
	s, d := openServer(t)
	put(t, d, "a", nil)
	for _, c := range []struct {
		status      int
		is, content string
		asked       driver.OpenOptions
		ok          bool
	}{
		{200, "", "content", driver.OpenOptions{}, true},
		{200, "", "content", driver.OpenOptions{Length: 3}, true},
		{206, "bytes 0-2/7", "con", driver.OpenOptions{Length: 3}, true},
		{206, "bytes 0-6/7", "content", driver.OpenOptions{Length: 9}, true},
		{206, "bytes 2-6/7", "ntent", driver.OpenOptions{Offset: 2}, true},
		{206, "bytes 2-6/7", "ntent", driver.OpenOptions{Offset: 2, Length: math.MaxInt64}, true},
		{206, "bytes 2-3/7", "nt", driver.OpenOptions{Offset: 2, Length: 2}, true},
		{200, "", "content", driver.OpenOptions{Offset: 2}, false},
		{200, "", "content", driver.OpenOptions{Offset: 2, Length: 2}, false},
		{206, "bytes 1-6/7", "ontent", driver.OpenOptions{Offset: 2}, false},
		{206, "bytes 2-3/7", "nt", driver.OpenOptions{Offset: 2}, false},
		{206, "bytes 2-2/7", "n", driver.OpenOptions{Offset: 2, Length: 2}, false},
		{206, "bytes 2-6/*", "ntent", driver.OpenOptions{Offset: 2}, false},
		{206, "bytes 2-6/7", "ntent", driver.OpenOptions{}, false},
		{206, "", "ntent", driver.OpenOptions{Offset: 2}, false},
		{206, "items 2-6/7", "ntent", driver.OpenOptions{Offset: 2}, false},
	} {
		s.respond(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", "x")
			w.Header().Set("Last-Modified", modified)
			if c.is != "" {
				w.Header().Set("Content-Range", c.is)
			}
			w.WriteHeader(c.status)
			_, _ = io.WriteString(w, c.content)
		})
		r, info, err := d.Open(t.Context(), "a", &c.asked)
		if !c.ok {
			require.ErrorIs(t, err, driver.ErrUnavailable, "%+v", c)
			continue
		}
		require.NoError(t, err, "%+v", c)
		require.EqualValues(t, 7, info.Size, "%+v", c)
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Equal(t, c.content, string(content))
		require.NoError(t, r.Close())
	}
}

// TestNotModifiedWithoutConditionFails: a 304 response to a request without a condition is an error
// and is not retried endlessly.
func TestNotModifiedWithoutConditionFails(t *testing.T) {
	s, d := openServer(t)
	version := put(t, d, "a", nil).Version
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", version)
		w.Header().Set("Last-Modified", modified)
		w.Header().Set("Content-Length", "7")
	})
	for _, opts := range []*driver.OpenOptions{nil, {Offset: 1}, {IfNotVersion: "another"}} {
		_, _, err := d.Open(t.Context(), "a", opts)
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.NotErrorIs(t, err, driver.ErrNotModified)
	}
	_, info, err := d.Open(t.Context(), "a", &driver.OpenOptions{IfNotVersion: version})
	require.ErrorIs(t, err, driver.ErrNotModified)
	require.Equal(t, version, info.Version)
}

// TestNotModifiedIsOneRequest: the response with status 304 states the version, so nothing else is
// asked.
func TestNotModifiedIsOneRequest(t *testing.T) {
	s, d := openServer(t)
	version := put(t, d, "a", nil).Version
	var requests []string
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.Method+" "+r.Header.Get("If-None-Match"))
		s.serve(w, r)
	})
	_, info, err := d.Open(t.Context(), "a", &driver.OpenOptions{IfNotVersion: version})
	require.ErrorIs(t, err, driver.ErrNotModified)
	require.Equal(t, driver.Info{Key: "a", Version: version}, info)
	require.Equal(t, []string{"GET " + version}, requests)
}

// TestResponsesCutAnywhere truncates each response of the store at each of its bytes. The driver
// must detect this.
func TestResponsesCutAnywhere(t *testing.T) {
	s, d := openServer(t)
	for _, key := range []string{"a", "b"} {
		put(t, d, key, nil)
	}
	version := put(t, d, "c", nil).Version
	var at, length atomic.Int64
	s.respond(func(w http.ResponseWriter, r *http.Request) {
		whole := httptest.NewRecorder()
		s.serve(whole, r)
		result := whole.Result()
		result.ContentLength = int64(whole.Body.Len())
		if r.Method == http.MethodHead {
			result.ContentLength, _ = strconv.ParseInt(whole.Header().Get("Content-Length"), 10, 64)
		}
		result.Request = r
		var wire bytes.Buffer
		if err := result.Write(&wire); err != nil {
			panic(err)
		}
		length.Store(int64(wire.Len()))
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		_, _ = io.CopyN(c, &wire, at.Load())
	})
	opened := func(opts *driver.OpenOptions, want string) error {
		r, info, err := d.Open(t.Context(), "a", opts)
		if err != nil {
			return err
		}
		require.Equal(t, version, info.Version)
		require.EqualValues(t, len("content"), info.Size)
		content, err := io.ReadAll(r)
		if err == nil {
			require.Equal(t, want, string(content))
		}
		return errors.Join(err, r.Close())
	}
	for what, do := range map[string]func() error{
		"list": func() error {
			keys, err := listed(t, d)
			if err == nil {
				require.Equal(t, []string{"a", "b", "c"}, keys)
			}
			return err
		},
		"stat": func() error {
			info, err := d.Stat(t.Context(), "a")
			if err == nil {
				require.Equal(t, version, info.Version)
				require.EqualValues(t, len("content"), info.Size)
			}
			return err
		},
		"open":  func() error { return opened(nil, "content") },
		"range": func() error { return opened(&driver.OpenOptions{Offset: 2, Length: 3}, "nte") },
		"put": func() error {
			info, err := d.Put(t.Context(), "a", strings.NewReader("content"), nil)
			if err == nil {
				require.Equal(t, version, info.Version)
			}
			return err
		},
		"create": func() error {
			_, err := d.Put(t.Context(), "a", strings.NewReader("x"), &driver.PutOptions{IfAbsent: true})
			if errors.Is(err, driver.ErrExist) {
				return nil
			}
			require.Error(t, err)
			return err
		},
		"absent": func() error {
			_, _, err := d.Open(t.Context(), "none", nil)
			if errors.Is(err, driver.ErrNotExist) {
				return nil
			}
			require.Error(t, err)
			return err
		},
	} {
		done := 0
		at.Store(0)
		for length.Store(1); at.Load() <= length.Load(); at.Add(1) {
			err := do()
			if err == nil {
				done++
				continue
			}
			require.ErrorIs(t, err, driver.ErrUnavailable, "%s cut after %d bytes", what, at.Load())
			for _, known := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged, driver.ErrNotModified} {
				require.NotErrorIs(t, err, known, "%s cut after %d bytes", what, at.Load())
			}
		}
		require.NotZero(t, done, what)
	}
}

// TestMultipartResponseOfProxyFails: the store responds 200 to the completion of an upload before
// it knows the result. The body may then contain an error.
func TestMultipartResponseOfProxyFails(t *testing.T) {
	s, d := openServer(t)
	for _, c := range []struct{ begin, complete string }{
		{"<R><UploadId>id</UploadId></R>", "<Error><Code>InternalError</Code><Message>it is so</Message></Error>"},
		{"<R><UploadId>id</UploadId></R>", "<html><body>welcome</body></html>"},
		{"<R><UploadId>id</UploadId></R>", "<CompleteMultipartUploadResult><ETag>"},
		{"<R><UploadId>id</UploadId></R>", ""},
		{"<html><body>welcome</body></html>", "<R><ETag>x</ETag></R>"},
		{"", "<R><ETag>x</ETag></R>"},
		{"<R><UploadId>id</UploadId></R>", "<R><ETag>x</ETag></R>"},
	} {
		s.respond(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("ETag", "part")
			switch {
			case r.Method == http.MethodPost && r.URL.Query().Has("uploads"):
				_, _ = io.WriteString(w, c.begin)
			case r.Method == http.MethodPost:
				_, _ = io.WriteString(w, c.complete)
			case r.Method == http.MethodDelete:
				w.WriteHeader(http.StatusNoContent)
			}
		})
		info, err := d.Put(t.Context(), "large", bytes.NewReader(make([]byte, 9<<20)), &driver.PutOptions{IfAbsent: true})
		if strings.HasPrefix(c.complete, "<R>") && strings.HasPrefix(c.begin, "<R>") {
			require.NoError(t, err)
			require.Equal(t, "x", info.Version)
			continue
		}
		require.Error(t, err, "%+v", c)
		require.NotErrorIs(t, err, driver.ErrExist, "%+v", c)
	}
}
