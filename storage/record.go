package storage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/handover"
	"github.com/registrykit/registry/storage/driver"
)

// A record is an object whose first line is JSON and whose rest, if any, is content. Each has a
// nonce, so that no two versions of it are ever the same bytes. One that cannot be decoded was cut
// short by a loss of power before anything relied on it: it counts as absent, except that a new one
// is written on the condition of its version.

// state is the state of a link or manifest.
type state string

const (
	gone    state = ""        // absent, a tombstone, or cut short
	pending state = "pending" // its writer has not finished; nobody relies on it
	// a manifest that is not there, as something that it names was not; likely to be pushed again
	// soon, see refuse.go
	refused   state = "refused"
	live      state = "live"      // a link that is in the repository
	condemned state = "condemned" // a collector wants the link; still read; a push may turn it back
	hidden    state = "hidden"    // a link of a repository that was deleted, and may be restored; not read
	visible   state = "ok"        // a manifest that is whole
	deleting  state = "deleting"  // a manifest that is still whole and read, while what leads to it is removed
	// a manifest that is not there, and whose push is to release its referrers first: collectors
	// want some
	awaited state = "awaited"
)

// segment is a part of a blob: one data object.
type segment struct {
	Name string `json:"name"` // see dataKey
	Size int64  `json:"size"`
}

// link says that a blob is in a repository and where its bytes are: in segments, followed by the
// content of the link itself.
type link struct {
	State    state     `json:"state"`
	Unproven bool      `json:"unproven,omitempty"` // condemned when it was pending
	Nonce    string    `json:"nonce"`
	Size     int64     `json:"size"`
	Segments []segment `json:"segments,omitempty"`
	Sum      uint32    `json:"sum"`

	tail    []byte
	version string
	modTime time.Time // of the version; zero of one that was written here
}

// readable reports whether the blob may be read and mounted elsewhere.
func (l *link) readable() bool {
	return l.State == live || l.State == condemned && !l.Unproven
}

// manifestRecord is a manifest with what must be known of it without parsing it.
type manifestRecord struct {
	State     state         `json:"state"`
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
	Epochs epochs `json:"epochs,omitzero"`
	// Delete names the delete whose mark deleting is, whoever goes on with it: see event.Delete.
	Delete string `json:"delete,omitempty"`

	content []byte
	version string
	modTime time.Time // of the version; zero of one that was written here
}

// readable reports whether the manifest is in the repository.
func (m *manifestRecord) readable() bool { return m.State == visible || m.State == deleting }

// absent reports whether the manifest is neither in the repository nor on its way into it.
func (m *manifestRecord) absent() bool {
	return m.State == gone || m.State == refused || m.State == awaited
}

