package object

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"hash/crc32"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/reference"
)

// A record is an object whose first line is JSON and whose rest, if any, is content. Each has a
// nonce, so that no two versions of it are ever the same bytes. One that cannot be decoded was cut
// short by a loss of power before anything relied on it: it counts as absent, except that a new one
// is written on the condition of its version.

// state is the state of a link or manifest.
type State string

const (
	Gone    State = ""        // absent, a tombstone, or cut short
	Pending State = "pending" // its writer has not finished; nobody relies on it
	// a manifest that is not there, as something that it names was not; likely to be pushed again
	// soon, see refuse.go
	Refused   State = "refused"
	Live      State = "live"      // a link that is in the repository
	Condemned State = "condemned" // a collector wants the link; still read; a push may turn it back
	Hidden    State = "hidden"    // a link of a repository that was deleted, and may be restored; not read
	Visible   State = "ok"        // a manifest that is whole
	Deleting  State = "deleting"  // a manifest that is still whole and read, while what leads to it is removed
	// a manifest that is not there, and whose push is to release its referrers first: collectors
	// want some
	Awaited State = "awaited"
)

// segment is a part of a blob: one data object.
type Segment struct {
	Name string `json:"name"` // see dataKey
	Size int64  `json:"size"`
}

// link says that a blob is in a repository and where its bytes are: in segments, followed by the
// content of the link itself.
type Link struct {
	State    State     `json:"state"`
	Unproven bool      `json:"unproven,omitempty"` // condemned when it was pending
	Nonce    string    `json:"nonce"`
	Size     int64     `json:"size"`
	Segments []Segment `json:"segments,omitempty"`
	Sum      uint32    `json:"sum"`

	Tail    []byte    `json:"-"`
	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version; zero of one that was written here
}

// readable reports whether the blob may be read and mounted elsewhere.
func (l *Link) Readable() bool {
	return l.State == Live || l.State == Condemned && !l.Unproven
}

// manifestRecord is a manifest with what must be known of it without parsing it.
type Manifest struct {
	State     State         `json:"state"`
	Nonce     string        `json:"nonce"`
	MediaType string        `json:"mediaType"`
	Size      int64         `json:"size"`
	Subject   digest.Digest `json:"subject,omitempty"`
	Sum       uint32        `json:"sum"`
	// References are what a manifest names that was refused. The record has no content then.
	References []digest.Digest `json:"references,omitempty"`
	// Again is that the manifest was refused before, so that it is kept from collectors for as long
	// after it was written.
	Again bool `json:"again,omitempty"`
	// Mistyped is that something which the manifest says is an image is none, or was not there when
	// it was pushed.
	Mistyped bool `json:"mistyped,omitempty"`
	// Collected is that the mark deleting is that of a collector, who found nothing that leads to
	// it. A delete takes it over.
	Collected bool `json:"collected,omitempty"`
	// Epochs are those in which all that the manifest names was last seen to be there, see
	// epoch.go.
	Epochs Epochs `json:"epochs,omitzero"`
	// Delete names the delete whose mark deleting is, whoever goes on with it: see event.Delete.
	Delete string `json:"delete,omitempty"`

	Content []byte    `json:"-"`
	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version; zero of one that was written here
}

// readable reports whether the manifest is in the repository.
func (m *Manifest) Readable() bool { return m.State == Visible || m.State == Deleting }

// absent reports whether the manifest is neither in the repository nor on its way into it.
func (m *Manifest) Absent() bool {
	return m.State == Gone || m.State == Refused || m.State == Awaited
}

// entry is a tag or a referrer: the descriptor of a manifest.
type Entry struct {
	Nonce      string             `json:"nonce"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	// Pending, of a tag, is where pushes are about to point it. Readers do not care; collectors and
	// deletes take it for pointing there.
	Pending []PendingMove `json:"next,omitempty"`
	// Moved, of a tag, names the pushes that set it last on a condition, the newest last. A push
	// whose answer was lost finds itself there.
	Moved []string `json:"moved,omitempty"`
	// Led, of a tag, names the pushes of several tags that this one has decided, and that may not
	// have moved the others yet; see lead.go.
	Led []LedPush `json:"led,omitempty"`
	// Born, of a tag, is another one each time the tag is created.
	Born string `json:"born,omitempty"`

	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version
}

// next is a manifest that a push is about to point a tag at.
type PendingMove struct {
	Nonce      string             `json:"nonce"` // of the push
	Descriptor ocispec.Descriptor `json:"descriptor"`
	Time       time.Time          `json:"time,omitzero"`  // by the clock of the push
	Push       string             `json:"push,omitempty"` // names the push in entry.Moved, if the move has a condition
	Lead       string             `json:"lead,omitempty"` // the tag whose move decides for this one; see condition.go
}

// led is a push of several tags that has moved the first of them.
type LedPush struct {
	Push string    `json:"push"` // as in next.Push
	Time time.Time `json:"time"` // when it has, by the clock of the push
	Tags []string  `json:"tags"` // the others that it moves on a condition
}

// repositoryRecord is a repository in the catalogue.
type Repository struct {
	Nonce string `json:"nonce"`
	// Deleting is that a delete of the whole has begun, which a collector finishes if it does not
	// come to its end. A push takes it off.
	Deleting *RepositoryDelete `json:"deleting,omitempty"`
	// Spared is that a push has done so: a collector that was about to finish the delete may not
	// know it yet.
	Spared bool `json:"spared,omitempty"`
	// Epochs are those that the repository is in, see epoch.go.
	Epochs Epochs `json:"epochs,omitzero"`

	Version string    `json:"-"`
	ModTime time.Time `json:"-"` // of the version
}

type RepositoryDelete struct {
	By    string `json:"by,omitempty"`
	Event string `json:"event,omitempty"` // in the history
	// Since is when the delete began, by the clock of the storage, once a collector has begun to
	// finish it.
	Since time.Time `json:"since,omitzero"`
}

// mark is an object that says something by being there.
type Mark struct {
	Nonce string `json:"nonce"`
}

func NewNonce() string { return rand.Text() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// encode returns a record: the header as a line of JSON, then the content.
func Encode(header any, content []byte) ([]byte, error) {
	b, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return append(b, content...), nil
}

// decode reads the header of a record and returns the content; ok is false if it is cut short.
func Decode(b []byte, header any) (content []byte, ok bool) {
	line, content, found := bytes.Cut(b, []byte{'\n'})
	if !found || json.Unmarshal(line, header) != nil {
		return nil, false
	}
	return content, true
}

func isDigest(d digest.Digest) bool { return reference.CheckDigest(string(d)) == nil }
