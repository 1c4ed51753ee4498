package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage/internal/object"
)

// FollowUpload is what every upload of a [Store] offers beyond [registry.Upload], for a mirror that
// serves a blob while it arrives.
//
// Like the methods of [registry.Upload], its methods must not be called at the same time as another
// method of the same value. A Snapshot has no such limit.
type FollowUpload interface {
	registry.Upload

	// Digest returns the digest of the bytes received so far, by the algorithm of the upload. It
	// reads nothing.
	//
	// Errors: registry.ErrUploadUnknown if the upload has been cancelled.
	Digest() (digest.Digest, error)

	// Snapshot returns what has been received so far. The result stays as it is when the upload
	// goes on, and may be used by any number of goroutines.
	Snapshot() Snapshot

	// Refresh reads the state of the upload from the storage, to see what another process has
	// appended. After an error, the upload is as it was before.
	//
	// Refresh knows that an upload has ended if it has seen at least one byte of it, or if it was
	// resumed by an ID from after the first byte. Otherwise an upload that another process has
	// committed looks as if it had received nothing. A process that shares an upload with others
	// therefore gives them the ID from after the first Append. If Size does not grow, the blob may
	// exist already.
	//
	// Errors: registry.ErrUploadUnknown if the upload has been committed or cancelled.
	Refresh(ctx context.Context) error
}

// Snapshot is a state of an upload.
type Snapshot interface {
	// Size is the number of bytes.
	Size() int64
	// Open returns a reader of the bytes. It opens nothing before the first Read. A Read fails with
	// an error that wraps driver.ErrNotExist if the bytes have been merged into a larger segment or
	// dropped since; the caller then takes a newer Snapshot, or opens the blob. The reader is a
	// [registry.FileSource].
	Open(ctx context.Context) io.ReadSeekCloser
	// Became reports whether the upload was committed as the blob d of its repository, so that the
	// bytes of the snapshot are the first ones of that blob. A caller that has shown them to others
	// must know that before it continues with the blob: the upload may have been cancelled, and the
	// blob may have come in another way. Became is false also if the blob has the same bytes as
	// another one that was stored before.
	Became(ctx context.Context, d digest.Digest) (bool, error)
}

var _ FollowUpload = (*upload)(nil)

// Digest implements [FollowUpload].
func (u *upload) Digest() (digest.Digest, error) {
	if u.rec.State == cancelled {
		return "", registry.ErrUploadUnknown
	}
	h, err := u.rec.restoreHash()
	if err != nil {
		return "", err
	}
	return digest.NewDigest(u.rec.Algorithm, h), nil
}

// Snapshot implements [FollowUpload].
func (u *upload) Snapshot() Snapshot {
	return &snapshot{repo: u.repo, upload: u.id.name(), link: u.link()}
}

// Refresh implements [FollowUpload].
func (u *upload) Refresh(ctx context.Context) error { return u.load(ctx) }

// snapshot implements [Snapshot]. An upload replaces its segments and its tail, and never changes
// them in place, so the link may name those of the upload.
type snapshot struct {
	repo   repo
	upload string // its segments have names that begin with this and "."
	link   *object.Link
}

// Size implements [Snapshot].
func (s *snapshot) Size() int64 { return s.link.Size }

// Open implements [Snapshot].
func (s *snapshot) Open(ctx context.Context) io.ReadSeekCloser {
	return s.repo.newBody(ctx, "", s.link)
}

// Became implements [Snapshot]. All segments of an upload are named after it, also those into which
// others were merged.
func (s *snapshot) Became(ctx context.Context, d digest.Digest) (bool, error) {
	l, err := s.repo.ReadableLink(ctx, d)
	if errors.Is(err, registry.ErrBlobUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(l.Segments) == 0 {
		return len(s.link.Segments) == 0 && bytes.HasPrefix(l.Tail, s.link.Tail), nil
	}
	name, _, _ := strings.Cut(l.Segments[0].Name, ".")
	return name == s.upload, nil
}
