package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// blobMediaType is the media type in the descriptor of a blob. What the bytes are is known only to
// the manifests that name them.
const blobMediaType = "application/octet-stream"

// blobDescriptor returns the descriptor of a blob.
func blobDescriptor(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: size}
}

// OpenBlob implements [registry.Reader]. It reads only the link of the blob; the first Read of the
// body opens the data. With AllowURL and Options.Redirect, the result may be a URL instead of a
// body.
//
// Errors: registry.ErrBlobUnknown.
func (s *Store) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	l, err := s.repo(repo).ReadableLink(ctx, d)
	if err != nil {
		return nil, err
	}
	if options.Value(opts).AllowURL {
		if url := s.redirect(ctx, l); url != "" {
			return &registry.Blob{Descriptor: blobDescriptor(d, l.Size), URL: url}, nil
		}
	}
	return &registry.Blob{Descriptor: blobDescriptor(d, l.Size), Body: s.repo(repo).newBody(ctx, d, l)}, nil
}

// StatBlob implements [registry.Reader]. If the blob is old and StatOptions.Renew permits it, the
// blob counts as new again, so that no collection removes it soon.
//
// Errors: registry.ErrBlobUnknown.
func (s *Store) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	l, err := s.repo(repo).ReadableLink(ctx, d)
	if err == nil && (l.State == object.Condemned || s.objects.Stale(l.ModTime)) && mayRenew(ctx, opts) {
		l, err = s.repo(repo).TouchLink(ctx, d, l)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor(d, l.Size), nil
}

// maxLookups is how often GetManifest follows a tag that moves while it reads.
const maxLookups = 32

// GetManifest implements [registry.Reader]. If a tag moves while it is read, GetManifest reads it
// again.
//
// Errors: registry.ErrManifestUnknown.
func (s *Store) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	if err := checkRef(repo, ref); err != nil {
		return nil, err
	}
	for range maxLookups {
		d, version := ref.Digest, ""
		if ref.Tag != "" {
			t, err := s.repo(repo).readTag(ctx, ref.Tag)
			if err != nil {
				return nil, err
			}
			d, version = t.Descriptor.Digest, t.Version
		}
		m, err := s.repo(repo).ReadManifest(ctx, d)
		if err != nil {
			return nil, err
		}
		if m.Readable() {
			return &registry.Manifest{
				Descriptor: ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: m.Size},
				Content:    m.Content,
			}, nil
		}
		// Between the two reads, the tag may have moved and the manifest may have been deleted.
		if ref.Tag == "" {
			break
		}
		if t, err := s.repo(repo).readTag(ctx, ref.Tag); err != nil || t.Version == version {
			break
		}
	}
	return nil, manifestUnknown(ref)
}

// StatManifest implements [registry.Reader]. For a tag, it reads only the tag. For a digest, an old
// manifest counts as new again if StatOptions.Renew permits it.
//
// Errors: registry.ErrManifestUnknown.
func (s *Store) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkRef(repo, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	if ref.Tag != "" {
		t, err := s.repo(repo).readTag(ctx, ref.Tag)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return t.Descriptor, nil
	}
	m, err := s.repo(repo).ReadManifest(ctx, ref.Digest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if s.objects.ExpiresSoon(m) && mayRenew(ctx, opts) {
		if m, err = s.repo(repo).TouchManifest(ctx, ref.Digest, m); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if !m.Readable() {
		return ocispec.Descriptor{}, manifestUnknown(ref)
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: ref.Digest, Size: m.Size}, nil
}

// manifestUnknown returns registry.ErrManifestUnknown for a reference.
func manifestUnknown(ref reference.Ref) error {
	return registry.ErrManifestUnknown.WithDetail(map[string]string{"reference": ref.String()})
}

// readTag returns a tag.
//
// Errors: registry.ErrManifestUnknown.
func (r repo) readTag(ctx context.Context, tag string) (*object.Entry, error) {
	e, err := r.ReadEntry(ctx, r.TagKey(tag))
	if err != nil {
		return nil, err
	}
	if e.Descriptor.Digest == "" {
		return nil, manifestUnknown(reference.Ref{Tag: tag})
	}
	return e, nil
}

// checkBlob rejects an invalid name of a repository and an invalid digest. The HTTP handler has
// already checked both; this check is for Go callers.
func checkBlob(repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckDigest(d)
}

// checkRef rejects an invalid name of a repository and an invalid reference to a manifest.
func checkRef(repo string, ref reference.Ref) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckRef(ref)
}

// body reads a blob: first the segments of its link, then the content of the link. It has at most
// one object open, and none before the first Read.
type body struct {
	ctx  context.Context
	repo repo
	d    digest.Digest
	link *object.Link
	pos  int64
	want int64 // where the part that the caller reads ends, see Until; 0 if that is not known

	open  io.ReadCloser // reads the segment that holds pos, from pos on; nil if none is open
	start int64         // the position of the first byte of that segment
	left  int64         // the number of bytes that are left in open
	lost  int           // the number of readers that have failed since the last byte
}

// maxLost is the maximum number of readers of a body that may fail in a row without reading a byte.
const maxLost = 3

// newBody returns a reader of the blob d that has the link l. It opens nothing. Without d, it reads
// the bytes of an upload: l is then not in the storage.
func (r repo) newBody(ctx context.Context, d digest.Digest, l *object.Link) *body {
	return &body{ctx: ctx, repo: r, d: d, link: l}
}

// name returns what errors call the blob.
func (b *body) name() string {
	if b.d == "" {
		return "an upload"
	}
	return string(b.d)
}

// Read implements [io.Reader]. It opens the segment again if the connection to the storage is lost.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.pos >= b.link.Size {
		return 0, io.EOF
	}
	if at := b.pos - (b.link.Size - int64(len(b.link.Tail))); at >= 0 {
		n := copy(p, b.link.Tail[at:])
		b.pos += int64(n)
		return n, nil
	}
	if err := b.openSegment(); err != nil {
		return 0, err
	}
	n, err := b.open.Read(p[:min(int64(len(p)), b.left)])
	b.pos += int64(n)
	b.left -= int64(n)
	if n > 0 {
		b.lost = 0
	}
	switch {
	case b.left == 0:
		return n, b.closeSegment()
	case err == nil:
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	// A connection to the storage was lost. The bytes never change, so another connection can
	// continue.
	_ = b.closeSegment() // the failed reader is of no use any more
	if n > 0 {
		return n, nil
	}
	if b.lost++; b.lost <= maxLost && object.Pause(b.ctx, 2*b.lost) == nil {
		return b.Read(p)
	}
	return n, fmt.Errorf("storage: reading a segment of %s: %w", b.name(), object.RegistryError(err))
}

