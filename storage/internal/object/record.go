package object

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"hash/crc32"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// State is the state of a link or manifest.
type State string

// The states of links and manifests. docs/gc.md shows the transitions between them.
const (
	// Gone is the state of a link or manifest that is absent, a tombstone of the driver, or cut
	// short.
	Gone State = ""
	// Pending is the state of a link or manifest whose writer has not finished. It is not served,
	// and nobody relies on it.
	Pending State = "pending"
	// Refused is the state of an absent manifest that was refused, because something it names was
	// absent. Its client is likely to push it again soon. See storage/refused.go.
	Refused State = "refused"
	// Live is the state of a link that is in the repository.
	Live State = "live"
	// Condemned is the state of a link that a collection or delete is about to remove. It is still
	// served, unless it is Unproven. A push may restore it.
	Condemned State = "condemned"
	// Hidden is the state of a link of a deleted repository. It is not served, and a restore may
	// make it live.
	Hidden State = "hidden"
	// Visible is the state of a manifest that is in the repository, with all that it names.
	Visible State = "ok"
	// Deleting is the state of a manifest that a delete or collection has marked. It is still whole
	// and served while what leads to it is removed.
	Deleting State = "deleting"
	// Awaited is the state of an absent manifest whose referrers a collection may be about to
	// remove. A push must release the referrers first, see Repo.ReleaseReferrers.
	Awaited State = "awaited"
)

// Segment is a part of a blob: one data object.
type Segment struct {
	Name string `json:"name"` // see DataKey
	Size int64  `json:"size"` // in bytes
}

// Link says that a blob is in a repository, and where its bytes are: in the segments, followed by
// the content of the record, Tail.
type Link struct {
	State    State     `json:"state"`
	Unproven bool      `json:"unproven,omitempty"` // condemned while it was pending: not served
	Nonce    string    `json:"nonce"`
	Size     int64     `json:"size"` // of the blob, in bytes
	Segments []Segment `json:"segments,omitempty"`
	Sum      uint32    `json:"sum"` // checksum of Tail

	Tail    []byte    `json:"-"`
	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version; zero in a link that this process has just written
}

// Readable reports whether the blob may be served, and mounted in other repositories.
func (l *Link) Readable() bool {
	return l.State == Live || l.State == Condemned && !l.Unproven
}

// Manifest is the record of a manifest, with what must be known of it without parsing it.
type Manifest struct {
	State     State         `json:"state"`
	Nonce     string        `json:"nonce"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"` // in bytes
	Subject   digest.Digest `json:"subject,omitempty"`
	Sum       uint32        `json:"sum"` // checksum of Content
	// References are what a refused manifest names. Its record has no content.
	References []digest.Digest `json:"references,omitempty"`
	// Again says that the manifest was refused before. Collections leave it alone for ResendTime
	// after it was written, too.
	Again bool `json:"again,omitempty"`
	// Mistyped says that something which the manifest names as an image is not an image, or was
	// absent when the manifest was pushed.
	Mistyped bool `json:"mistyped,omitempty"`
	// Sparse says that something which the manifest names was absent, or was sparse itself, when the
	// manifest was last checked, in a push that accepts that. Such a manifest has no Epochs, so each
	// push of it checks everything again, also in versions that do not know Sparse.
	Sparse bool `json:"sparse,omitempty"`
	// Collected says that the mark Deleting is not that of a delete. It is that of a collection,
	// which has found nothing that leads to the manifest, or of a push that changes the media type.
	// A delete takes the mark over.
	Collected bool `json:"collected,omitempty"`
	// Epochs are those in which all that the manifest names was last seen.
	Epochs Epochs `json:"epochs,omitzero"`
	// Delete names the delete that has set the mark Deleting, whichever process continues it. See
	// Event.Delete.
	Delete string `json:"delete,omitempty"`
	// Pushed is when the manifest was pushed, in a record that a collection has written again since,
	// see Repo.RewriteManifest. It is zero in other records, see PushTime.
	Pushed time.Time `json:"pushed,omitzero"`

	Content []byte    `json:"-"`
	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version; zero in a manifest that this process has just written
}

// Readable reports whether the manifest is in the repository.
func (m *Manifest) Readable() bool { return m.State == Visible || m.State == Deleting }

