package layout

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/options"
)

// upload is a blob that is being received into a temporary file. All values for one upload share
// it.
type upload struct {
	l           *Layout
	id          string
	repo, owner string
	algorithm   digest.Algorithm
	file        string
	busy        chan struct{} // holds an element while a call uses what follows

	size  int64
	hash  hash.Hash
	ended bool
}

// CreateUpload implements [registry.Backend]. An upload is known to this Layout only, until Close.
//
// Errors: registry.ErrUnsupported for a Layout of Open; ErrNoSpace.
func (l *Layout) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	if err := l.checkWrite(ctx, repo); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	options.Default(&o.Algorithm, digest.SHA256)
	if o.Algorithm != digest.SHA256 && o.Algorithm != digest.SHA512 {
		return nil, registry.ErrDigestInvalid.WithMessage(fmt.Sprintf("unsupported algorithm %.20q", string(o.Algorithm)))
	}
	f, file, err := l.writer.temp()
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	u := &upload{l: l, id: rand.Text(), repo: repo, owner: o.Owner, algorithm: o.Algorithm, file: file,
		busy: make(chan struct{}, 1), hash: o.Algorithm.Hash()}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writer.uploads[u.id] = u
	return u, nil
}

// ResumeUpload implements [registry.Backend].
//
// Errors: registry.ErrUploadUnknown; ErrUnsupported for a Layout of Open.
func (l *Layout) ResumeUpload(ctx context.Context, repo, id string,
	opts *registry.ResumeOptions) (registry.Upload, error) {
	if err := l.checkWrite(ctx, repo); err != nil {
		return nil, err
	}
	l.mu.Lock()
	u := l.writer.uploads[id]
	l.mu.Unlock()
	if u == nil || u.repo != repo || u.owner != options.Value(opts).Owner {
		return nil, registry.ErrUploadUnknown
	}
	return u, nil
}

// checkWrite refuses a push that is impossible.
func (l *Layout) checkWrite(ctx context.Context, repo string) error {
	if err := registry.CheckName(repo); err != nil {
		return err
	}
	if l.writer == nil {
		return registry.ErrUnsupported.WithMessage("the layout was opened for reading")
	}
	return ctx.Err()
}

// ID implements [registry.Upload].
func (u *upload) ID() string { return u.id }

// Name implements [registry.Upload].
func (u *upload) Name() string { return u.id }

// Size implements [registry.Upload].
func (u *upload) Size() int64 {
	u.busy <- struct{}{}
	defer u.release()
	return u.size
}

// acquire waits until no other call uses the upload.
func (u *upload) acquire(ctx context.Context) error {
	select {
	case u.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if u.ended {
		u.release()
		return registry.ErrUploadUnknown
	}
	return nil
}

func (u *upload) release() { <-u.busy }

// Append implements [registry.Upload].
func (u *upload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if err := u.acquire(ctx); err != nil {
		return 0, err
	}
	defer u.release()
	return u.append(ctx, offset, length, r)
}

func (u *upload) append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if offset != u.size {
		return 0, registry.ErrRangeInvalid
	}
	f, err := u.l.writer.dir.root.OpenFile(u.file, os.O_WRONLY, 0)
	if err != nil {
		return 0, err
	}
	if length >= 0 {
		r = io.LimitReader(r, length)
	}
	n, err := u.copy(ctx, f, r)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && length >= 0 && n < length {
		err = registry.ErrSizeInvalid
	}
	return n, err
}

// copyBuffer is the size of the buffer of an append, in bytes.
const copyBuffer = 256 << 10

// copy writes what r yields behind what the upload has, and adds it to the hash. After a failed
// write, the next one begins at the same place.
func (u *upload) copy(ctx context.Context, f *os.File, r io.Reader) (int64, error) {
	begin := u.size
	buf := make([]byte, copyBuffer)
	for {
		if err := ctx.Err(); err != nil {
			return u.size - begin, err
		}
		n, err := r.Read(buf)
		if n > 0 {
			if _, werr := f.WriteAt(buf[:n], u.size); werr != nil {
				return u.size - begin, full(werr)
			}
			u.hash.Write(buf[:n])
			u.size += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return u.size - begin, nil
		}
		if err != nil {
			return u.size - begin, fmt.Errorf("layout: reading the content of the upload: %w", err)
		}
	}
}

// Commit implements [registry.Upload].
func (u *upload) Commit(ctx context.Context, d digest.Digest, last *registry.Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	for _, dg := range append([]digest.Digest{d}, also...) {
		if err := registry.CheckDigest(dg); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := u.acquire(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	defer u.release()
	if last != nil {
		if _, err := u.append(ctx, last.Offset, last.Length, last.Body); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	return u.commit(d, also)
}

// commit verifies the content and gives it its name.
func (u *upload) commit(d digest.Digest, also []digest.Digest) (ocispec.Descriptor, error) {
	w := u.l.writer
	f, err := w.dir.root.OpenFile(u.file, os.O_RDWR, 0)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer f.Close()
	// A write that failed may have left bytes behind the end.
	if err := f.Truncate(u.size); err != nil {
		return ocispec.Descriptor{}, full(err)
	}
	for _, dg := range append([]digest.Digest{d}, also...) {
		sum, err := u.sum(f, dg.Algorithm())
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		if sum != dg {
			u.end()
			return ocispec.Descriptor{}, registry.ErrDigestInvalid
		}
	}
	if err := w.dir.root.MkdirAll(path.Dir(blobName(d)), dirMode); err != nil {
		return ocispec.Descriptor{}, full(err)
	}
	if err := w.install(f, u.file, blobName(d)); err != nil {
		return ocispec.Descriptor{}, full(err)
	}
	u.end()
	return ocispec.Descriptor{MediaType: blobType, Digest: d, Size: u.size}, nil
}

// blobType is the media type of blobs.
const blobType = "application/octet-stream"

// sum returns the digest of the content.
func (u *upload) sum(f *os.File, algorithm digest.Algorithm) (digest.Digest, error) {
	if algorithm == u.algorithm {
		return digest.NewDigest(algorithm, u.hash), nil
	}
	return algorithm.FromReader(io.NewSectionReader(f, 0, u.size))
}

// Cancel implements [registry.Upload].
func (u *upload) Cancel(ctx context.Context) error {
	if err := u.acquire(ctx); err != nil {
		return err
	}
	defer u.release()
	u.end()
	return nil
}

// end forgets the upload.
func (u *upload) end() {
	u.ended = true
	_ = u.l.writer.dir.root.Remove(u.file) // Close removes it otherwise
	u.l.mu.Lock()
	defer u.l.mu.Unlock()
	delete(u.l.writer.uploads, u.id)
}
