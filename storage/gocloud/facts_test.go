package gocloud_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/gcerrors"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
)

// Each test in this file first shows a behavior of gocloud.dev that would harm a registry, and then
// that the driver avoids the harm. If the first half fails after an upgrade, gocloud.dev has
// changed.

var errBody = errors.New("the body is broken")

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errBody }

func truncated() io.Reader { return io.MultiReader(strings.NewReader("half of the "), brokenBody{}) }

func TestFactTruncatedBodiesAreCommitted(t *testing.T) {
	for _, b := range buckets {
		if b.providers != nil {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			raw := b.open(t)
			w, err := raw.NewWriter(t.Context(), "copied", nil)
			require.NoError(t, err)
			_, err = io.Copy(w, truncated())
			require.ErrorIs(t, err, errBody)
			require.NoError(t, w.Close())
			require.ErrorIs(t, raw.Upload(t.Context(), "uploaded", truncated(), &blob.WriterOptions{ContentType: "a/b"}),
				errBody)
			for _, name := range []string{"copied", "uploaded"} {
				there, err := raw.Exists(t.Context(), name)
				require.NoError(t, err)
				require.True(t, there, "%s: gocloud.dev stores a truncated object", name)
			}
		})
	}
	onBuckets(t, func(t *testing.T, b bucket) {
		d := b.driver(t)
		_, err := d.Put(t.Context(), "key", truncated(), nil)
		require.ErrorIs(t, err, errBody)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = d.Put(ctx, "key", readerFunc(func(p []byte) (int, error) { cancel(); return copy(p, "x"), nil }), nil)
		require.ErrorIs(t, err, context.Canceled)
		// An error that only wraps io.EOF does not end the body.
		_, err = d.Put(t.Context(), "key", readerFunc(func([]byte) (int, error) { return 0, errors.Join(io.EOF, errBody) }),
			nil)
		require.ErrorIs(t, err, errBody)
		// A Put whose condition fails at the end leaves nothing either.
		_, err = d.Put(t.Context(), "key", strings.NewReader("new"), &driver.PutOptions{IfVersion: "1"})
		require.ErrorIs(t, err, driver.ErrChanged)
		require.Empty(t, keys(t, d, "", nil))
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// listed lists a bucket in pages of n and returns the names.
func listed(t *testing.T, b *blob.Bucket, n int) (names []string) {
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := b.ListPage(t.Context(), token, n, nil)
		require.NoError(t, err)
		for _, o := range page {
			names = append(names, o.Key)
		}
		token = next
	}
	return names
}

func TestFactFileblobPagesLoseKeys(t *testing.T) {
	raw := fileBucket(recommended)(t)
	want := []string{"a-b", "a.b", "a/1", "a/2"}
	for _, name := range want {
		require.NoError(t, raw.WriteAll(t.Context(), name, nil, nil))
	}
	require.NotElementsMatch(t, want, listed(t, raw, 2), "fileblob pages over a/ and a-b")

	d := buckets[2].driver(t)
	for _, key := range want {
		put(t, d, key, "x", nil)
	}
	require.Equal(t, want, keys(t, d, "", nil))
	require.Equal(t, want[1:], keys(t, d, "", &driver.ListOptions{After: "a-b", PageHint: 1}))
}

func TestFactFileblobListsTemporaryFiles(t *testing.T) {
	raw := fileBucket(recommended)(t)
	d, err := gocloud.New(t.Context(), raw, nil)
	require.NoError(t, err)
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := d.Put(t.Context(), "dir/key", r, nil)
		done <- err
	}()
	_, err = w.Write([]byte("some"))
	require.NoError(t, err)
	require.Len(t, listed(t, raw, 10), 1, "fileblob lists what is being written")
	require.Empty(t, keys(t, d, "", nil))
	require.NoError(t, w.Close())
	require.NoError(t, <-done)
	require.Equal(t, []string{"dir/key"}, keys(t, d, "", nil))
}

func TestFactFileblobRefusesAndManglesNames(t *testing.T) {
	raw := fileBucket(recommended)(t)
	require.Error(t, raw.WriteAll(t.Context(), "x.attrs", nil, nil))
	require.NoError(t, raw.WriteAll(t.Context(), "a__0x41__", nil, nil))
	require.Equal(t, []string{"aA"}, listed(t, raw, 10))
	require.NoError(t, raw.WriteAll(t.Context(), "x", nil, nil))
	require.Error(t, raw.WriteAll(t.Context(), "x/y", nil, nil))

	want := []string{"A", "a", "a../b", "aA", "a__0x2f__b", "a__0x41__", "x", "x.0000000000000000.tmp", "x.attrs", "x/y"}
	onBuckets(t, func(t *testing.T, b bucket) {
		d := b.driver(t)
		for _, key := range want {
			put(t, d, key, key, nil)
		}
		require.Equal(t, want, keys(t, d, "", nil))
		require.Equal(t, []string{"a../b"}, keys(t, d, "a../", nil))
		for _, key := range want {
			info, err := d.Stat(t.Context(), key)
			require.NoError(t, err, key)
			require.EqualValues(t, len(key), info.Size)
		}
	})
}

