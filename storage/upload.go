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

// uploadRecord is the record of an upload. There is none before the first byte. Each change is a
// compare-and-swap on the version before it, so of several requests at one offset exactly one
// succeeds.
type uploadRecord struct {
	State      uploadState      `json:"state"`
	Seq        uint32           `json:"seq"` // the number of changes, this one included
	Nonce      string           `json:"nonce"`
	Repository string           `json:"repository"`
	Algorithm  digest.Algorithm `json:"algorithm"`
	Hash       []byte           `json:"hash,omitempty"` // the state of the hash after Size bytes
	Size       int64            `json:"size"`
	Segments   []object.Segment `json:"segments,omitempty"`
	Sum        uint32           `json:"sum"`

	tail    []byte // the bytes after those in the segments; the content of the record
	version string // of the record; "" if there is none
}

type uploadState string

const (
	receiving  uploadState = "receiving"
	committing uploadState = "committing" // claimed by a Commit: nothing is added or dropped any more
	cancelled  uploadState = "cancelled"
)

// upload implements [registry.Upload].
type upload struct {
	repo  repo
	owner string
	id    uploadID
	rec   uploadRecord
	// assumed says that rec is what this process remembers of the upload. The storage was not read.
	assumed bool
	// contested is set by Commit if another request has also begun to commit the upload, and may
	// not have finished.
	contested bool
	// alone says that the content came with the commit and that no record names it, see keepAlone.
	alone bool
}

// What a Store remembers of uploads.
const (
	// maxEnded is the maximum number of ended uploads in Store.ended.
	maxEnded = 20_000
	// maxKnown is the maximum size of the uploads in progress in Store.known, in bytes.
	maxKnown = 8 << 20
)

// CreateUpload implements [registry.Writer]. It writes nothing, because the ID holds all that is
// known of the upload.
//
// Errors: registry.ErrTooManyRequests if the owner has Options.MaxUploads unfinished uploads;
// registry.ErrDigestInvalid for an algorithm other than sha256 and sha512.
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

// ResumeUpload implements [registry.Writer]. With Continue, it does not read the record if the ID
// is of the state in which this process has left the upload. Then only a caller without that ID can
// have added to the upload, and the next change of the record finds that out.
//
// Errors: registry.ErrUploadUnknown.
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

// Name implements [registry.Upload]. It is the ID that the upload had before the first byte, so a
// client that builds URLs from it can continue the upload.
func (u *upload) Name() string {
	first := uploadID{random: u.id.random, created: u.id.created, sha512: u.id.sha512}
	return u.repo.store.sign(first, u.repo.Name, u.owner)
}

// Size implements [registry.Upload].
func (u *upload) Size() int64 { return u.rec.Size }

// key returns the key of the record.
func (u *upload) key() string { return object.UploadKey(u.id.name()) }

// reset makes u an upload that has received nothing.
func (u *upload) reset() {
	u.rec = uploadRecord{State: receiving, Repository: u.repo.Name, Algorithm: u.id.algorithm()}
	u.assumed = false
}

// recall makes u what this process remembers of the upload, if the ID is of that state. It reports
// whether it did.
func (u *upload) recall() bool {
	r, ok := u.repo.store.known.Get(u.id.random)
	if !ok || r.Seq != u.id.seq || u.ended() {
		return false
	}
	u.rec, u.assumed = r, true
	return true
}

// remember remembers the state of the upload for recall.
func (u *upload) remember() {
	if u.rec.State != receiving {
		u.repo.store.known.Remove(u.id.random)
		return
	}
	const overhead = 400 // the size of a record and of its place in a map, in bytes
	u.repo.store.known.Add(u.id.random, u.rec, overhead+len(u.rec.tail)+len(u.rec.Hash)+80*len(u.rec.Segments))
}

// ended reports whether an upload without a record has ended, as far as this process knows.
func (u *upload) ended() bool {
	_, ended := u.repo.store.ended.Get(u.id.random)
	return ended || u.id.seq == 0 && time.Since(u.id.created) > u.repo.store.opts.UploadTTL
}

// markEnded notes that the upload has ended. An ended upload may have no record, and an upload that
// has received nothing has none either. The note distinguishes the two for as long as the ID is
// accepted. Without the note, an ID from before the first byte begins a new upload.
func (u *upload) markEnded() {
	u.repo.store.ended.Add(u.id.random, struct{}{}, 1)
	u.repo.store.known.Remove(u.id.random)
	u.repo.store.unfinished.remove(u.owner, u.id.random)
}

// load reads the record of the upload.
//
// Errors: registry.ErrUploadUnknown if the upload has ended.
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
		// A loss of power has truncated the record, so the upload is lost.
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

// save writes r as the record of the upload, if the record is still u.rec.
//
// Errors: driver.ErrExist or driver.ErrChanged if it is not; registry.ErrUploadUnknown if the
// upload has ended.
func (u *upload) save(ctx context.Context, r uploadRecord) error {
	r.Seq, r.Nonce, r.Sum = u.rec.Seq+1, object.NewNonce(), object.Checksum(r.tail)
	version, err := u.repo.Put(ctx, u.key(), u.rec.version, &r, r.tail, driver.Relaxed)
	if err != nil {
		return err
	}
	if _, ended := u.repo.store.ended.Get(u.id.random); ended && u.rec.version == "" {
		// There was no record because the upload had ended, and not because nothing had been
		// received.
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
		if err := u.end(ctx); !driver.IsConflict(err) {
			return object.RegistryError(err)
		}
		if err := u.load(ctx); err != nil {
			return err
		}
	}
	return err
}

// end ends the upload and drops its bytes, if the record is still u.rec.
//
// Errors: driver.ErrExist or driver.ErrChanged if it is not.
func (u *upload) end(ctx context.Context) error {
	was := u.rec
	err := u.save(ctx, uploadRecord{State: cancelled, Repository: u.repo.Name})
	if errors.Is(err, driver.ErrNoSpace) {
		// The storage has no room to write that the upload has ended. Removing the record may free
		// some.
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
		return nil, fmt.Errorf("storage: restoring the hash of an upload: %w", err)
	}
	return h, nil
}

// hashState returns the state of h for a record.
func hashState(h hash.Hash) ([]byte, error) {
	return h.(encoding.BinaryMarshaler).MarshalBinary()
}
