package cloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	googlestorage "cloud.google.com/go/storage"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"google.golang.org/api/option"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/gcs"
)

// gcsServer is fake-gcs-server with buckets for tests.
type gcsServer struct {
	*harness.FakeGCS
	buckets atomic.Int64
}

func newGCS(t *testing.T) *gcsServer { return &gcsServer{FakeGCS: harness.NewFakeGCS(t)} }

func (s *gcsServer) client(t *testing.T) *googlestorage.Client {
	t.Helper()
	client, err := googlestorage.NewClient(t.Context(), option.WithoutAuthentication(),
		option.WithEndpoint("http://"+s.Addr+"/storage/v1/"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// create makes an empty bucket and returns its name.
func (s *gcsServer) create(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", s.buckets.Add(1))
	require.NoError(t, s.client(t).Bucket(name).Create(t.Context(), "project", nil))
	s.Requests()
	return name
}

// open opens a bucket with a client of its own, as another process would. opts may be nil.
func (s *gcsServer) open(t *testing.T, name string, opts *gcsblob.Options) *blob.Bucket {
	t.Helper()
	if opts == nil {
		opts = &gcsblob.Options{}
	}
	opts.Client = s.client(t)
	bucket, err := gcsblob.OpenBucket(t.Context(), nil, name, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

func gcsDriver(t *testing.T, bucket *blob.Bucket, prefix string, opts *gcs.Options) *gocloud.Driver {
	t.Helper()
	d, err := gocloud.New(t.Context(), bucket, &gocloud.Options{Prefix: prefix,
		Providers: []gocloud.Provider{gcs.Provider(opts)}})
	require.NoError(t, err)
	return d
}

// driver returns a driver on an empty bucket.
func (s *gcsServer) driver(t *testing.T) *gocloud.Driver {
	return gcsDriver(t, s.open(t, s.create(t), nil), "", nil)
}

func TestGCSDriver(t *testing.T) {
	s := newGCS(t)
	const prefix = "Registry/v1/"
	names := map[driver.Driver]string{}
	drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
		name := s.create(t)
		d := gcsDriver(t, s.open(t, name, nil), prefix, nil)
		names[d] = name
		return d
	}, &drivertest.Options{
		LargeSize: 20 << 20, // parts
		Reopen: func(t *testing.T, d driver.Driver) driver.Driver {
			return gcsDriver(t, s.open(t, names[d], nil), prefix, nil)
		},
	})
}

func TestGCSBackend(t *testing.T) {
	s := newGCS(t)
	names := map[registry.Backend]string{}
	open := func(t *testing.T, name string) registry.Backend {
		store, err := storage.New(t.Context(), gcsDriver(t, s.open(t, name, nil), "", nil), nil)
		require.NoError(t, err)
		names[store] = name
		return store
	}
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend { return open(t, s.create(t)) }, &registrytest.Options{
		LargeSize: 20 << 20,
		Reopen:    func(t *testing.T, b registry.Backend) registry.Backend { return open(t, names[b]) },
	})
}

func gcsPut(t *testing.T, d driver.Driver, key, content string, opts *driver.PutOptions) driver.Info {
	t.Helper()
	info, err := d.Put(t.Context(), key, strings.NewReader(content), opts)
	require.NoError(t, err)
	return info
}

// TestGCSRequests counts the requests of each operation, and checks their conditions.
func TestGCSRequests(t *testing.T) {
	s := newGCS(t)
	d := s.driver(t)
	require.Empty(t, s.Requests(), "New asks nothing")
	info := gcsPut(t, d, "dir/key", "content", nil)
	large := strings.Repeat("x", 20<<20)
	counts := func(what string, f func(), want ...string) {
		t.Helper()
		s.Requests()
		f()
		require.Equal(t, want, s.Requests(), what)
	}
	open := func(opts *driver.OpenOptions, want error) {
		r, _, err := d.Open(t.Context(), "dir/key", opts)
		require.ErrorIs(t, err, want)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
		}
	}
	one := func(key string, opts *driver.PutOptions) { info = gcsPut(t, d, key, "content", opts) }

	counts("put", func() { one("dir/key", nil) }, "POST multipart")
	counts("put if absent", func() { one("dir/new", &driver.PutOptions{IfAbsent: true}) },
		"POST multipart ifGenerationMatch=0")
	before := info.Version
	counts("put if version", func() { one("dir/new", &driver.PutOptions{IfVersion: before}) },
		"POST multipart ifGenerationMatch="+before)
	counts("put if a version that is gone", func() {
		_, err := d.Put(t.Context(), "dir/new", nil, &driver.PutOptions{IfVersion: before})
		require.ErrorIs(t, err, driver.ErrChanged)
	}, "POST multipart ifGenerationMatch="+before)
	for _, size := range []int{0, 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, 8<<20 - 1} {
		for _, hint := range []int64{0, int64(size), 1, 100 << 20} {
			counts(fmt.Sprint("put ", size, " hint ", hint), func() {
				got := gcsPut(t, d, "size", large[:size], &driver.PutOptions{Size: hint})
				require.EqualValues(t, size, got.Size)
			}, "POST multipart")
		}
	}
	counts("put 8 MiB, known", func() { gcsPut(t, d, "size", large[:8<<20], &driver.PutOptions{Size: 8 << 20}) },
		"POST multipart")
	counts("put 20 MiB", func() { gcsPut(t, d, "size", large, &driver.PutOptions{IfAbsent: false}) },
		"POST resumable", "POST part", "POST part", "POST part")
	counts("put 16 MiB, known", func() { gcsPut(t, d, "size", large[:16<<20], &driver.PutOptions{Size: 16 << 20}) },
		"POST resumable", "POST part", "POST part")
	counts("put 20 MiB if absent", func() {
		_, err := d.Put(t.Context(), "dir/new", strings.NewReader(large), &driver.PutOptions{IfAbsent: true})
		require.ErrorIs(t, err, driver.ErrExist)
	}, "POST resumable ifGenerationMatch=0", "POST part", "POST part", "POST part")

	counts("open", func() { open(nil, nil) }, "GET read")
	counts("open a range", func() { open(&driver.OpenOptions{Offset: 2, Length: 3}, nil) }, "GET read")
	counts("open from the end", func() { open(&driver.OpenOptions{Offset: 100}, nil) }, "GET read", "GET object")
	current, err := d.Stat(t.Context(), "dir/key")
	require.NoError(t, err)
	counts("open what is known", func() {
		open(&driver.OpenOptions{IfNotVersion: current.Version},
			driver.ErrNotModified)
	}, "GET read")
	counts("open what has changed", func() { open(&driver.OpenOptions{IfNotVersion: info.Version}, nil) }, "GET read")
	counts("stat", func() {
		_, err := d.Stat(t.Context(), "dir/key")
		require.NoError(t, err)
	}, "GET object")
	counts("list", func() {
		for _, err := range d.List(t.Context(), "dir/", nil) {
			require.NoError(t, err)
		}
	}, "GET list")
	counts("list from the middle", func() {
		n := 0
		for info, err := range d.List(t.Context(), "dir/", &driver.ListOptions{After: "dir/key"}) {
			require.NoError(t, err)
			require.Equal(t, "dir/new", info.Key)
			n++
		}
		require.Equal(t, 1, n)
	}, "GET list startOffset=dir/key")
	counts("delete", func() { require.NoError(t, d.Delete(t.Context(), "dir/key", "")) }, "DELETE object")
	counts("delete if a version that is gone", func() {
		require.ErrorIs(t, d.Delete(t.Context(), "dir/new", before), driver.ErrChanged)
	}, "DELETE object ifGenerationMatch="+before)
	counts("delete if version", func() { require.NoError(t, d.Delete(t.Context(), "dir/new", info.Version)) },
		"DELETE object ifGenerationMatch="+info.Version)
	counts("a version of another store", func() {
		require.ErrorIs(t, d.Delete(t.Context(), "size", "etag"), driver.ErrChanged)
		_, err := d.Put(t.Context(), "size", nil, &driver.PutOptions{IfVersion: "etag"})
		require.ErrorIs(t, err, driver.ErrChanged)
	}, []string(nil)...)
}

// TestGCSCutOff checks that an upload stores nothing if its body fails or its context ends,
// wherever that happens.
func TestGCSCutOff(t *testing.T) {
	s := newGCS(t)
	d := s.driver(t)
	broken := errors.New("broken")
	for _, size := range []int{0, 10, 256 << 10, 300 << 10, 8 << 20, 8<<20 + 10, 20 << 20} {
		for _, hint := range []int64{0, int64(size)} {
			head := bytes.NewReader(make([]byte, size))
			_, err := d.Put(t.Context(), "key", io.MultiReader(head, iotest.ErrReader(broken)), &driver.PutOptions{Size: hint})
			require.ErrorIs(t, err, broken, "%d", size)
			ctx, cancel := context.WithCancel(t.Context())
			head = bytes.NewReader(make([]byte, size))
			_, err = d.Put(ctx, "key", io.MultiReader(head, cancels{cancel}), &driver.PutOptions{Size: hint})
			require.ErrorIs(t, err, context.Canceled, "%d", size)
			_, err = d.Stat(t.Context(), "key")
			require.ErrorIs(t, err, driver.ErrNotExist, "%d", size)
		}
	}
	time.Sleep(200 * time.Millisecond) // the server may still be working
	for info, err := range d.List(t.Context(), "", nil) {
		require.NoError(t, err)
		require.Fail(t, "stored", info.Key)
	}
}

// cancels is a body that cancels a context and then ends.
type cancels struct{ cancel context.CancelFunc }

func (c cancels) Read([]byte) (int, error) {
	c.cancel()
	return 0, io.EOF
}

// faulty makes the first n requests that match fail.
func faulty(fault harness.Fault, n int64, match func(r *http.Request) bool) func(*http.Request) harness.Fault {
	var done atomic.Int64
	return func(r *http.Request) harness.Fault {
		if !match(r) || done.Add(1) > n {
			return harness.NoFault
		}
		return fault
	}
}

func always(*http.Request) bool { return true }

// TestGCSPassingFailures checks that temporary failures are retried, no more often than documented.
func TestGCSPassingFailures(t *testing.T) {
	s := newGCS(t)
	d := gcsDriver(t, s.open(t, s.create(t), nil), "", &gcs.Options{Attempts: 3})
	first := gcsPut(t, d, "key", "content", nil)
	large := strings.Repeat("x", 9<<20)
	versioned := func() *driver.PutOptions {
		info, err := d.Stat(t.Context(), "key")
		require.NoError(t, err)
		return &driver.PutOptions{IfVersion: info.Version}
	}
	n := 0
	for name, f := range map[string]func(opts *driver.PutOptions) error{
		"open": func(*driver.PutOptions) error {
			r, _, err := d.Open(t.Context(), "key", nil)
			if err == nil {
				err = r.Close()
			}
			return err
		},
		"stat": func(*driver.PutOptions) error {
			_, err := d.Stat(t.Context(), "key")
			return err
		},
		"list": func(*driver.PutOptions) error {
			for _, err := range d.List(t.Context(), "", nil) {
				return err
			}
			return nil
		},
		"put": func(opts *driver.PutOptions) error {
			_, err := d.Put(t.Context(), "key", strings.NewReader("other"), opts)
			return err
		},
		"put of parts": func(opts *driver.PutOptions) error {
			_, err := d.Put(t.Context(), "key", strings.NewReader(large), opts)
			return err
		},
		"put if absent": func(*driver.PutOptions) error {
			n++
			_, err := d.Put(t.Context(), fmt.Sprint("new", n), strings.NewReader("content"), &driver.PutOptions{IfAbsent: true})
			return err
		},
	} {
		for _, fault := range []harness.Fault{harness.Status503, harness.Status429} {
			opts := versioned()
			s.Fail(faulty(fault, 2, always))
			require.NoError(t, f(opts), name)
			s.Fail(faulty(fault, 1000, always))
			s.Requests()
			require.ErrorIs(t, f(opts), driver.ErrUnavailable, name)
			require.Len(t, s.Requests(), 3, name)
			s.Fail(nil)
		}
		s.Fail(faulty(harness.Status403, 1000, always))
		s.Requests()
		err := f(&driver.PutOptions{IfVersion: first.Version})
		require.ErrorIs(t, err, driver.ErrUnavailable, name)
		for _, not := range []error{driver.ErrNotExist, driver.ErrExist, driver.ErrChanged} {
			require.NotErrorIs(t, err, not, name)
		}
		require.Len(t, s.Requests(), 1, name)
		s.Fail(nil)
	}
	// The second part of an upload.
	var parts atomic.Int64
	s.Fail(faulty(harness.Status503, 2, func(r *http.Request) bool {
		return r.URL.Query().Has("upload_id") &&
			parts.Add(1) > 1
	}))
	gcsPut(t, d, "parts", large, nil)
	s.Fail(nil)
}

// TestGCSLostResponses loses the response to a request that the store has carried out.
func TestGCSLostResponses(t *testing.T) {
	s := newGCS(t)
	d := s.driver(t)
	writes := func(r *http.Request) bool { return r.Method != http.MethodGet }
	lost := func() {
		s.Requests()
		s.Fail(faulty(harness.LoseResponse, 1, writes))
	}
	lost()
	created := gcsPut(t, d, "key", "one", &driver.PutOptions{IfAbsent: true})
	require.Equal(t, []string{"POST multipart ifGenerationMatch=0", "POST multipart ifGenerationMatch=0", "GET object"},
		s.Requests())
	lost()
	changed := gcsPut(t, d, "key", "two", &driver.PutOptions{IfVersion: created.Version})
	info, err := d.Stat(t.Context(), "key")
	require.NoError(t, err)
	require.Equal(t, changed.Version, info.Version)

	// Another client writes after the lost response, before the second attempt.
	var n atomic.Int64
	s.Fail(func(r *http.Request) harness.Fault {
		if r.URL.Query().Get("ifGenerationMatch") != changed.Version {
			return harness.NoFault
		}
		if n.Add(1) == 1 {
			return harness.LoseResponse
		}
		info, err := d.Stat(context.Background(), "key")
		if err == nil {
			_, err = d.Put(context.Background(), "key", strings.NewReader("four"), &driver.PutOptions{IfVersion: info.Version})
		}
		if err != nil {
			return harness.Status403
		}
		return harness.NoFault
	})
	_, err = d.Put(t.Context(), "key", strings.NewReader("three"), &driver.PutOptions{IfVersion: changed.Version})
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.NotErrorIs(t, err, driver.ErrChanged)
	s.Fail(nil)

	info, err = d.Stat(t.Context(), "key")
	require.NoError(t, err)
	lost()
	err = d.Delete(t.Context(), "key", info.Version)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.NotErrorIs(t, err, driver.ErrChanged)

	// Without a condition there is no retry.
	lost()
	_, err = d.Put(t.Context(), "key", strings.NewReader("five"), nil)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.Equal(t, []string{"POST multipart"}, s.Requests())
}

// TestGCSNoBucket checks that a missing bucket is not reported as a missing object.
func TestGCSNoBucket(t *testing.T) {
	s := newGCS(t)
	d := gcsDriver(t, s.open(t, "absent", nil), "", nil)
	for _, err := range d.List(t.Context(), "", nil) {
		require.Error(t, err)
		require.NotErrorIs(t, err, driver.ErrNotExist)
	}
}

// TestGCSNowhere uses an address on which no server listens.
func TestGCSNowhere(t *testing.T) {
	client, err := googlestorage.NewClient(t.Context(), option.WithoutAuthentication(),
		option.WithEndpoint("http://127.0.0.1:1/storage/v1/"))
	require.NoError(t, err)
	defer client.Close()
	bucket, err := gcsblob.OpenBucket(t.Context(), nil, "bucket", &gcsblob.Options{Client: client})
	require.NoError(t, err)
	defer bucket.Close()
	d := gcsDriver(t, bucket, "", &gcs.Options{Attempts: 2})
	_, err = d.Stat(t.Context(), "key")
	require.ErrorIs(t, err, driver.ErrUnavailable)
	_, _, err = d.Open(t.Context(), "key", nil)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	_, err = d.Put(t.Context(), "key", nil, &driver.PutOptions{IfAbsent: true})
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.ErrorIs(t, d.Delete(t.Context(), "key", ""), driver.ErrUnavailable)
}

// TestGCSPrefixedBucket uses a bucket that is a part of another one.
func TestGCSPrefixedBucket(t *testing.T) {
	s := newGCS(t)
	name := s.create(t)
	whole := s.open(t, name, nil)
	client := s.client(t)
	bucket, err := gcsblob.OpenBucket(t.Context(), nil, name, &gcsblob.Options{Client: client})
	require.NoError(t, err)
	part := blob.PrefixedBucket(bucket, "part/")
	defer part.Close()
	d := gcsDriver(t, part, "in/", nil)
	for _, key := range []string{"a", "b", "c"} {
		gcsPut(t, d, key, key, nil)
	}
	s.Requests()
	n := 0
	for _, err := range d.List(t.Context(), "", &driver.ListOptions{After: "b"}) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 1, n)
	require.Equal(t, []string{"GET list startOffset=part/in/b"}, s.Requests())
	require.NoError(t, d.Delete(t.Context(), "b", ""))
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		got, err := whole.Exists(t.Context(), "part/in/"+key)
		require.NoError(t, err)
		require.Equal(t, want, got, key)
	}
}

