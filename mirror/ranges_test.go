package mirror_test

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/upstreamtest"
)

// coldRanges are the ranges of a blob of 6 MiB that wait for a fill: they are open-ended, or longer
// than what is passed through, or several.
var coldRanges = []struct {
	header string
	parts  [][2]int // first byte and end of each part
}{
	{"bytes=0-", [][2]int{{0, 6 << 20}}},
	{"bytes=1-", [][2]int{{1, 6 << 20}}},
	{"bytes=5242880-", [][2]int{{5 << 20, 6 << 20}}},
	{"bytes=6291455-", [][2]int{{6<<20 - 1, 6 << 20}}},
	{"bytes=-3145728", [][2]int{{3 << 20, 6 << 20}}},
	{"bytes=1048576-4194303", [][2]int{{1 << 20, 4 << 20}}},
	{"bytes=10-19,5000000-5000009", [][2]int{{10, 20}, {5_000_000, 5_000_010}}},
	{"bytes=0-0,-10", [][2]int{{0, 1}, {6<<20 - 10, 6 << 20}}},
}

// TestRangesOfAColdBlob requests many ranges of a blob at once while it arrives slowly. Each response
// is that of a registry which has the blob, and one request reaches the upstream, whether it has
// ranges or not.
func TestRangesOfAColdBlob(t *testing.T) {
	for name, ranges := range map[string]bool{"with ranges": true, "without ranges": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			content := random(6 << 20)
			desc := r.up.Blob("a/app", content)
			r.up.Break(upstreamtest.Match{Kind: upstreamtest.Blob}, func(reply *upstreamtest.Reply) {
				reply.Chunk, reply.Pause, reply.NoRanges = 256<<10, 5*time.Millisecond, !ranges
			})
			url := r.serve(nil) + "/v2/" + repo + "/blobs/" + string(desc.Digest)
			var all sync.WaitGroup
			errs := make([]error, len(coldRanges))
			for i, row := range coldRanges {
				all.Go(func() { errs[i] = checkRange(t, url, row.header, content, row.parts) })
			}
			all.Wait()
			for i, err := range errs {
				require.NoError(t, err, coldRanges[i].header)
			}
			require.Equal(t, 1, r.up.Count("GET", upstreamtest.Blob))
			res, _ := do(t, "GET", url, "Range", "bytes=6291456-")
			require.Equal(t, http.StatusRequestedRangeNotSatisfiable, res.StatusCode)
		})
	}
}

// TestSmallRangesOfAColdBlob: a suffix and a small part come without the rest of the blob, unless the
// upstream has no ranges.
func TestSmallRangesOfAColdBlob(t *testing.T) {
	for name, ranges := range map[string]bool{"with ranges": true, "without ranges": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			content := random(6 << 20)
			_, man := r.up.Image("a/app", "v1", content)
			desc := man.Layers[0]
			r.up.Break(upstreamtest.Match{Kind: upstreamtest.Blob},
				func(reply *upstreamtest.Reply) { reply.NoRanges = !ranges })
			url := r.serve(nil) + "/v2/" + repo + "/blobs/" + string(desc.Digest)
			_, err := r.m.GetManifest(t.Context(), repo, byTag("v1")) // which states the size of the blob
			require.NoError(t, err)
			require.NoError(t, checkRange(t, url, "bytes=-51", content, [][2]int{{6<<20 - 51, 6 << 20}}))
			require.NoError(t, checkRange(t, url, "bytes=5000000-5000099", content, [][2]int{{5_000_000, 5_000_100}}))
			r.settle() // the part arrives before the end of the blob
			_, err = r.store.StatBlob(t.Context(), repo, desc.Digest, nil)
			require.Equal(t, ranges, err != nil, "%v", err)
		})
	}
}

// checkRange requests ranges of a blob, and compares the response with the parts of content.
func checkRange(t *testing.T, url, header string, content []byte, parts [][2]int) error {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Range", header)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	whole := header == "bytes=0-"
	if res.StatusCode != http.StatusPartialContent && !(whole && res.StatusCode == http.StatusOK) {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	next := func() (io.Reader, string, error) { return res.Body, res.Header.Get("Content-Range"), nil }
	if len(parts) > 1 {
		_, params, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
		if err != nil {
			return err
		}
		many := multipart.NewReader(res.Body, params["boundary"])
		next = func() (io.Reader, string, error) {
			p, err := many.NextPart()
			if err != nil {
				return nil, "", err
			}
			return p, p.Header.Get("Content-Range"), nil
		}
	}
	for _, part := range parts {
		from, stated, err := next()
		if err != nil {
			return err
		}
		want := fmt.Sprintf("bytes %d-%d/%d", part[0], part[1]-1, len(content))
		if stated != want && !whole {
			return fmt.Errorf("Content-Range is %q instead of %q", stated, want)
		}
		got, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, content[part[0]:part[1]]) {
			return fmt.Errorf("%d wrong bytes", len(got))
		}
	}
	return nil
}
