package s3_test

import (
	"context"
	"crypto/md5" //nolint:gosec // it is what ETags are made of
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/s3blob"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
)

// server implements the requests of S3 that a driver sends. Tests can replace its responses.
type server struct {
	mu          sync.Mutex
	objects     map[string][]byte
	interceptor http.HandlerFunc // if not nil, responds instead of the store, like a proxy

	uploads   map[string]*multipart
	keep      bool    // whether to keep the bytes of multipart objects
	completed int     // number of completed multipart objects
	parts     int     // number of their parts
	sizes     []int64 // sizes of the parts
}

func newServer() *server {
	return &server{objects: map[string][]byte{}, uploads: map[string]*multipart{}}
}

const modified = "Mon, 02 Jan 2006 15:04:05 GMT"

// respond sets the handler of all later requests. nil means the server itself.
func (s *server) respond(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interceptor = h
}

// openServer returns a driver on a server.
func openServer(t *testing.T) (*server, *gocloud.Driver) {
	s := newServer()
	return s, open(t, s, nil)
}

// open returns a driver on s, which it reaches over HTTP.
func open(t *testing.T, s *server, opts *gocloud.Options) *gocloud.Driver {
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return openClient(t, awss3.Options{BaseEndpoint: &h.URL}, opts)
}

// openSimulated returns a driver on s that does not read the bytes of parts.
func openSimulated(t *testing.T, s *server, parts gocloud.Parts) *gocloud.Driver {
	return openClient(t, awss3.Options{
		BaseEndpoint: aws.String("https://store.invalid"), HTTPClient: simulated{s},
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
	}, &gocloud.Options{Parts: parts})
}

func openClient(t *testing.T, client awss3.Options, opts *gocloud.Options) *gocloud.Driver {
	client.Region, client.UsePathStyle, client.RetryMaxAttempts = "here", true, 1
	client.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "id", SecretAccessKey: "secret"}, nil
	})
	bucket, err := s3blob.OpenBucket(t.Context(), awss3.New(client), "bucket", nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	var o gocloud.Options
	if opts != nil {
		o = *opts
	}
	o.Providers = []gocloud.Provider{s3.Provider(nil)}
	d, err := gocloud.New(t.Context(), bucket, &o)
	require.NoError(t, err)
	return d
}

func etag(content []byte) string {
	sum := md5.Sum(content) //nolint:gosec // see above
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>it is so</Message><RequestId>301301301</RequestId></Error>", code)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.interceptor != nil {
		s.interceptor(w, r)
		return
	}
	s.serve(w, r)
}

// serve responds like the store. The caller holds the lock.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amz-Request-Id", "301301301")
	name, ok := strings.CutPrefix(r.URL.Path, "/bucket/")
	if !ok || name == "" {
		s.list(w, r)
		return
	}
	if q := r.URL.Query(); q.Has("uploads") || q.Has("uploadId") {
		s.multipart(w, r, name)
		return
	}
	content, there := s.objects[name]
	match := r.Header.Get("If-Match")
	switch {
	case match != "" && !there:
		refuse(w, 404, "NoSuchKey")
	case match != "" && match != etag(content), r.Header.Get("If-None-Match") == "*" && there:
		refuse(w, 412, "PreconditionFailed")
	case r.Method == http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.objects[name] = body
		w.Header().Set("ETag", etag(body))
	case r.Method == http.MethodDelete:
		delete(s.objects, name)
		w.WriteHeader(http.StatusNoContent)
	case !there:
		refuse(w, 404, "NoSuchKey")
	default:
		w.Header().Set("ETag", etag(content))
		http.ServeContent(w, r, "", time.Date(2006, 1, 2, 15, 4, 5, 0, time.UTC), strings.NewReader(string(content)))
	}
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(name, r.URL.Query().Get("prefix")) {
			fmt.Fprintf(&b, "<Contents><Key>%s</Key><LastModified>2006-01-02T15:04:05Z</LastModified>"+
				"<ETag>%s</ETag><Size>%d</Size></Contents>",
				name, etag(s.objects[name]), len(s.objects[name]))
		}
	}
	fmt.Fprintf(w, "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>%s</ListBucketResult>",
		b.String())
}

func put(t *testing.T, d *gocloud.Driver, key string, opts *driver.PutOptions) driver.Info {
	t.Helper()
	info, err := d.Put(t.Context(), key, strings.NewReader("content"), opts)
	require.NoError(t, err)
	return info
}
