package s3_test

import (
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