// entry is a tag or a referrer: the descriptor of a manifest.
type entry struct {
	Nonce      string             `json:"nonce"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	// Next, of a tag, is where pushes are about to point it. Readers do not care; collectors and
	// deletes take it for pointing there.
	Next []next `json:"next,omitempty"`
	// Moved, of a tag, names the pushes that set it last on a condition, the newest last. A push
	// whose answer was lost finds itself there.
	Moved []string `json:"moved,omitempty"`
	// Led, of a tag, names the pushes of several tags that this one has decided, and that may not
	// have moved the others yet; see lead.go.
	Led []led `json:"led,omitempty"`
	// Born, of a tag, is another one each time the tag is created.
	Born string `json:"born,omitempty"`

	version string
	modTime time.Time // of the version
}

// next is a manifest that a push is about to point a tag at.
type next struct {
	Nonce      string             `json:"nonce"` // of the push
	Descriptor ocispec.Descriptor `json:"descriptor"`
	Time       time.Time          `json:"time,omitzero"`  // by the clock of the push
	Push       string             `json:"push,omitempty"` // names the push in entry.Moved, if the move has a condition
	Lead       string             `json:"lead,omitempty"` // the tag whose move decides for this one; see condition.go
}

// led is a push of several tags that has moved the first of them.
type led struct {
	Push string    `json:"push"` // as in next.Push
	Time time.Time `json:"time"` // when it has, by the clock of the push
	Tags []string  `json:"tags"` // the others that it moves on a condition
}

// repositoryRecord is a repository in the catalogue.
type repositoryRecord struct {
	Nonce string `json:"nonce"`
	// Deleting is that a delete of the whole has begun, which a collector finishes if it does not
	// come to its end. A push takes it off.
	Deleting *deletingRecord `json:"deleting,omitempty"`
	// Spared is that a push has done so: a collector that was about to finish the delete may not
	// know it yet.
	Spared bool `json:"spared,omitempty"`
	// Epochs are those that the repository is in, see epoch.go.
	Epochs epochs `json:"epochs,omitzero"`

	version string
	modTime time.Time // of the version
}

type deletingRecord struct {
	By    string `json:"by,omitempty"`
	Event string `json:"event,omitempty"` // in the history
	// Since is when the delete began, by the clock of the storage, once a collector has begun to
	// finish it.
	Since time.Time `json:"since,omitzero"`
}

// mark is an object that says something by being there.
type mark struct {
	Nonce string `json:"nonce"`
}

func nonce() string { return rand.Text() }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// encode returns a record: the header as a line of JSON, then the content.
func encode(header any, content []byte) ([]byte, error) {
	b, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return append(b, content...), nil
}

// decode reads the header of a record and returns the content; ok is false if it is cut short.
func decode(b []byte, header any) (content []byte, ok bool) {
	line, content, found := bytes.Cut(b, []byte{'\n'})
	if !found || json.Unmarshal(line, header) != nil {
		return nil, false
	}
	return content, true
}

// read returns a small object whole.
func (s *Store) read(ctx context.Context, key string) ([]byte, driver.Info, error) {
	r, info, err := s.driver.Open(ctx, key, nil)
	if err != nil {
		return nil, info, err
	}
	b, err := s.readAll(ctx, r, info.Size)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, info, fmt.Errorf("storage: reading %s: %w", key, err)
	}
	return b, info, nil
}

// readLine returns the first line of an object with its "\n", or all of an object that has none.
func (s *Store) readLine(ctx context.Context, key string) (line []byte, info driver.Info, err error) {
	for _, length := range []int64{16 << 10, 0} { // most lines are short
		var r io.ReadCloser
		if r, info, err = s.driver.Open(ctx, key, &driver.OpenOptions{Length: length}); err != nil {
			return nil, info, err
		}
		var part io.Reader = r
		if length > 0 {
			part = io.LimitReader(r, length) // the reader may go on
		}
		line, err = bufio.NewReader(part).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, info, fmt.Errorf("storage: reading %s: %w", key, err)
		}
		if bytes.HasSuffix(line, []byte{'\n'}) || info.Size <= length {
			break
		}
	}
	return line, info, nil
}

const (
	// largeRecord is the size in bytes above which a record counts towards largeMemory.
	largeRecord = 64 << 10
	// largeMemory is the maximum size, in bytes, of the large records that are in memory at a time.
	// Reads beyond it wait, so that many requests for large manifests at once cannot exhaust the
	// memory.
	largeMemory = 64 << 20
)

// readAll reads a record of a known size.
func (s *Store) readAll(ctx context.Context, r io.Reader, size int64) ([]byte, error) {
	if size > largeRecord {
		done, err := s.reserveLarge(ctx, size)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// reserveLarge waits until there is memory for a large record. The caller calls done once it has
// read the record. In a request for a manifest, done does nothing, and the memory stays reserved
// until the HTTP handler counts the manifest among those that it sends.
func (s *Store) reserveLarge(ctx context.Context, size int64) (done func(), err error) {
	n := min(size, largeMemory)
	claim := handover.FromContext(ctx)
	claim.Release()
	if err := s.large.Acquire(ctx, n); err != nil {
		return nil, err
	}
	release := func() { s.large.Release(n) }
	if claim.Keep(release) {
		return func() {}, nil
	}
	return release, nil
}

// overtaken is the error of a put whose condition did not hold, with what is there instead.
type overtaken struct {
	err     error // ErrExist or ErrChanged
	content []byte
	info    driver.Info // Version is "" if there is nothing
}

func (o *overtaken) Error() string { return o.err.Error() }
func (o *overtaken) Unwrap() error { return o.err }

// put writes a record on the condition that the object still has the version given; "" means that
// there is none. It returns the new version.
//
// Errors: ErrExist or ErrChanged if it has not; usually an *overtaken.
func (s *Store) put(ctx context.Context, key, version string, header any, content []byte,
	durability driver.Durability) (string, error) {
	b, err := encode(header, content)
	if err != nil {
		return "", err
	}
	info, err := s.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: durability, Size: int64(len(b)),
	})
	if !changed(err) {
		return info.Version, err
	}
	there, info, rerr := s.read(ctx, key)
	switch {
	case rerr == nil && bytes.Equal(there, b):
		// A request that was done, lost its answer and was sent again has been refused because of
		// itself. The nonce tells.
		return info.Version, nil
	case rerr == nil:
		return "", &overtaken{err: err, content: there, info: info}
	case errors.Is(rerr, driver.ErrNotExist):
		return "", &overtaken{err: err}
	}
	return "", err
}

// putAlways writes a record whatever is there.
func (s *Store) putAlways(ctx context.Context, key string, header any) (driver.Info, error) {
	b, err := encode(header, nil)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := s.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{Durability: driver.Deferred, Size: int64(len(b))})
	info.Key = key
	return info, err
}
