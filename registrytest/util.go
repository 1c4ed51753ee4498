package registrytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// patience is the maximum duration of operations that must not take long.
const patience = 30 * time.Second

// zeros is a digest that no content has.
const zeros = digest.Digest("sha256:0000000000000000000000000000000000000000000000000000000000000000")

// new returns an empty backend b and a backend w for writing to it. w is b itself, unless b is
// read-only.
func (s *suite) new(t *testing.T) (b, w registry.Backend) {
	t.Helper()
	b = s.newBackend(t)
	if s.ReadOnly != nil {
		return b, s.ReadOnly(t, b)
	}
	return b, b
}

// requireError requires that err is of a kind with the code and status that clients expect.
func requireError(t *testing.T, err error, kind *registry.Error, what ...any) {
	t.Helper()
	require.ErrorIs(t, err, kind, what...)
	var e *registry.Error
	require.ErrorAs(t, err, &e, what...)
	require.Equal(t, kind.Code(), e.Code(), what...)
	require.Equal(t, kind.Status(), e.Status(), what...)
}

// requireRefused requires that err is ErrUnsupported or ErrDenied.
func requireRefused(t *testing.T, err error, what ...any) {
	t.Helper()
	if !errors.Is(err, registry.ErrDenied) {
		requireError(t, err, registry.ErrUnsupported, what...)
	}
}

// pushBlob pushes a blob in one piece of known length.
func (s *suite) pushBlob(t *testing.T, w registry.Backend, repo string, content []byte) ocispec.Descriptor {
	t.Helper()
	desc, err := s.tryBlob(t.Context(), w, repo, content, digest.SHA256)
	require.NoError(t, err)
	require.Equal(t, descriptor("application/octet-stream", content), desc)
	return desc
}

func (s *suite) tryBlob(ctx context.Context, w registry.Backend, repo string, content []byte,
	alg digest.Algorithm) (ocispec.Descriptor, error) {
	u, err := w.CreateUpload(ctx, repo, &registry.UploadOptions{Owner: s.Owner, Algorithm: alg, Size: int64(len(content))})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if n, err := u.Append(ctx, 0, int64(len(content)), bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		return ocispec.Descriptor{}, fmt.Errorf("append %d of %d bytes: %w", n, len(content), err)
	}
	return u.Commit(ctx, alg.FromBytes(content), nil)
}

// create creates an upload.
func (s *suite) create(t *testing.T, b registry.Backend, repo string) registry.Upload {
	t.Helper()
	u, err := b.CreateUpload(t.Context(), repo, &registry.UploadOptions{Owner: s.Owner})
	require.NoError(t, err)
	require.Zero(t, u.Size())
	return u
}

// resume returns the upload with an id.
func (s *suite) resume(t *testing.T, b registry.Backend, repo, id string) registry.Upload {
	t.Helper()
	u, err := b.ResumeUpload(t.Context(), repo, id, &registry.ResumeOptions{Owner: s.Owner})
	require.NoError(t, err)
	return u
}

// add appends content to an upload.
func add(t *testing.T, u registry.Upload, content []byte) {
	t.Helper()
	size := u.Size()
	n, err := u.Append(t.Context(), size, int64(len(content)), bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, int64(len(content)), n)
	require.Equal(t, size+n, u.Size())
}

// finish completes an upload that may have received the first bytes of content. A remote backend
// may report the received size with a delay.
func (s *suite) finish(t *testing.T, b registry.Backend, repo string, u registry.Upload, content []byte) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		size := u.Size()
		require.LessOrEqual(t, size, int64(len(content)))
		_, err := u.Append(t.Context(), size, -1, bytes.NewReader(content[size:]))
		if err == nil {
			break
		}
		if !s.Remote || time.Now().After(deadline) {
			require.NoError(t, err)
		}
		time.Sleep(10 * time.Millisecond)
		u = s.resume(t, b, repo, u.ID())
	}
	_, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
	require.NoError(t, err)
	requireBlob(t, b, repo, content)
}

// readBlob returns the content of a blob.
func readBlob(ctx context.Context, b registry.Backend, repo string, d digest.Digest) ([]byte, error) {
	blob, err := b.OpenBlob(ctx, repo, d, nil)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(blob.Body)
	if cerr := blob.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && int64(len(content)) != blob.Descriptor.Size {
		err = fmt.Errorf("%s: %d bytes of a blob of %d", d, len(content), blob.Descriptor.Size)
	}
	return content, err
}

// requireBlob requires that the repository has a blob with this content.
func requireBlob(t *testing.T, b registry.Backend, repo string, content []byte) {
	t.Helper()
	requireBlobAs(t, b, repo, content, digest.FromBytes(content))
}

func requireBlobAs(t *testing.T, b registry.Backend, repo string, content []byte, d digest.Digest) {
	t.Helper()
	want := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
	desc, err := b.StatBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	require.Equal(t, want, desc)
	blob, err := b.OpenBlob(t.Context(), repo, d, nil)
	require.NoError(t, err)
	require.NoError(t, blob.Body.Close())
	require.Empty(t, blob.URL, "a URL was not allowed")
	require.Equal(t, want.Digest, blob.Descriptor.Digest)
	require.Equal(t, want.Size, blob.Descriptor.Size)
	got, err := readBlob(t.Context(), b, repo, d)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got), "blob %s has other bytes", d)
}

// requireNoBlob requires that no operation finds the blob.
func requireNoBlob(t *testing.T, b registry.Backend, repo string, d digest.Digest) {
	t.Helper()
	_, err := b.StatBlob(t.Context(), repo, d, nil)
	requireError(t, err, registry.ErrBlobUnknown, "stat %s in %s", d, repo)
	_, err = b.OpenBlob(t.Context(), repo, d, nil)
	requireError(t, err, registry.ErrBlobUnknown, "open %s in %s", d, repo)
}

