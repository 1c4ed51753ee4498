package storage

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"sync"
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

// endedUploads are the ids of uploads that ended here not long ago. An upload that has ended has no record, and neither has one that has not
// received anything: this tells them apart, for as long as anybody may ask. Where it does not, an old id begins a new upload.
type endedUploads struct {
	mu         sync.Mutex
	young, old map[[16]byte]bool
}

// maxEnded bounds each of the two generations of endedUploads.
const maxEnded = 10_000

func (e *endedUploads) add(id [16]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.young == nil || len(e.young) >= maxEnded {
		e.young, e.old = make(map[[16]byte]bool), e.young
	}
	e.young[id] = true
}

func (e *endedUploads) has(id [16]byte) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.young[id] || e.old[id]
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
		if u.token.recorded || u.s.ended.has(u.token.id) || time.Since(u.token.created) > u.s.opts.UploadTTL {
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
	if u.rec.version == "" && u.s.ended.has(u.token.id) {
		// It was not that nothing had been received yet: it had ended, and its record was gone.
		return errors.Join(registry.ErrUploadUnknown, u.s.remove(ctx, u.key(), version))
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
		if u.rec.State != receiving {
			return registry.ErrUploadUnknown
		}
		if err := u.end(ctx); !changed(err) {
			return wire(err)
		}
		if err := u.load(ctx); err != nil {
			return err
		}
	}
	return errContended
}

// end ends the upload, if it is still as it is known here, and drops its bytes.
//
// Errors: ErrExist or ErrChanged if it is not.
func (u *upload) end(ctx context.Context) error {
	was := u.rec
	err := u.save(ctx, uploadRecord{State: cancelled, Repository: u.repo})
	if errors.Is(err, ErrNoSpace) {
		// There is no room to write that it has ended. There may be some without it.
		if was.version != "" {
			err = u.s.driver.Delete(ctx, u.key(), was.version)
		} else {
			err = nil
		}
		u.rec.State = cancelled
	}
	if err != nil {
		return err
	}
	u.s.ended.add(u.token.id)
	u.s.drop(ctx, was.Segments)
	return nil
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