func TestFactFileblobWritesSecondFiles(t *testing.T) {
	for _, c := range []struct {
		opts  fileblob.Options
		files int
	}{{fileblob.Options{}, 2}, {recommended, 1}} {
		dir := t.TempDir()
		raw, err := fileblob.OpenBucket(dir, &c.opts)
		require.NoError(t, err)
		d, err := gocloud.New(t.Context(), raw, nil)
		require.NoError(t, err)
		put(t, d, "key", "x", nil)
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, files, c.files)
		require.Equal(t, []string{"key"}, keys(t, d, "", nil))
	}
}

// TestFactMD5: by default, gocloud.dev computes a hash of everything that is written.
func TestFactMD5(t *testing.T) {
	for _, c := range []struct {
		name   string
		on     *blob.Bucket
		hashed bool
	}{
		{"mem by default", memblob.OpenBucket(nil), true},
		{"mem", memBucket(t), false},
		{"file by default", fileBucket(fileblob.Options{})(t), true},
		{"file", fileBucket(recommended)(t), false},
	} {
		d, err := gocloud.New(t.Context(), c.on, nil)
		require.NoError(t, err)
		put(t, d, "key", "x", nil)
		a, err := c.on.Attributes(t.Context(), "key")
		require.NoError(t, err)
		require.Equal(t, c.hashed, len(a.MD5) > 0, c.name)
		require.NoError(t, c.on.Close())
	}
}

// TestListTakesManyPages: a List yields every key once, whatever the size of its pages. memblob
// examines all keys for each page, and more of them for later pages.
func TestListTakesManyPages(t *testing.T) {
	d := buckets[0].driver(t)
	want := make([]string, 5000)
	for i := range want {
		want[i] = fmt.Sprintf("dir%d/key%04d", i/2000, i)
		put(t, d, want[i], "", nil)
	}
	require.Equal(t, want, keys(t, d, "", &driver.ListOptions{PageHint: 1}), "pages that grow")
	for _, hint := range []int{100, 1000} {
		var got []string
		opts := driver.ListOptions{PageHint: hint}
		for n := 0; ; n = 0 {
			for info, err := range d.List(t.Context(), "", &opts) {
				require.NoError(t, err)
				got = append(got, info.Key)
				if n++; n == hint {
					break
				}
			}
			if n < hint {
				break
			}
			opts.After = got[len(got)-1]
			require.LessOrEqual(t, len(got), len(want))
		}
		require.Equal(t, want, got, "pages of %d", hint)
	}
}

// TestFilesDirectoryGoneIsUnavailable: a missing bucket must not look like an empty one, because a
// garbage collection would then find no references.
func TestFilesDirectoryGoneIsUnavailable(t *testing.T) {
	for _, prefix := range []string{"", "Registry/v1/"} {
		dir := filepath.Join(t.TempDir(), "bucket")
		opts := recommended
		opts.CreateDir = true
		raw, err := fileblob.OpenBucket(dir, &opts)
		require.NoError(t, err)
		d, err := gocloud.New(t.Context(), raw, &gocloud.Options{Prefix: prefix})
		require.NoError(t, err)
		require.Empty(t, keys(t, d, "", nil))
		for i := range 5 {
			put(t, d, "dir"+itoa(i)+"/key", "x", nil)
			put(t, d, "flat/key"+itoa(i), "x", nil)
		}
		require.Empty(t, keys(t, d, "none/", nil), "a directory that is not there is empty")

		gone := dir + "-gone"
		fails := func(prefix string, keysOnly bool, after int) {
			t.Helper()
			n, failed := 0, 0
			for _, err := range d.List(t.Context(), prefix, &driver.ListOptions{KeysOnly: keysOnly}) {
				if err != nil {
					require.ErrorIs(t, err, driver.ErrUnavailable)
					require.NotErrorIs(t, err, driver.ErrNotExist)
					failed++
					continue
				}
				if n++; n == after {
					require.NoError(t, os.Rename(dir, gone))
				}
			}
			require.Equal(t, after, n)
			require.Equal(t, 1, failed)
			require.NoError(t, os.Rename(gone, dir))
		}
		fails("", true, 2)
		fails("", false, 2)
		fails("flat/", false, 2)
		for _, p := range []string{"", "flat/", "none/"} {
			require.NoError(t, os.Rename(dir, gone))
			fails(p, false, 0)
		}
		require.Len(t, keys(t, d, "", nil), 10)
	}
}

