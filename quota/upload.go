package quota

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
)

// cleanupTimeout limits the cleanup after a refusal. The cleanup runs even if ctx has ended.
const cleanupTimeout = 10 * time.Second

// CreateUpload implements [registry.Writer]. It refuses an upload to a new repository if the prefix
// has as many as it may have, and one whose expected size is larger than the limit.
func (q *Quotas) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	a := q.of(repo)
	if a == nil {
		return q.next.CreateUpload(ctx, repo, opts)
	}
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	if a.rule.Max.Repositories > 0 {
		if err := a.checkRepository(ctx, repo); err != nil {
			return nil, err
		}
	}
	return a.upload(q.next.CreateUpload(ctx, repo, opts))(repo)
}

// ResumeUpload implements [registry.Writer].
func (q *Quotas) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	a := q.of(repo)
	if a == nil {
		return q.next.ResumeUpload(ctx, repo, id, opts)
	}
	return a.upload(q.next.ResumeUpload(ctx, repo, id, opts))(repo)
}

// upload wraps an upload of a repository.
func (a *account) upload(u registry.Upload, err error) func(repo string) (registry.Upload, error) {
	return func(repo string) (registry.Upload, error) {
		if err != nil {
			return nil, err
		}
		return &upload{u: u, a: a, repo: repo}, nil
	}
}

// checkRepository returns an error if the prefix may not have the repository as well. It holds nothing.
func (a *account) checkRepository(ctx context.Context, repo string) error {
	r, err := a.ready(ctx)
	if err != nil {
		return err
	}
	limit := a.rule.Max.Repositories
	c := claim{gen: r.gen()}
	if r.figure().Repositories < limit {
		return nil
	}
	if err := a.claimRepository(ctx, &c, repo); err != nil || c.charged.Repositories == 0 {
		return err
	}
	if r, err = a.refresh(ctx); err != nil {
		return err
	}
	used := r.figure().Repositories
	if used < limit {
		return nil
	}
	a.noteRefusal()
	return (&excess{resource: Repositories, limit: limit, used: used, needed: 1}).refusal(a.prefix)
}

// upload is an upload to a repository with a limit. Its bytes count from when they arrive. It does not
// embed Upload, so that it does not compile when Upload gets a method that is missing here.
type upload struct {
	u    registry.Upload
	a    *account
	repo string
}

func (u *upload) ID() string   { return u.u.ID() }
func (u *upload) Name() string { return u.u.Name() }
func (u *upload) Size() int64  { return u.u.Size() }

// id is the identifier of what the upload holds, on every replica.
func (u *upload) id() string {
	name := sha256.Sum256([]byte(u.u.Name()))
	return "u" + hex.EncodeToString(name[:8])
}

// Append implements [registry.Upload]. If the length is known, the bytes are held before any of them is
// read. After a refusal the upload has ended.
func (u *upload) Append(ctx context.Context, offset, length int64, r io.Reader) (int64, error) {
	if u.a.counts.Bytes == 0 {
		return u.u.Append(ctx, offset, length, r)
	}
	b := u.body(ctx, offset, r)
	var err error
	if length >= 0 {
		err = b.hold(offset, length)
	} else {
		err = b.measure(u.holdBytes)
	}
	if err != nil {
		return 0, u.refused(ctx, err)
	}
	n, err := u.u.Append(ctx, offset, length, b)
	if err != nil {
		if b.refusal != nil {
			return n, u.refused(ctx, b.refusal)
		}
		u.shrink()
	}
	return n, err
}

// holdBytes makes the upload hold total bytes. An upload in several chunks holds up to twice as many, so
// that not each chunk needs a write, unless the prefix has little room.
func (u *upload) holdBytes(ctx context.Context, total int64) error {
	id := u.id()
	need := claim{charged: Amounts{Bytes: total}}
	if u.a.covers(id, need) {
		return nil
	}
	if r, _ := u.a.known(); r != nil && u.u.Size() > 0 {
		ahead := total
		if limit := u.a.rule.Max.Bytes; limit > 0 {
			ahead = min(ahead, max(limit-r.figure().Bytes, 0)/8)
		}
		need.charged.Bytes = sum(total, ahead)
	}
	err := u.holdExactly(ctx, id, need.charged.Bytes)
	if errors.Is(err, ErrExceeded) && need.charged.Bytes > total {
		err = u.holdExactly(ctx, id, total)
	}
	return err
}

// holdExactly makes the upload hold a number of bytes, and its repository, which its commit needs, too.
func (u *upload) holdExactly(ctx context.Context, id string, bytes int64) error {
	_, err := u.a.admit(ctx, id, func(ctx context.Context, c *claim) error {
		c.charged.Bytes = bytes
		return u.a.claimRepository(ctx, c, u.repo)
	})
	return err
}

