package registry

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/reference"
)

func (g *guard) CreateUpload(ctx context.Context, repo string, opts *UploadOptions) (Upload, error) {
	if err := g.authorize(ctx, &Op{Kind: OpCreateUpload, Repository: repo}); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	o.Owner = g.identity.Name
	if limit := g.r.opts.MaxBlobSize; limit > 0 && o.Size > limit {
		return nil, ErrBlobTooLarge
	}
	return g.upload(repo)(g.r.backend.CreateUpload(ctx, repo, &o))
}

func (g *guard) ResumeUpload(ctx context.Context, repo, id string, opts *ResumeOptions) (Upload, error) {
	if err := g.authorize(ctx, &Op{Kind: OpResumeUpload, Repository: repo, UploadID: id}); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	if o.Owner == "" {
		o.Owner = g.identity.Name
	}
	if o.Owner != g.identity.Name {
		return nil, ErrUploadUnknown
	}
	return g.upload(repo)(g.r.backend.ResumeUpload(ctx, repo, id, &o))
}

// upload wraps an upload of the backend in the checks of the guard.
func (g *guard) upload(repo string) func(Upload, error) (Upload, error) {
	return func(u Upload, err error) (Upload, error) {
		if err != nil {
			return nil, err
		}
		return &guardedUpload{u: u, g: g, repo: repo}, nil
	}
}

type guardedUpload struct {
	u    Upload
	g    *guard
	repo string
}

func (u *guardedUpload) ID() string   { return u.u.ID() }
func (u *guardedUpload) Name() string { return u.u.Name() }
func (u *guardedUpload) Size() int64  { return u.u.Size() }

func (u *guardedUpload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if err := u.g.authorize(ctx, &Op{Kind: OpAppend, Repository: u.repo}); err != nil {
		return 0, err
	}
	c, err := u.limit(&Chunk{Offset: offset, Length: length, Body: r})
	if err != nil {
		return 0, err
	}
	return u.u.Append(ctx, c.Offset, c.Length, c.Body)
}

// limit ensures that the blob does not exceed Options.MaxBlobSize.
func (u *guardedUpload) limit(c *Chunk) (*Chunk, error) {
	limit := u.g.r.opts.MaxBlobSize
	if limit == 0 || c == nil {
		return c, nil
	}
	room := limit - u.u.Size()
	if c.Length > room {
		return nil, ErrBlobTooLarge
	}
	return &Chunk{Offset: c.Offset, Length: c.Length, Body: &limitReader{r: c.Body, room: room}}, nil
}

func (u *guardedUpload) Commit(ctx context.Context, d digest.Digest, last *Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	op := &Op{Kind: OpCommit, Repository: u.repo, Ref: reference.Ref{Digest: d}}
	if err := u.g.authorize(ctx, op); err != nil {
		return ocispec.Descriptor{}, err
	}
	last, err := u.limit(last)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc, err := u.u.Commit(ctx, d, last, also...)
	if err != nil {
		return desc, err
	}
	if u.g.hasSink() {
		err = u.g.notify(ctx, blobEvent(notification.Push, u.repo, desc))
	}
	return desc, err
}

func (u *guardedUpload) Cancel(ctx context.Context) error {
	if err := u.g.authorize(ctx, &Op{Kind: OpCancel, Repository: u.repo}); err != nil {
		return err
	}
	return u.u.Cancel(ctx)
}

// limitReader returns ErrBlobTooLarge if there are more than room bytes.
type limitReader struct {
	r    io.Reader
	room int64
}

func (l *limitReader) Read(p []byte) (int, error) {
	if int64(len(p)) > l.room+1 {
		p = p[:l.room+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.room {
		n, err = int(l.room), ErrBlobTooLarge
	}
	l.room -= int64(n)
	return n, err
}
