package s3_test

import (
	"io"
	"net/http"
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
