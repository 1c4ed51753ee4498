package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// blobMediaType is what the descriptor of a blob has: what its bytes are, only those know who name
// it.
const blobMediaType = "application/octet-stream"

func blobDescriptor(d digest.Digest, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: blobMediaType, Digest: d, Size: size}
}

// OpenBlob implements [registry.Reader].
func (s *Store) OpenBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.OpenOptions) (*registry.Blob, error) {
	if err := checkBlob(repo, d); err != nil {
		return nil, err
	}
	l, err := s.readableLink(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if opts != nil && opts.AllowURL {
		if url := s.redirect(ctx, l); url != "" {
			return &registry.Blob{Descriptor: blobDescriptor(d, l.Size), URL: url}, nil
		}
	}
	return &registry.Blob{Descriptor: blobDescriptor(d, l.Size), Body: s.newBody(ctx, repo, d, l)}, nil
}

// StatBlob implements [registry.Reader].
func (s *Store) StatBlob(ctx context.Context, repo string, d digest.Digest,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkBlob(repo, d); err != nil {
		return ocispec.Descriptor{}, err
	}
	l, err := s.readableLink(ctx, repo, d)
	if err == nil && mayRefresh(ctx, opts, l.State == condemned || s.stale(l.modTime)) {
		l, err = s.refreshLink(ctx, repo, d, l)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return blobDescriptor(d, l.Size), nil
}

// readableLink returns the link of a blob that may be read.
func (s *Store) readableLink(ctx context.Context, repo string, d digest.Digest) (*link, error) {
	l, err := s.readLink(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if !l.readable() {
		return nil, registry.ErrBlobUnknown.WithDetail(map[string]string{"digest": string(d)})
	}
	return l, nil
}

// GetManifest implements [registry.Reader].
func (s *Store) GetManifest(ctx context.Context, repo string, ref reference.Ref) (*registry.Manifest, error) {
	if err := checkRef(repo, ref); err != nil {
		return nil, err
	}
	for range attempts {
		d, version := ref.Digest, ""
		if ref.Tag != "" {
			t, err := s.readTag(ctx, repo, ref.Tag)
			if err != nil {
				return nil, err
			}
			d, version = t.Descriptor.Digest, t.version
		}
		m, err := s.readManifest(ctx, repo, d)
		if err != nil {
			return nil, err
		}
		if m.readable() {
			return &registry.Manifest{
				Descriptor: ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: m.Size},
				Content:    m.content,
			}, nil
		}
		// The tag may have been moved, and the manifest deleted, between the two reads.
		if ref.Tag == "" {
			break
		}
		if t, err := s.readTag(ctx, repo, ref.Tag); err != nil || t.version == version {
			break
		}
	}
	return nil, manifestUnknown(ref)
}

// StatManifest implements [registry.Reader]. By tag, it is answered from the tag alone.
func (s *Store) StatManifest(ctx context.Context, repo string, ref reference.Ref,
	opts *registry.StatOptions) (ocispec.Descriptor, error) {
	if err := checkRef(repo, ref); err != nil {
		return ocispec.Descriptor{}, err
	}
	if ref.Tag != "" {
		t, err := s.readTag(ctx, repo, ref.Tag)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		return t.Descriptor, nil
	}
	m, err := s.readManifest(ctx, repo, ref.Digest)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if mayRefresh(ctx, opts, s.isWaning(m)) {
		if m, err = s.refreshManifest(ctx, repo, ref.Digest, m); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if !m.readable() {
		return ocispec.Descriptor{}, manifestUnknown(ref)
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: ref.Digest, Size: m.Size}, nil
}

func manifestUnknown(ref reference.Ref) error {
	return registry.ErrManifestUnknown.WithDetail(map[string]string{"reference": ref.String()})
}

// readManifest returns a manifest as it is now. One that is absent or cut short has the state gone,
// and the version to be named by a Put that replaces it.
func (s *Store) readManifest(ctx context.Context, repo string, d digest.Digest) (*manifestRecord, error) {
	b, info, err := s.read(ctx, manifestKey(repo, d))
	if errors.Is(err, driver.ErrNotExist) {
		return &manifestRecord{}, nil
	}
	if err != nil {
		return nil, wire(err)
	}
	return decodeManifest(b, info), nil
}

// decodeManifest returns a manifest as the object b tells it.
func decodeManifest(b []byte, info driver.Info) *manifestRecord {
	m := &manifestRecord{}
	content, ok := decode(b, m)
	if !ok || checksum(content) != m.Sum || int64(len(content)) != m.Size || m.Subject != "" && !isDigest(m.Subject) {
		return &manifestRecord{version: info.Version, modTime: info.ModTime}
	}
	m.content, m.version, m.modTime = content, info.Version, info.ModTime
	return m
}

// readTag returns a tag.
//
// Errors: registry.ErrManifestUnknown.
func (s *Store) readTag(ctx context.Context, repo, tag string) (*entry, error) {
	e, err := s.readEntry(ctx, tagKey(repo, tag))
	if err != nil {
		return nil, err
	}
	if e.Descriptor.Digest == "" {
		return nil, manifestUnknown(reference.Ref{Tag: tag})
	}
	return e, nil
}

// readEntry returns an entry; one that is absent or cut short has no digest.
func (s *Store) readEntry(ctx context.Context, key string) (*entry, error) {
	b, info, err := s.read(ctx, key)
	if errors.Is(err, driver.ErrNotExist) {
		return &entry{}, nil
	}
	if err != nil {
		return nil, wire(err)
	}
	return decodeEntry(b, info), nil
}

// decodeEntry returns an entry as the object b tells it. Only digests make keys, so nothing else is
// taken from it for one.
func decodeEntry(b []byte, info driver.Info) *entry {
	e := &entry{}
	if _, ok := decode(b, e); !ok || !isDigest(e.Descriptor.Digest) {
		e = &entry{}
	}
	e.Next = slices.DeleteFunc(e.Next, func(n next) bool { return !isDigest(n.Descriptor.Digest) })
	e.version, e.modTime = info.Version, info.ModTime
	return e
}

func isDigest(d digest.Digest) bool { return reference.CheckDigest(string(d)) == nil }

// checkBlob refuses what cannot be the name of a repository and the digest of a blob. The HTTP handler
// has checked both; this is for Go callers.
func checkBlob(repo string, d digest.Digest) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckDigest(d)
}

// checkRef refuses what cannot be the name of a repository and a reference to a manifest.
func checkRef(repo string, ref reference.Ref) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	return registry.CheckRef(ref)
}

// body reads a blob: the segments of its link, then the content of the link. It holds at most one
// object open, and none before the first Read.
type body struct {
	ctx  context.Context
	s    *Store
	repo string
	d    digest.Digest
	link *link
	pos  int64
	want int64 // where the part ends that the caller reads, see Until; 0 if that is not known

	open io.ReadCloser // the segment that holds pos, standing at pos; nil if none is open
	left int64         // bytes left in it
	lost int           // readers that have failed since the last byte
}

// maxLost is how many readers of a body may fail one after the other without a byte between them.
const maxLost = 3

func (s *Store) newBody(ctx context.Context, repo string, d digest.Digest, l *link) *body {
	return &body{ctx: ctx, s: s, repo: repo, d: d, link: l}
}

func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if b.pos >= b.link.Size {
		return 0, io.EOF
	}
	if at := b.pos - (b.link.Size - int64(len(b.link.tail))); at >= 0 {
		n := copy(p, b.link.tail[at:])
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
	// A connection to the storage was lost. The bytes never change, so they can be read on by
	// another.
	_ = b.closeSegment() // it is of no use any more
	if n > 0 {
		return n, nil
	}
	if b.lost++; b.lost <= maxLost && pause(b.ctx, 2*b.lost) == nil {
		return b.Read(p)
	}
	return n, fmt.Errorf("storage: a segment of %s: %w", b.d, wire(err))
}

// Seek moves to another position; nothing is opened or checked.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.link.Size
	}
	if offset < 0 {
		return b.pos, errors.New("storage: seek before the beginning of a blob")
	}
	if offset == b.pos {
		return offset, nil
	}
	b.pos, b.want = offset, 0
	return offset, b.closeSegment()
}