// TestGCSWriter checks that the attributes that the host sets on objects reach the bucket.
func TestGCSWriter(t *testing.T) {
	s := newGCS(t)
	name := s.create(t)
	d := gcsDriver(t, s.open(t, name, nil), "", &gcs.Options{Writer: func(w *googlestorage.Writer) {
		w.StorageClass, w.KMSKeyName = "NEARLINE", "projects/p/keys/k"
		w.Metadata["team"] = "build"
	}})
	for _, size := range []int{10, 9 << 20} {
		s.Requests()
		gcsPut(t, d, "key", strings.Repeat("x", size), nil)
		require.Contains(t, s.Requests()[0], "kmsKeyName=projects/p/keys/k")
		attrs, err := s.client(t).Bucket(name).Object("key").Attrs(t.Context())
		require.NoError(t, err)
		require.Equal(t, "NEARLINE", attrs.StorageClass)
		require.Equal(t, "build", attrs.Metadata["team"])
		require.Equal(t, "application/octet-stream", attrs.ContentType)
	}
}

// TestGCSSignedURL checks what is signed. The server does not check signatures.
func TestGCSSignedURL(t *testing.T) {
	s := newGCS(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	name := s.create(t)
	bucket := s.open(t, name, &gcsblob.Options{
		GoogleAccessID: "signer@project.iam.example",
		PrivateKey:     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
	})
	d := gcsDriver(t, bucket, "in/", &gcs.Options{Sign: func(o *googlestorage.SignedURLOptions) {
		o.Insecure,
			o.Hostname = true, s.Addr
	}})
	gcsPut(t, d, "dir/key", "0123456789", nil)
	s.Requests()
	signed, err := d.SignedURL(t.Context(), "dir/key", 10*time.Minute)
	require.NoError(t, err)
	require.Empty(t, s.Requests(), "signing asks nobody")
	require.Contains(t, signed, "http://"+s.Addr+"/"+name+"/in/dir/key?")
	for _, want := range []string{"X-Goog-Algorithm=GOOG4-RSA-SHA256", "X-Goog-Expires=", "X-Goog-Signature="} {
		require.Contains(t, signed, want)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, signed, nil)
	require.NoError(t, err)
	req.Header.Set("Range", "bytes=2-4")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.Equal(t, "234", string(got))

	_, err = s.driver(t).SignedURL(t.Context(), "dir/key", time.Minute)
	require.ErrorIs(t, err, errors.ErrUnsupported, "no key")
}
