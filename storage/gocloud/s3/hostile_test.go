package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/gocloud"
)

// listed returns the keys that a list yields before it ends or fails.
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

// TestListCut: the error of a connection that ends before the answer is io.EOF, and not the end of the list.
func TestListCut(t *testing.T) {
	s, d := openServer(t)
	put(t, d, "a", nil)
	s.answer(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err := listed(t, d)
	require.ErrorIs(t, err, storage.ErrUnavailable)
}

// answer answers everything with a status and a body.
func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// TestListForeign: what is not a list, or not a whole one, is no empty list.
func TestListForeign(t *testing.T) {
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
		"", "welcome", "<html><body>welcome</body></html>", "<Error><Code>InternalError</Code></Error>", "<ListBucketResult/>",
		"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
		"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken></ListBucketResult>",
		"<ListBucketResult><IsTruncated>false</IsTruncated>",
		object("<Key>a</Key><LastModified>2006-01-02T15:04:05Z</LastModified><ETag>x</ETag>"),
		object("<Key>a</Key><LastModified>2006-01-02T15:04:05Z</LastModified><Size>1</Size>"),
		object("<Key>a</Key><ETag>x</ETag><Size>1</Size>"),
	} {
		s.answer(answer(http.StatusOK, body))
		keys, err := listed(t, d)
		require.Error(t, err, "%q", body)
		require.Empty(t, keys, "%q", body)
	}
}

// TestUndescribed: an object without a version could only be changed without a condition, and one without a time is old enough to be collected.
func TestUndescribed(t *testing.T) {
	s, d := openServer(t)
	version := put(t, d, "a", nil).Version
	const tag, length, date = "ETag: \"x\"\r\n", "Content-Length: 3\r\n", "Last-Modified: " + modified + "\r\n"
	for _, header := range []string{"", tag + length, tag + date, length + date, length, tag, date} {
		s.answer(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n"+header+"Connection: close\r\n\r\nabc")
		})
		_, err := d.Stat(t.Context(), "a")
		require.ErrorIs(t, err, storage.ErrUnavailable, header)
		for _, opts := range []*storage.OpenOptions{nil, {IfNotVersion: version}, {Offset: 1, Length: 2}} {
			_, _, err = d.Open(t.Context(), "a", opts)
			require.ErrorIs(t, err, storage.ErrUnavailable, header)
		}
		if strings.Contains(header, tag) {
			continue
		}
		for _, opts := range []*storage.PutOptions{nil, {IfAbsent: true}, {IfVersion: version}} {
			_, err = d.Put(t.Context(), "a", strings.NewReader("another"), opts)
			require.ErrorIs(t, err, storage.ErrUnavailable, header)
		}
	}
}
