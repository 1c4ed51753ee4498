package gcs

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	cloud "cloud.google.com/go/storage"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/memblob"
	"google.golang.org/api/googleapi"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// internal/e2e/cloud has the tests that need a server.

func TestProviderKnowsItsBuckets(t *testing.T) {
	bucket := memblob.OpenBucket(nil)
	defer bucket.Close()
	s, err := Provider(nil)(t.Context(), bucket)
	require.NoError(t, err)
	require.Nil(t, s)
}

func TestPartSize(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		part, hint int64
		want       int
	}{
		{0, 0, 8 * mib},
		{0, 1, 8 * mib}, // a wrong hint: the body is larger than a head
		{0, 300 << 10, mib},
		{0, 3 * mib, 3*mib + granule},
		{0, 8*mib - 1, 8 * mib},
		{0, 8 * mib, 8*mib + granule},
		{0, 64 * mib, 8*mib + granule},
		{0, 64*mib + 1, 8 * mib},
		{0, 1 << 50, 8*mib + granule},
		{32 * mib, 0, 32 * mib},
		{16 * mib, 64 * mib, 16*mib + granule},
		{5*mib + 1, 0, 5*mib + granule},
	} {
		got := partSize(&gocloud.PutOptions{Size: c.hint, Parts: gocloud.Parts{Size: c.part}})
		require.Equal(t, c.want, got, "%+v", c)
	}
}

func TestFill(t *testing.T) {
	p := make([]byte, 10)
	for _, c := range []struct {
		size, n int
		ended   bool
	}{{0, 0, true}, {9, 9, true}, {10, 10, false}, {11, 10, false}} {
		body := strings.Repeat("x", c.size)
		for _, r := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body)),
			iotest.DataErrReader(strings.NewReader(body))} {
			n, ended, err := fill(p, r)
			require.NoError(t, err)
			require.Equal(t, c.n, n, "%+v", c)
			require.Equal(t, c.ended, ended && c.size < 10, "%+v", c)
		}
	}
	for _, bad := range []error{io.ErrUnexpectedEOF, fmt.Errorf("wraps: %w", io.EOF)} {
		_, _, err := fill(p, io.MultiReader(strings.NewReader("x"), iotest.ErrReader(bad)))
		require.Equal(t, bad, err, "it is no end")
	}
}

func TestFailure(t *testing.T) {
	s := &store{}
	response := func(code int, message string) error {
		return fmt.Errorf("wrapped: %w", &googleapi.Error{Code: code, Message: message})
	}
	for _, c := range []struct{ err, want error }{
		{response(404, "No such object: bucket/x"), driver.ErrNotExist},
		{response(404, "Not Found"), driver.ErrNotExist},
		{response(404, "The specified bucket does not exist."), driver.ErrUnavailable},
		{cloud.ErrObjectNotExist, driver.ErrNotExist},
		{cloud.ErrBucketNotExist, driver.ErrUnavailable},
		{response(401, ""), driver.ErrUnavailable},
		{response(403, "denied, or it does not exist"), driver.ErrUnavailable},
		{response(304, ""), driver.ErrNotModified},
		{response(404, ""), driver.ErrUnavailable},
		{response(412, "Precondition Failed"), driver.ErrChanged},
		{response(412, ""), driver.ErrUnavailable},
		{response(416, ""), nil},
		{response(408, ""), driver.ErrUnavailable},
		{response(429, ""), driver.ErrUnavailable},
		{response(500, ""), driver.ErrUnavailable},
		{response(503, ""), driver.ErrUnavailable},
		{io.ErrUnexpectedEOF, driver.ErrUnavailable},
		{&url.Error{Op: "Get", URL: "/", Err: io.EOF}, driver.ErrUnavailable},
		{&net.OpError{Op: "dial", Err: errors.New("no route")}, driver.ErrUnavailable},
		{unknownOutcome(response(412, "")), driver.ErrUnavailable},
	} {
		got := s.Failure(c.err)
		for _, known := range []error{driver.ErrNotExist, driver.ErrChanged, driver.ErrNotModified,
			driver.ErrUnavailable} {
			if got == nil {
				require.ErrorIs(t, c.err, c.want)
				break
			}
			require.Equal(t, c.want == known, errors.Is(got, known), "%v is %v", c.err,
				got) //nolint:errorlint // they are what they are
		}
	}
	require.Nil(t, s.Failure(errors.New("what is this?")))
}

func TestAttempts(t *testing.T) {
	throttled, failed := &googleapi.Error{Code: 429}, &googleapi.Error{Code: 503}
	tr := (&store{opts: Options{Attempts: 3}}).attempts()
	require.True(t, tr.retry(throttled))
	require.False(t, tr.unsure, "nothing was done")
	require.True(t, tr.retry(failed))
	require.True(t, tr.unsure)
	require.False(t, tr.retry(failed), "the third attempt")
	tr.progress()
	require.True(t, tr.retry(failed))
	require.False(t, tr.retry(&googleapi.Error{Code: 412}))
}