// PushTime returns when the manifest was last pushed, or renewed by a caller with push access, by the
// clock of the storage. That is the time of the record, unless a collection has written the record
// again since. For a record with the mark of a delete or a collection, it may be the time of the mark.
func (m *Manifest) PushTime() time.Time {
	if m.Pushed.IsZero() {
		return m.ModTime
	}
	return m.Pushed
}

// Absent reports whether the manifest is neither in the repository nor pending.
func (m *Manifest) Absent() bool {
	return m.State == Gone || m.State == Refused || m.State == Awaited
}

// Entry is the record of a tag or of a referrer: the descriptor of a manifest.
type Entry struct {
	Nonce      string             `json:"nonce"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	// Pending are the pending moves of a tag: where pushes are about to point it. Readers ignore
	// them. To collections and deletes, a pending move leads to its manifest as the tag itself
	// would.
	Pending []PendingMove `json:"next,omitempty"`
	// Moved names the last pushes that set a tag on a condition, the newest last, at most maxMoved.
	// A push whose response was lost finds itself there.
	Moved []string `json:"moved,omitempty"`
	// Decided names the pushes of several tags that this tag has decided, and that may not have moved
	// the other tags yet. See storage/lead.go.
	Decided []DecidedPush `json:"led,omitempty"`
	// Born differs each time the tag is created.
	Born string `json:"born,omitempty"`
	// Set is when the tag was set, to this manifest or again to the same one. It is zero in a record
	// of an earlier version, see SetTime.
	Set time.Time `json:"set,omitzero"`

	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version
}

// PendingMove announces that a push is about to point a tag at a manifest.
type PendingMove struct {
	Nonce      string             `json:"nonce"` // of the push
	Descriptor ocispec.Descriptor `json:"descriptor"`
	Time       time.Time          `json:"time,omitzero"`  // by the clock of the push
	Push       string             `json:"push,omitempty"` // the push in Entry.Moved, if the move has a condition
	Lead       string             `json:"lead,omitempty"` // the tag whose move decides this one, see storage/lead.go
}

// DecidedPush is a push of several tags that has moved the first of them, its lead.
type DecidedPush struct {
	Push string    `json:"push"` // as in PendingMove.Push
	Time time.Time `json:"time"` // of the move of the lead, by the clock of the push
	Tags []string  `json:"tags"` // the other tags that the push moves on a condition
}

// Repository is the record of a repository in the catalog.
type Repository struct {
	Nonce string `json:"nonce"`
	// Deleting, unless nil, says that a delete of the repository has begun. A collection finishes a
	// delete that does not finish itself. A push clears Deleting.
	Deleting *RepositoryDelete `json:"deleting,omitempty"`
	// Spared says that a push has cleared Deleting. A collection that was about to finish the
	// delete may not know it yet.
	Spared bool `json:"spared,omitempty"`
	// Epochs are the current epochs of the repository.
	Epochs Epochs `json:"epochs,omitzero"`

	Version string    `json:"-"` // "" if the repository is not in the catalog
	ModTime time.Time `json:"-"` // of the version
}

// RepositoryDelete is a delete of a repository that is in progress.
type RepositoryDelete struct {
	By    string `json:"by,omitempty"`    // the caller of the delete
	Event string `json:"event,omitempty"` // ID of the event in the history
	// Since is when the delete began, by the clock of the storage. A collection that begins to
	// finish the delete sets it.
	Since time.Time `json:"since,omitzero"`
}

// Mark is the record of an object that only says that it exists: a back reference or a hint.
type Mark struct {
	Nonce string `json:"nonce"`
}

// NewNonce returns random text that makes a version of a record unique.
func NewNonce() string { return rand.Text() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum returns the CRC-32C checksum of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Encode returns a record: the header as a line of JSON, and then the content.
func Encode(header any, content []byte) ([]byte, error) {
	line, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	return slices.Concat(line, []byte{'\n'}, content), nil
}

// Decode reads the header of a record, and returns the content. ok is false if the record is cut
// short.
func Decode(b []byte, header any) (content []byte, ok bool) {
	line, content, found := bytes.Cut(b, []byte{'\n'})
	if !found || json.Unmarshal(line, header) != nil {
		return nil, false
	}
	return slices.Clip(content), true // an append must not write to bytes that others share
}

// isDigest reports whether d is a valid digest, from which keys can be made.
func isDigest(d digest.Digest) bool { return reference.CheckDigest(string(d)) == nil }