// Until says that the caller reads from the position up to end, and then moves. So no more than
// that is fetched.
func (b *body) Until(end int64) { b.want = end }

// Close closes what is open.
func (b *body) Close() error { return b.closeSegment() }

// Source returns the reader of the data object itself, if the blob is one whole object: of a driver
// on files, the file. Otherwise, or when there is nothing more to read, it returns the body.
func (b *body) Source() (io.Reader, error) {
	if len(b.link.Segments) != 1 || len(b.link.tail) > 0 || b.pos >= b.link.Size {
		return struct{ io.Reader }{b}, nil
	}
	if err := b.openSegment(); err != nil {
		return nil, err
	}
	return b.open, nil
}

func (b *body) closeSegment() error {
	if b.open == nil {
		return nil
	}
	err := b.open.Close()
	b.open, b.left = nil, 0
	return err
}

// openSegment opens the segment that holds the position. If its data are not there, the link is
// read once more: they may have been collected after another upload of the same blob had put its
// own in their place.
func (b *body) openSegment() error {
	if b.open != nil {
		return nil
	}
	err := b.tryOpen()
	if !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	l, lerr := b.s.readLink(b.ctx, b.repo, b.d)
	if lerr != nil {
		return lerr
	}
	if !l.readable() || l.Size != b.link.Size {
		return err
	}
	b.link = l
	return b.tryOpen()
}

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
		r, info, err := b.s.driver.Open(b.ctx, dataKey(seg.Name), opts)
		if err != nil {
			return fmt.Errorf("storage: a segment of %s: %w", b.d, wire(err))
		}
		if info.Size != seg.Size {
			return errors.Join(fmt.Errorf("storage: a segment of %s has %d bytes and not %d", b.d, info.Size, seg.Size),
				r.Close())
		}
		b.open, b.left = r, end-b.pos
		return nil
	}
	return fmt.Errorf("storage: no segment of %s at %d", b.d, b.pos)
}