// allocated returns the number of bytes that f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestFactCopiesAllocate(t *testing.T) {
	raw := memBucket(t)
	require.NoError(t, raw.WriteAll(t.Context(), "key", []byte("x"), nil))
	r, err := raw.NewReader(t.Context(), "key", nil)
	require.NoError(t, err)
	require.Greater(t, allocated(func() { _, _ = io.Copy(struct{ io.Writer }{io.Discard}, r) }), uint64(1<<20))
	require.NoError(t, r.Close())

	onBuckets(t, func(t *testing.T, b bucket) {
		d := b.driver(t)
		put(t, d, "key", "x", nil) // fills the pools
		require.Less(t, allocated(func() {
			put(t, d, "key", "content", nil)
			r, _, err := d.Open(t.Context(), "key", nil)
			require.NoError(t, err)
			_, err = io.Copy(struct{ io.Writer }{io.Discard}, r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
		}), uint64(512<<10))
	})
}

func TestFactFileblobHasFiles(t *testing.T) {
	d := buckets[2].driver(t)
	put(t, d, "key", "0123456789", nil)
	r, _, err := d.Open(t.Context(), "key", &driver.OpenOptions{Offset: 4, Length: 3})
	require.NoError(t, err)
	require.Implements(t, (*syscall.Conn)(nil), r, "so that it is sent by sendfile(2)")
	rest := make([]byte, 3)
	_, err = io.ReadFull(r, rest)
	require.NoError(t, err)
	require.Equal(t, "456", string(rest))
	require.NoError(t, r.Close())
	_, err = r.Read(rest)
	require.ErrorIs(t, err, fs.ErrClosed, "the file is closed with the reader")
}

func network(t *testing.T) (*gocloud.Driver, *networkBucket) {
	raw := openNetwork(t)
	var n *networkBucket
	require.True(t, raw.As(&n))
	return buckets[len(buckets)-1].on(t, raw, nil), n
}

func TestFactForbiddenIsNotFound(t *testing.T) {
	d, n := network(t)
	put(t, d, "key", "x", nil)
	n.denied = "key"
	require.Equal(t, gcerrors.NotFound, n.ErrorCode(statusError(403)))
	for _, version := range []string{"", "1"} {
		err := d.Delete(t.Context(), "key", version)
		require.Error(t, err)
		require.NotErrorIs(t, err, driver.ErrNotExist)
		require.NotErrorIs(t, err, driver.ErrChanged)
	}
}

func TestFactEmptyRangesAreRefused(t *testing.T) {
	d, _ := network(t)
	want := put(t, d, "key", "", nil)
	for _, opts := range []driver.OpenOptions{{Length: 5}, {Offset: 1}, {Offset: 1, Length: 5}} {
		r, info, err := d.Open(t.Context(), "key", &opts)
		require.NoError(t, err)
		require.Equal(t, want, info)
		b, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Empty(t, b)
	}
	_, _, err := d.Open(t.Context(), "none", &driver.OpenOptions{Offset: 1})
	require.ErrorIs(t, err, driver.ErrNotExist)
}

func TestFactListsBeginAtTheBeginning(t *testing.T) {
	d, n := network(t)
	for i := range 3000 {
		put(t, d, "t/"+strings.Repeat("0", 4-len(itoa(i)))+itoa(i), "", nil)
	}
	n.lists = 0
	count := 0
	for info, err := range d.List(t.Context(), "t/", &driver.ListOptions{After: "t/2500", PageHint: 100}) {
		require.NoError(t, err)
		require.Greater(t, info.Key, "t/2500")
		if count++; count == 100 {
			break
		}
	}
	require.Equal(t, 1, n.lists, "one request for a page from the middle")
}

func TestNetworkFailureIsUnavailable(t *testing.T) {
	d, n := network(t)
	put(t, d, "key", "x", nil)
	n.down = true
	_, _, err := d.Open(t.Context(), "key", nil)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	_, _, err = d.Open(t.Context(), "key", &driver.OpenOptions{Offset: 5, IfNotVersion: "1"})
	require.ErrorIs(t, err, driver.ErrUnavailable)
	_, err = d.Stat(t.Context(), "key")
	require.ErrorIs(t, err, driver.ErrUnavailable)
	for _, opts := range []driver.PutOptions{{}, {IfAbsent: true}, {IfVersion: "1"}} {
		_, err = d.Put(t.Context(), "key", nil, &opts)
		require.ErrorIs(t, err, driver.ErrUnavailable)
		require.NotErrorIs(t, err, driver.ErrExist)
		require.NotErrorIs(t, err, driver.ErrChanged)
	}
	require.ErrorIs(t, d.Delete(t.Context(), "key", "1"), driver.ErrUnavailable)
	for _, err := range d.List(t.Context(), "", nil) {
		require.ErrorIs(t, err, driver.ErrUnavailable)
	}
	require.ErrorIs(t, err, statusError(503), "the cause is kept")
}

