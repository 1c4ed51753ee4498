package storage

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
)

// uploadRecord is how far an upload has come. There is none before the first byte. Each change is made on the condition of the
// version before it: of several requests at one offset, exactly one succeeds.
type uploadRecord struct {
	State      uploadState      `json:"state"`
	Nonce      string           `json:"nonce"`
	Repository string           `json:"repository"`
	Algorithm  digest.Algorithm `json:"algorithm"`
	Hash       []byte           `json:"hash,omitempty"` // state of the hash after Size bytes
	Size       int64            `json:"size"`
	Segments   []segment        `json:"segments,omitempty"`
	Sum        uint32           `json:"sum"`

	tail    []byte // the bytes after those in the segments
	version string
}

type uploadState string

const (
	receiving  uploadState = "receiving"
	committing uploadState = "committing" // a Commit has begun: nothing is added, or dropped, any more
	cancelled  uploadState = "cancelled"
)

// upload implements [registry.Upload].
type upload struct {
	s     *Store
	repo  string
	owner string
	token token
	rec   uploadRecord
}

// CreateUpload implements [registry.Writer]. It writes nothing: the id holds all there is to know.
func (s *Store) CreateUpload(_ context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	if err := checkName(repo); err != nil {
		return nil, err
	}
	var o registry.UploadOptions
	if opts != nil {
		o = *opts
	}
	switch o.Algorithm {
	case "":
		o.Algorithm = digest.SHA256
	case digest.SHA256, digest.SHA512:
	default:
		return nil, registry.ErrDigestInvalid.WithMessage("unsupported digest algorithm")
	}
	u := &upload{s: s, repo: repo, owner: o.Owner, token: newToken(o.Algorithm)}
	u.reset()
	return u, nil
}

// ResumeUpload implements [registry.Writer].
func (s *Store) ResumeUpload(ctx context.Context, repo, id, owner string) (registry.Upload, error) {
	if err := checkName(repo); err != nil {
		return nil, err
	}
	t, err := s.verify(id, repo, owner)
	if err != nil {
		return nil, registry.ErrUploadUnknown
	}
	u := &upload{s: s, repo: repo, owner: owner, token: t}
	if err := u.load(ctx); err != nil {
		return nil, err
	}
	return u, nil
}

// ID implements [registry.Upload].
func (u *upload) ID() string { return u.s.sign(u.token, u.repo, u.owner) }

// Size implements [registry.Upload].
func (u *upload) Size() int64 { return u.rec.Size }

func (u *upload) key() string { return uploadKey(u.token.name()) }

// reset makes u an upload that nothing has been received of.
func (u *upload) reset() {
	u.rec = uploadRecord{State: receiving, Repository: u.repo, Algorithm: u.token.algorithm()}
}

// load reads how far the upload has come.
//
// Errors: registry.ErrUploadUnknown if it has ended.
func (u *upload) load(ctx context.Context) error {
	b, info, err := u.s.read(ctx, u.key())
	if errors.Is(err, ErrNotExist) {
		if u.token.recorded || time.Since(u.token.created) > u.s.opts.UploadTTL {
			return registry.ErrUploadUnknown
		}
		u.reset()
		return nil
	}
	if err != nil {
		return wire(err)
	}
	var r uploadRecord
	tail, ok := decode(b, &r)
	if !ok || checksum(tail) != r.Sum {
		// Cut short by a loss of power: what it told is lost, and so is the upload.
		return registry.ErrUploadUnknown
	}
	if r.State == cancelled || r.Repository != u.repo {
		return registry.ErrUploadUnknown
	}
	r.tail, r.version = tail, info.Version
	u.rec, u.token.recorded = r, true
	return nil
}

// save writes r as the state of the upload, if that is still the one in u.rec.
//
// Errors: ErrExist or ErrChanged if it is not.
func (u *upload) save(ctx context.Context, r uploadRecord) error {
	r.Nonce, r.Sum = nonce(), checksum(r.tail)
	version, err := u.s.put(ctx, u.key(), u.rec.version, &r, r.tail, Relaxed)
	if err != nil {
		return err
	}
	r.version = version
	u.rec, u.token.recorded = r, true
	return nil
}

// Cancel implements [registry.Upload].
func (u *upload) Cancel(ctx context.Context) error {
	for n := range attempts {
		if err := pause(ctx, n); err != nil {
			return err
		}
		if u.rec.State == committing {
			return registry.ErrUploadUnknown
		}
		segments := u.rec.Segments
		err := u.save(ctx, uploadRecord{State: cancelled, Repository: u.repo})
		if err == nil {
			u.s.drop(ctx, segments)
			return nil
		}
		if !changed(err) {
			return wire(err)
		}
		if err := u.load(ctx); err != nil {
			return err
		}
	}
	return errContended
}

// drop deletes segments that no key names any more. What remains for an error is left to the collector.
func (s *Store) drop(ctx context.Context, segments []segment) {
	_ = inParallel(len(segments), func(i int) error {
		return s.driver.Delete(ctx, dataKey(segments[i].Name), "")
	})
}

// restore returns the hash of the bytes received so far.
func (r *uploadRecord) restore() (hash.Hash, error) {
	h := r.Algorithm.Hash()
	if len(r.Hash) == 0 {
		return h, nil
	}
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(r.Hash); err != nil {
		return nil, fmt.Errorf("storage: state of the hash of an upload: %w", err)
	}
	return h, nil
}

// hashState is the state of h, for a record.
func hashState(h hash.Hash) ([]byte, error) {
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}
