package retention

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// unfinishedPrefix is the prefix of the keys of what runs of the job are removing: a/<R>. R is the name of
// the repository as objectkey.Escape returns it.
const unfinishedPrefix = "a/"

// maxUnfinished is the maximum size of such an object, in bytes, unless the driver has a smaller one. What
// does not fit is removed all the same. If the run is killed then, manifests of it may stay as untagged.
const maxUnfinished = 4 << 20

// unfinished is what a run of the job removes from a repository. The object is there from before the
// first removal until after the last one. If it is deleted, untagged manifests may stay, and nothing is
// lost.
type unfinished struct {
	// Nonce makes each version unique.
	Nonce string `json:"nonce"`
	// Lines are what goes.
	Lines []json.RawMessage `json:"lines"`

	lines   []Line
	version string
}

// unfinishedKey returns the key of what runs are removing from a repository.
func unfinishedKey(repo string) string { return unfinishedPrefix + objectkey.Escape(repo) }

// readUnfinished returns what a run has left, or nil if there is nothing.
func (p *Planner) readUnfinished(ctx context.Context, repo string) (*unfinished, error) {
	body, info, err := p.driver.Open(ctx, unfinishedKey(repo), nil)
	if errors.Is(err, driver.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(body, 2*maxUnfinished)) // a foreign object must not fill the memory
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	u := &unfinished{}
	if json.Unmarshal(b, u) != nil {
		u = &unfinished{} // cut short by a loss of power: nothing was removed yet
	}
	u.version = info.Version
	for _, raw := range u.Lines {
		var l Line
		if json.Unmarshal(raw, &l) == nil && l.Decision == Goes && reference.CheckDigest(string(l.Digest)) == nil &&
			(l.Tag == "" || reference.CheckTag(l.Tag) == nil) {
			l.Repository = repo
			u.lines = append(u.lines, l)
		}
	}
	u.Lines = nil
	return u, nil
}

// writeUnfinished notes what a run is about to remove. It returns nil if another run has noted something
// at the same time: that run removes the same.
func (p *Planner) writeUnfinished(ctx context.Context, repo string, lines []Line) (*unfinished, error) {
	size := maxUnfinished
	if limit := p.driver.MaxObjectSize(); limit > 0 {
		size = int(min(int64(size), limit))
	}
	u := &unfinished{Nonce: rand.Text()}
	size -= 64 + len(u.Nonce)
	for _, l := range lines {
		l.Repository = "" // the key has it
		raw, err := json.Marshal(&l)
		if err != nil {
			return nil, err
		}
		if size -= len(raw) + 1; size < 0 {
			break
		}
		u.Lines = append(u.Lines, raw)
	}
	b, err := json.Marshal(u)
	if err != nil {
		return nil, err
	}
	info, err := p.driver.Put(ctx, unfinishedKey(repo), bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: true, Durability: driver.Durable, Size: int64(len(b)),
	})
	if driver.IsConflict(err) {
		return nil, nil
	}
	u.version = info.Version
	return u, err
}

// removeUnfinished removes what readUnfinished or writeUnfinished has returned. u may be nil.
func (p *Planner) removeUnfinished(ctx context.Context, repo string, u *unfinished) error {
	if u == nil {
		return nil
	}
	err := p.driver.Delete(ctx, unfinishedKey(repo), u.version)
	if driver.IsConflict(err) || errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}
