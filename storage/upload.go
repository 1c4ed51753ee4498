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
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// uploadRecord is how far an upload has come. There is none before the first byte. Each change is
// made on the condition of the version before it: of several requests at one offset, exactly one
// succeeds.
type uploadRecord struct {
	State      uploadState      `json:"state"`
	Seq        uint32           `json:"seq"` // the number of changes, this one included
	Nonce      string           `json:"nonce"`
	Repository string           `json:"repository"`
	Algorithm  digest.Algorithm `json:"algorithm"`
	Hash       []byte           `json:"hash,omitempty"` // state of the hash after Size bytes
	Size       int64            `json:"size"`
	Segments   []object.Segment `json:"segments,omitempty"`
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
	repo  repo
	owner string
	id    uploadID
	rec   uploadRecord
	// assumed says that rec is what this process knows of the upload, and not what the storage has
	// just said.
	assumed bool
	// contested is set by Commit if another request has also begun to commit the upload, and may not
	// have finished.
	contested bool
}

// memory of uploads, see Store.
const (
	// maxEnded is how many uploads that have ended are remembered.
	maxEnded = 20_000
	// maxKnown is how many bytes are remembered of uploads in progress.
	maxKnown = 8 << 20
)

// CreateUpload implements [registry.Writer]. It writes nothing: the id holds all there is to know.
//
// Errors: registry.ErrTooManyRequests if the owner has Options.MaxUploads unfinished uploads.
func (s *Store) CreateUpload(ctx context.Context, repo string, opts *registry.UploadOptions) (registry.Upload, error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	switch o.Algorithm {
	case "":
		o.Algorithm = digest.SHA256
	case digest.SHA256, digest.SHA512:
	default:
		return nil, registry.ErrDigestInvalid.WithMessage("unsupported digest algorithm")
	}
	u := &upload{repo: s.repo(repo), owner: o.Owner, id: newUploadID(o.Algorithm)}
	u.reset()
	if err := s.admitUpload(ctx, u.owner, u.id.random); err != nil {
		return nil, err
	}
	u.remember()
	return u, nil
}

// ResumeUpload implements [registry.Writer]. With Continue, the record is not read if the id is of
// the state in which this process has left the upload: then nobody but who does not know that id
// can have added to it. That somebody did is found out when the record is changed.
func (s *Store) ResumeUpload(ctx context.Context, repo, id string, opts *registry.ResumeOptions) (registry.Upload,
	error) {
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	o := options.Value(opts)
	parsed, err := s.verify(id, repo, o.Owner)
	if err != nil {
		return nil, registry.ErrUploadUnknown
	}
	u := &upload{repo: s.repo(repo), owner: o.Owner, id: parsed}
	if o.Continue && u.recall() {
		return u, nil
	}
	if err := u.load(ctx); err != nil {
		return nil, err
	}
	return u, nil
}

// ID implements [registry.Upload].
func (u *upload) ID() string { return u.repo.store.sign(u.id, u.repo.Name, u.owner) }

// Name implements [registry.Upload]. It is the ID that the upload had before the first byte, so
// that a client that builds URLs of it can go on with the upload.
func (u *upload) Name() string {
	first := uploadID{random: u.id.random, created: u.id.created, sha512: u.id.sha512}
	return u.repo.store.sign(first, u.repo.Name, u.owner)
}

// Size implements [registry.Upload].
func (u *upload) Size() int64 { return u.rec.Size }

func (u *upload) key() string { return object.UploadKey(u.id.name()) }

// reset makes u an upload that nothing has been received of.
func (u *upload) reset() {
	u.rec = uploadRecord{State: receiving, Repository: u.repo.Name, Algorithm: u.id.algorithm()}
	u.assumed = false
}

// recall makes u what this process knows of the upload, if that is what its id speaks of.
func (u *upload) recall() bool {
	r, ok := u.repo.store.known.Get(u.id.random)
	if !ok || r.Seq != u.id.seq || u.ended() {
		return false
	}
	u.rec, u.assumed = r, true
	return true
}

// remember keeps the state of the upload for recall.
func (u *upload) remember() {
	if u.rec.State != receiving {
		u.repo.store.known.Remove(u.id.random)
		return
	}
	const overhead = 400 // of a record and its place in a map, in bytes
	u.repo.store.known.Add(u.id.random, u.rec, overhead+len(u.rec.tail)+len(u.rec.Hash)+80*len(u.rec.Segments))
}