func TestNewRefuses(t *testing.T) {
	_, err := gocloud.New(t.Context(), nil, nil)
	require.Error(t, err)
	_, err = gocloud.New(t.Context(), openNetwork(t), nil)
	require.ErrorIs(t, err, errors.ErrUnsupported, "a store on the network needs a provider")
	for _, prefix := range []string{"a", "/", "/a/", "a//", "a b/", "../", "a../", "a__0x41__b/"} {
		_, err = gocloud.New(t.Context(), memBucket(t), &gocloud.Options{Prefix: prefix})
		require.ErrorIs(t, err, driver.ErrKey, prefix)
	}
	_, err = gocloud.New(t.Context(), memBucket(t), &gocloud.Options{Parts: gocloud.Parts{Size: 1}})
	require.Error(t, err)
	_, err = gocloud.New(t.Context(), blob.PrefixedBucket(fileBucket(recommended)(t), "dir/no-slash"), nil)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, `must end in "/"`)
	closed := memblob.OpenBucket(nil)
	require.NoError(t, closed.Close())
	_, err = gocloud.New(t.Context(), closed, nil)
	require.Error(t, err)
}

// TestPrefixesShareABucket: drivers with different prefixes of one bucket do not see each other's
// objects, nor other objects of the bucket.
func TestPrefixesShareABucket(t *testing.T) {
	onBuckets(t, func(t *testing.T, b bucket) {
		raw := b.open(t)
		require.NoError(t, raw.WriteAll(t.Context(), "foreign name+", nil, nil))
		require.NoError(t, raw.WriteAll(t.Context(), "one/foreign name+", nil, nil))
		under := blob.PrefixedBucket(b.open(t), "below/")
		var ds []*gocloud.Driver
		for _, c := range []struct {
			on     *blob.Bucket
			prefix string
		}{{raw, "one/"}, {raw, "one/two/"}, {raw, "onE/"}, {under, ""}, {under, "one/"}} {
			d, err := gocloud.New(t.Context(), c.on, &gocloud.Options{Prefix: c.prefix, Providers: b.providers})
			if b.providers != nil && c.on == under {
				continue // the client of a store does not apply the prefix
			}
			require.NoError(t, err)
			ds = append(ds, d)
		}
		for i, d := range ds {
			put(t, d, "key"+itoa(i), "x", nil)
			put(t, d, "dir/key"+itoa(i), "x", nil)
		}
		for i, d := range ds {
			require.Subset(t, keys(t, d, "", nil), []string{"dir/key" + itoa(i), "key" + itoa(i)})
			require.Equal(t, []string{"dir/key" + itoa(i)}, keys(t, d, "dir/", nil))
		}
	})
}

func TestSignedURL(t *testing.T) {
	d, _ := network(t)
	got, err := d.SignedURL(t.Context(), "a__b", time.Minute)
	require.NoError(t, err)
	require.Equal(t, "https://bucket.example/v1/a_^b?expires=1m0s", got)
	_, err = d.SignedURL(t.Context(), "../a", time.Minute)
	require.ErrorIs(t, err, driver.ErrKey)
	_, err = buckets[0].driver(t).SignedURL(t.Context(), "key", time.Minute)
	require.ErrorIs(t, err, errors.ErrUnsupported)

	base, err := url.Parse("https://files.example/get")
	require.NoError(t, err)
	signer := fileblob.NewURLSignerHMAC(base, []byte("secret"))
	opts := recommended
	opts.URLSigner = signer
	raw := fileBucket(opts)(t)
	d, err = gocloud.New(t.Context(), raw, nil)
	require.NoError(t, err)
	put(t, d, "dir/Key.1", "content", nil)
	signed, err := d.SignedURL(t.Context(), "dir/Key.1", time.Minute)
	require.NoError(t, err)
	parsed, err := url.Parse(signed)
	require.NoError(t, err)
	name, err := signer.KeyFromURL(t.Context(), parsed)
	require.NoError(t, err)
	content, err := raw.ReadAll(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, "content", string(content), "what is signed is the object and nothing else")
}
