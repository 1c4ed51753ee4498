package evict

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry/internal/pause"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// stateKey is the key of the results of the runs.
	stateKey = "m/size"
	// stateAttempts is how often a run tries to write its results while others write theirs.
	stateAttempts = 10
)

// state is the content of the object at stateKey.
type state struct {
	Nonce string `json:"nonce"` // makes each version unique
	// Size is the size of the mirrored repositories in bytes as of SizeAt, when the data objects of
	// the storage had Data bytes.
	Size   int64     `json:"size"`
	SizeAt time.Time `json:"sizeAt,omitzero"`
	Data   int64     `json:"data"`
	// Evicted and Images are the bytes and units evicted so far.
	Evicted int64 `json:"evicted,omitempty"`
	Images  int64 `json:"images,omitempty"`
	// Collect says that a run has evicted something and not yet collected it.
	Collect bool      `json:"collect,omitempty"`
	LastRun time.Time `json:"lastRun,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// readState returns the state, and its version. An absent state, or one that is cut short, is zero.
func (e *Evictor) readState(ctx context.Context) (*state, string, error) {
	body, info, err := e.driver.Open(ctx, stateKey, nil)
	if errors.Is(err, driver.ErrNotExist) {
		return &state{}, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("evict: reading the state: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(body, 64<<10))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, "", fmt.Errorf("evict: reading the state: %w", err)
	}
	s := &state{}
	if json.Unmarshal(b, s) != nil {
		s = &state{}
	}
	return s, info.Version, nil
}

// updateState changes the state with f, which may be called several times, and notes it for Stats.
// A full storage keeps the old state, which is not an error: the run is about to make space.
func (e *Evictor) updateState(ctx context.Context, f func(*state)) error {
	var err error
	for n := range stateAttempts {
		if n > 0 {
			if perr := pause.Sleep(ctx, pause.Backoff(n, time.Millisecond, time.Second)); perr != nil {
				return perr
			}
		}
		s, version, rerr := e.readState(ctx)
		if rerr != nil {
			return rerr
		}
		f(s)
		s.Nonce = rand.Text()
		b, merr := json.Marshal(s)
		if merr != nil {
			return merr
		}
		_, err = e.driver.Put(ctx, stateKey, bytes.NewReader(b), &driver.PutOptions{
			IfAbsent: version == "", IfVersion: version, Durability: driver.Deferred, Size: int64(len(b)),
		})
		switch {
		case err == nil || errors.Is(err, driver.ErrNoSpace):
			e.noteState(s)
			return nil
		case !driver.IsConflict(err):
			return fmt.Errorf("evict: writing the state: %w", err)
		}
	}
	return fmt.Errorf("evict: writing the state: %w", err)
}

// noteState notes a state for Stats.
func (e *Evictor) noteState(s *state) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats = Stats{
		Size: s.Size, SizeAt: s.SizeAt, Evicted: s.Evicted, Images: s.Images, LastRun: s.LastRun, Error: s.Error,
	}
}

// refreshStats reads the results of all replicas for Stats.
func (e *Evictor) refreshStats(ctx context.Context) error {
	s, _, err := e.readState(ctx)
	if err == nil {
		e.noteState(s)
	}
	return err
}