// Seek moves to another position. It opens and checks nothing.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.link.Size
	}
	if offset < 0 {
		return b.pos, errors.New("storage: seek before the start of a blob")
	}
	if f := b.file(); f != nil && b.start <= offset && offset < b.pos+b.left {
		// Also without a move: the caller may have read from the file, see Source.
		if _, err := f.Seek(offset-b.start, io.SeekStart); err == nil {
			b.left += b.pos - offset
			b.pos, b.want = offset, 0
			return offset, nil
		}
	} else if offset == b.pos {
		return offset, nil
	}
	b.pos, b.want = offset, 0
	return offset, b.closeSegment()
}

// file returns the open segment if it is a file, and otherwise nil. A file has the whole segment,
// even if only a part of it was asked for.
func (b *body) file() io.Seeker {
	if _, ok := b.open.(syscall.Conn); !ok {
		return nil
	}
	f, _ := b.open.(io.Seeker)
	return f
}

// Until announces that the caller reads from the position up to end, and then moves elsewhere. So
// no more than that is fetched.
func (b *body) Until(end int64) { b.want = end }

// Close closes the open segment, if any.
func (b *body) Close() error { return b.closeSegment() }

// Source implements [registry.FileSource]. For a driver on files, the reader of a segment is its
// file. For the bytes that are in the link, and at the end of the blob, it is the body.
func (b *body) Source() (io.Reader, int64, error) {
	left := b.link.Size - b.pos
	if left <= int64(len(b.link.Tail)) {
		return struct{ io.Reader }{b}, max(left, 0), nil
	}
	if err := b.openSegment(); err != nil {
		return nil, 0, err
	}
	return b.open, b.left, nil
}

// closeSegment closes the open segment, if any.
func (b *body) closeSegment() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open, b.left = nil, 0
	return err
}

// openSegment opens the segment that holds the position. If the data of a blob are missing, it reads
// the link once more: a collection may have removed the data after another upload of the same blob
// had replaced them by its own.
func (b *body) openSegment() error {
	if b.open != nil {
		return nil
	}
	err := b.tryOpen()
	if b.d == "" || !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	l, lerr := b.repo.ReadLink(b.ctx, b.d)
	if lerr != nil {
		return lerr
	}
	if !l.Readable() || l.Size != b.link.Size {
		return err
	}
	b.link = l
	return b.tryOpen()
}

// tryOpen opens the segment of the known link that holds the position.
//
// Errors: driver.ErrNotExist if its data are missing.
func (b *body) tryOpen() error {
	start := int64(0)
	for _, seg := range b.link.Segments {
		if b.pos >= start+seg.Size {
			start += seg.Size
			continue
		}
		end := start + seg.Size
		opts := &driver.OpenOptions{Offset: b.pos - start}
		if b.pos < b.want && b.want < end {
			end = b.want
			opts.Length = end - b.pos
		}
		r, info, err := b.repo.Driver.Open(b.ctx, object.DataKey(seg.Name), opts)
		if err != nil {
			return fmt.Errorf("storage: opening a segment of %s: %w", b.name(), object.RegistryError(err))
		}
		if info.Size != seg.Size {
			return errors.Join(fmt.Errorf("storage: a segment of %s has %d bytes instead of %d", b.name(), info.Size,
				seg.Size), r.Close())
		}
		b.open, b.start, b.left = r, start, end-b.pos
		if b.file() != nil {
			b.left = start + seg.Size - b.pos
		}
		return nil
	}
	return fmt.Errorf("storage: no segment of %s has the byte at %d", b.name(), b.pos)
}

// mayRenew reports whether a Stat may write old content again, so that it counts as new.
func mayRenew(ctx context.Context, opts *registry.StatOptions) bool {
	renew := options.Value(opts).Renew
	return renew != nil && renew(ctx)
}
