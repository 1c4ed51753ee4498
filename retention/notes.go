package retention

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
)

// notesPrefix is the prefix of the keys of notes: y/<R>. R is the name of the repository as
// objectkey.Escape returns it.
const notesPrefix = "y/"

const (
	// maxNotes is the maximum size of the notes about a repository, in bytes, unless the driver has
	// a smaller one.
	maxNotes = 4 << 20
	// noteSize is the size of an entry of notes.Seen, in bytes.
	noteSize = 48
)

// notes are what evaluations have seen of a repository. If they are deleted, untagged manifests and
// pulls count from the next evaluation on, so that more stays.
type notes struct {
	// Nonce makes each version unique.
	Nonce string `json:"nonce"`
	// Pulls is since when pulls are recorded, as far as is known.
	Pulls seconds `json:"pulls,omitempty"`
	// Seen is since when manifests are known to be untagged, by noteKey.
	Seen map[string]seconds `json:"seen,omitempty"`

	version string // of the object, or "" if there is none
	changed bool
}

// seconds is a time in seconds since 1970.
type seconds int64

// Time returns the time, or the zero time for 0.
func (s seconds) Time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0)
}

// inSeconds returns a time in whole seconds, rounded up: nothing must look older than it is.
func inSeconds(t time.Time) seconds { return seconds(t.Add(time.Second - 1).Unix()) }

// noteKey identifies the record of a manifest in one version: a push that sets a tag writes the
// record again, see evaluator.firstSeen.
func noteKey(n *node) string {
	sum := sha256.Sum256([]byte(string(n.digest) + "@" + n.version))
	return hex.EncodeToString(sum[:16])
}

// pulls returns since when pulls are recorded. now is the answer if that is not known.
func (n *notes) pulls(now time.Time) time.Time {
	if n.Pulls == 0 {
		return now
	}
	return n.Pulls.Time()
}

func (n *notes) setPulls(t time.Time) {
	if s := inSeconds(t); n.Pulls == 0 || s < n.Pulls {
		n.Pulls, n.changed = s, true
	}
}

// needNotes reads the notes about the repository, unless they were read before.
func (e *evaluator) needNotes(ctx context.Context) error {
	if e.notes != nil {
		return nil
	}
	body, info, err := e.p.driver.Open(ctx, notesPrefix+objectkey.Escape(e.repo), nil)
	if errors.Is(err, driver.ErrNotExist) {
		e.notes = &notes{}
		return nil
	}
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(body, 4*maxNotes)) // a foreign object must not fill the memory
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	found := &notes{}
	if json.Unmarshal(b, found) != nil {
		found = &notes{} // cut short: more stays
	}
	found.version = info.Version
	// A time in the future is that of a wrong clock, and would keep everything.
	now := inSeconds(time.Now())
	for key, at := range found.Seen {
		if at <= 0 {
			delete(found.Seen, key)
		} else if at > now {
			found.Seen[key] = now
		}
	}
	if found.Pulls < 0 {
		found.Pulls = 0
	}
	e.notes = found
	return nil
}

// writeNotes stores what has changed. If another process writes at the same time, its notes are as
// good.
func (e *evaluator) writeNotes(ctx context.Context) error {
	n := e.notes
	if n == nil || !n.changed || e.p.opts.ReadOnly {
		return nil
	}
	n.Nonce = rand.Text()
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	_, err = e.p.driver.Put(ctx, notesPrefix+objectkey.Escape(e.repo), bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: n.version == "", IfVersion: n.version, Durability: driver.Deferred, Size: int64(len(b)),
	})
	if driver.IsConflict(err) {
		return nil
	}
	return err
}

// noteLimit returns the maximum number of entries of notes.Seen.
func (p *Planner) noteLimit() int {
	size := int64(maxNotes)
	if limit := p.driver.MaxObjectSize(); limit > 0 {
		size = min(size, limit)
	}
	const head = 256
	return int(size-head) / noteSize
}