// push pushes a manifest with all content that it names.
func push(t *testing.T, w registry.Backend, repo string, c *Content, tags ...string) {
	t.Helper()
	require.NoError(t, c.Push(t.Context(), w, repo, tags...))
}

// put pushes only the manifest.
func put(ctx context.Context, w registry.Backend, repo string, c *Content, tags ...registry.TagPut) error {
	_, err := w.PutManifest(ctx, repo, c.Descriptor.MediaType, c.Manifest,
		&registry.PutOptions{Digest: c.Descriptor.Digest, Tags: tags})
	return err
}

// requireManifest requires that a manifest is found by digest and by tags, byte for byte.
func requireManifest(t *testing.T, b registry.Backend, repo string, c *Content, tags ...string) {
	t.Helper()
	refs := []reference.Ref{{Digest: c.Descriptor.Digest}}
	for _, tag := range tags {
		refs = append(refs, reference.Ref{Tag: tag})
	}
	for _, ref := range refs {
		require.NoError(t, checkManifest(t.Context(), b, repo, ref, c))
	}
}

// checkManifest is like requireManifest, for goroutines other than that of the test.
func checkManifest(ctx context.Context, b registry.Backend, repo string, ref reference.Ref, c *Content) error {
	m, err := b.GetManifest(ctx, repo, ref)
	if err != nil {
		return fmt.Errorf("get %s:%s: %w", repo, ref, err)
	}
	desc, err := b.StatManifest(ctx, repo, ref, nil)
	if err != nil {
		return fmt.Errorf("stat %s:%s: %w", repo, ref, err)
	}
	for _, got := range []ocispec.Descriptor{m.Descriptor, desc} {
		if got.Digest != c.Descriptor.Digest || got.MediaType != c.Descriptor.MediaType || got.Size != c.Descriptor.Size {
			return fmt.Errorf("%s:%s is %v instead of %v", repo, ref, got, c.Descriptor)
		}
	}
	if !bytes.Equal(m.Content, c.Manifest) {
		return fmt.Errorf("%s:%s has other bytes: %q", repo, ref, m.Content)
	}
	return nil
}

// requireNoManifest requires that no operation finds the manifest.
func requireNoManifest(t *testing.T, b registry.Backend, repo string, refs ...reference.Ref) {
	t.Helper()
	for _, ref := range refs {
		_, err := b.GetManifest(t.Context(), repo, ref)
		requireError(t, err, registry.ErrManifestUnknown, "get %s:%s", repo, ref)
		_, err = b.StatManifest(t.Context(), repo, ref, nil)
		requireError(t, err, registry.ErrManifestUnknown, "stat %s:%s", repo, ref)
	}
}

func byTag(tag string) reference.Ref { return reference.Ref{Tag: tag} }

func byDigest(d digest.Digest) reference.Ref { return reference.Ref{Digest: d} }

// collect returns up to limit elements of a list, or all if limit is -1. A list must not yield an
// element together with an error, or anything after an error.
func collect[T any](list iter.Seq2[T, error], limit int) (all []T, err error) {
	all = []T{}
	for v, e := range list {
		if err != nil {
			return all, errors.New("the list goes on after an error")
		}
		if err = e; err != nil {
			continue
		}
		if all = append(all, v); len(all) == limit {
			break
		}
	}
	return all, err
}

// requireTags requires that these are all tags.
func requireTags(t *testing.T, b registry.Backend, repo string, tags ...string) {
	t.Helper()
	got, err := collect(b.Tags(t.Context(), repo, nil), -1)
	require.NoError(t, err)
	require.Equal(t, append([]string{}, tags...), got)
}

// requireRepositories requires that these are all repositories.
func requireRepositories(t *testing.T, b registry.Backend, names ...string) {
	t.Helper()
	got, err := collect(b.Repositories(t.Context(), nil), -1)
	require.NoError(t, err)
	require.Equal(t, append([]string{}, names...), got)
}

// requireReferrers requires that these are all referrers of a subject, in order.
func requireReferrers(t *testing.T, b registry.Backend, repo string, subject digest.Digest, digests ...digest.Digest) {
	t.Helper()
	got, err := collect(b.Referrers(t.Context(), repo, subject, nil), -1)
	require.NoError(t, err)
	require.Equal(t, append([]digest.Digest{}, digests...), digestsOf(got))
}

func digestsOf(descs []ocispec.Descriptor) []digest.Digest {
	ds := make([]digest.Digest, len(descs))
	for i, d := range descs {
		ds[i] = d.Digest
	}
	return ds
}

// race runs f in n goroutines that start together, and returns the error of each.
func race(n int, f func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = f(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// requireAll requires that all calls of a race succeeded.
func requireAll(t *testing.T, errs []error) {
	t.Helper()
	require.NoError(t, errors.Join(errs...))
}

// within runs f. If f does not return in time, it panics, so that the stacks of all goroutines show
// where f blocks.
func within(what string, f func()) {
	watchdog := time.AfterFunc(patience, func() { panic("registrytest: blocked: " + what) })
	defer watchdog.Stop()
	f()
}

// errBroken is the error of a brokenReader.
var errBroken = errors.New("registrytest: broken reader")

// brokenReader returns some bytes and then fails.
type brokenReader struct {
	from io.Reader
}

func (r *brokenReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if errors.Is(err, io.EOF) {
		err = errBroken
	}
	return n, err
}

// long returns a string of n characters that starts with s.
func long(s string, n int) string { return s + strings.Repeat("x", n-len(s)) }