// ended reports whether an upload that has no record has ended, as far as this process knows.
func (u *upload) ended() bool {
	_, ended := u.repo.store.ended.Get(u.id.random)
	return ended || u.id.seq == 0 && time.Since(u.id.created) > u.repo.store.opts.UploadTTL
}

// markEnded notes that the upload has ended. An upload that has ended has no record, and neither has
// one that has not received anything: this tells them apart, for as long as anybody may ask. Where
// it does not, the id of the latter begins a new upload.
func (u *upload) markEnded() {
	u.repo.store.ended.Add(u.id.random, struct{}{}, 1)
	u.repo.store.known.Remove(u.id.random)
	u.repo.store.unfinished.remove(u.owner, u.id.random)
}

// load reads how far the upload has come.
//
// Errors: registry.ErrUploadUnknown if it has ended.
func (u *upload) load(ctx context.Context) error {
	b, info, err := u.repo.Read(ctx, u.key())
	if errors.Is(err, driver.ErrNotExist) {
		if u.id.seq > 0 || u.ended() {
			u.repo.store.unfinished.remove(u.owner, u.id.random)
			return registry.ErrUploadUnknown
		}
		u.reset()
		return nil
	}
	if err != nil {
		return object.RegistryError(err)
	}
	var r uploadRecord
	tail, ok := object.Decode(b, &r)
	if !ok || object.Checksum(tail) != r.Sum {
		// Cut short by a loss of power: what it told is lost, and so is the upload.
		return registry.ErrUploadUnknown
	}
	if r.State == cancelled || r.Repository != u.repo.Name {
		u.repo.store.unfinished.remove(u.owner, u.id.random)
		return registry.ErrUploadUnknown
	}
	r.tail, r.version = tail, info.Version
	u.id.firstUnconfirmed = u.id.firstUnconfirmed || u.id.seq == 0
	u.setRecord(r)
	return nil
}

// setRecord makes r, which is in the storage, the state of the upload.
func (u *upload) setRecord(r uploadRecord) {
	u.rec, u.id.seq, u.assumed = r, r.Seq, false
	u.remember()
	u.repo.store.unfinished.note(u.owner, u.id.random)
}

// save writes r as the state of the upload, if that is still the one in u.rec.
//
// Errors: ErrExist or ErrChanged if it is not.
func (u *upload) save(ctx context.Context, r uploadRecord) error {
	r.Seq, r.Nonce, r.Sum = u.rec.Seq+1, object.NewNonce(), object.Checksum(r.tail)
	version, err := u.repo.Put(ctx, u.key(), u.rec.version, &r, r.tail, driver.Relaxed)
	if err != nil {
		return err
	}
	if _, ended := u.repo.store.ended.Get(u.id.random); ended && u.rec.version == "" {
		// It was not that nothing had been received yet: it had ended, and its record was gone.
		return errors.Join(registry.ErrUploadUnknown, u.repo.Remove(ctx, u.key(), version))
	}
	r.version = version
	u.setRecord(r)
	return nil
}

// Cancel implements [registry.Upload].
func (u *upload) Cancel(ctx context.Context) error {
	var err error
	for range object.Attempts(ctx, &err) {
		if u.rec.State != receiving {
			return registry.ErrUploadUnknown
		}
		if err := u.end(ctx); !object.IsConflict(err) {
			return object.RegistryError(err)
		}
		if err := u.load(ctx); err != nil {
			return err
		}
	}
	return err
}

// end ends the upload, if it is still as it is known here, and drops its bytes.
//
// Errors: ErrExist or ErrChanged if it is not.
func (u *upload) end(ctx context.Context) error {
	was := u.rec
	err := u.save(ctx, uploadRecord{State: cancelled, Repository: u.repo.Name})
	if errors.Is(err, driver.ErrNoSpace) {
		// There is no room to write that it has ended. There may be some without it.
		if was.version != "" {
			err = u.repo.Driver.Delete(ctx, u.key(), was.version)
		} else {
			err = nil
		}
		u.rec.State = cancelled
	}
	if err != nil {
		return err
	}
	u.markEnded()
	u.repo.DropSegments(ctx, was.Segments)
	return nil
}

// restoreHash returns the hash of the bytes received so far.
func (r *uploadRecord) restoreHash() (hash.Hash, error) {
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