// refused ends the upload after a refusal, so that its bytes take no space, and returns err.
func (u *upload) refused(ctx context.Context, err error) error {
	if !errors.Is(err, ErrExceeded) {
		u.shrink()
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	if u.u.Size() > 0 {
		if cerr := u.u.Cancel(ctx); cerr != nil {
			u.shrink() // it expires
			return err
		}
	}
	u.a.end(u.id(), claim{}, false)
	return err
}

// shrink makes the upload hold no more than the bytes that it has received, with the next write.
func (u *upload) shrink() {
	id, size := u.id(), u.u.Size()
	u.a.defers(id, func(r *record, _ time.Time) error {
		h, held := r.Holds[id]
		if !held || size > 0 && h.Charged.Bytes <= size {
			return errUnchanged
		}
		if h.Charged.Bytes = size; size == 0 {
			delete(r.Holds, id)
		} else {
			r.Holds[id] = h
		}
		return nil
	})
}

// Commit implements [registry.Upload]. A blob that the prefix has already costs nothing.
func (u *upload) Commit(ctx context.Context, d digest.Digest, last *registry.Chunk,
	also ...digest.Digest) (ocispec.Descriptor, error) {
	if err := registry.CheckDigest(d); err != nil {
		return ocispec.Descriptor{}, err
	}
	var p *push
	admit := func(ctx context.Context, total int64) (err error) {
		p, err = u.admit(ctx, d, total)
		return err
	}
	var b *body
	var err error
	switch {
	case last == nil:
		err = admit(ctx, u.u.Size())
	case last.Length >= 0:
		b = u.body(ctx, last.Offset, last.Body)
		err = admit(ctx, sum(last.Offset, last.Length))
	default:
		b = u.body(ctx, last.Offset, last.Body)
		err = u.measureCommit(ctx, b, d, admit)
	}
	if err != nil {
		return ocispec.Descriptor{}, u.refused(ctx, err)
	}
	if b != nil {
		last = &registry.Chunk{Offset: last.Offset, Length: last.Length, Body: b}
	}
	desc, err := u.u.Commit(ctx, d, last, also...)
	if b != nil && b.refusal != nil {
		return ocispec.Descriptor{}, u.refused(ctx, b.refusal)
	}
	if p == nil && err == nil { // the Backend has not read the body to its end
		p = &push{a: u.a, id: u.id(), held: true, claim: claim{charged: Amounts{Bytes: desc.Size}.only(u.a.counts)}}
	}
	u.committed(p, err, b)
	return desc, err
}

// measureCommit prepares the commit of a blob whose last chunk has an unknown length. A blob that the
// prefix has already may have any.
func (u *upload) measureCommit(ctx context.Context, b *body, d digest.Digest,
	admit func(context.Context, int64) error) error {
	r, err := u.a.ready(ctx)
	if err != nil {
		return err
	}
	has, err := u.a.hasBlob(ctx, r.gen(), u.repo, d, "")
	if err != nil {
		return err
	}
	if b.whole = admit; has {
		return nil
	}
	return b.measure(admit)
}

// admit makes the upload hold what its commit needs, where total is the size of the blob.
func (u *upload) admit(ctx context.Context, d digest.Digest, total int64) (*push, error) {
	a, id := u.a, u.id()
	p, err := a.admit(ctx, id, func(ctx context.Context, c *claim) error {
		return a.claimBlob(ctx, c, u.repo, d, total, "")
	})
	return p, err
}

// committed ends what the upload holds, after Commit has returned err.
func (u *upload) committed(p *push, err error, b *body) {
	switch {
	case err == nil || !notStored(err) && (b == nil || b.err == nil):
		p.end(true)
	case errors.Is(err, registry.ErrDigestInvalid):
		u.a.end(u.id(), claim{}, false)
	default: // the upload can go on
		u.shrink()
	}
}

// notStored reports whether err says that an upload was not committed.
func notStored(err error) bool {
	for _, e := range []*registry.Error{registry.ErrDigestInvalid, registry.ErrRangeInvalid, registry.ErrSizeInvalid,
		registry.ErrBlobTooLarge, registry.ErrTooManyRequests, ErrExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Cancel implements [registry.Upload].
func (u *upload) Cancel(ctx context.Context) error {
	err := u.u.Cancel(ctx)
	if err == nil {
		u.a.end(u.id(), claim{}, false)
	}
	return err
}

// sum returns the sum of two numbers that are not negative, or the largest number.
func sum(a, b int64) int64 { return (Amounts{Bytes: a}).plus(Amounts{Bytes: b}).Bytes }
