package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The reserve is room that is given up, part by part, when the storage is full: who makes space has to write first, marks above all.
const (
	reserveParts    = 4
	reservePartSize = 1 << 20
)

func reserveKey(part int) string { return fmt.Sprint(reserves, part) }

// reserve gives parts up for one write after the other.
type reserve struct{ mu sync.Mutex }

// put is a Put of who makes space.
func (r *reserve) put(ctx context.Context, d Driver, key string, body io.Reader, opts *PutOptions) (Info, error) {
	info, err := d.Put(ctx, key, body, opts)
	content, again := body.(io.Seeker)
	if !errors.Is(err, ErrNoSpace) || body != nil && !again {
		return info, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Others may have given up a part while this one waited, so it does not do so at once.
	for part := -1; part < reserveParts && errors.Is(err, ErrNoSpace); part++ {
		if part >= 0 {
			if derr := d.Delete(ctx, reserveKey(part), ""); errors.Is(derr, ErrNotExist) {
				continue
			} else if derr != nil {
				return info, errors.Join(err, derr)
			}
		}
		if again {
			if _, serr := content.Seek(0, io.SeekStart); serr != nil {
				return info, errors.Join(err, serr)
			}
		}
		info, err = d.Put(ctx, key, body, opts)
	}
	return info, err
}

// spending is a Driver whose writes may use up the reserve.
type spending struct {
	Driver
	reserve *reserve
}

func (d spending) Put(ctx context.Context, key string, body io.Reader, opts *PutOptions) (Info, error) {
	return d.reserve.put(ctx, d.Driver, key, body, opts)
}

// makingSpace is the Store for an operation that makes space.
func (s *Store) makingSpace() *Store {
	over := *s
	over.driver = spending{s.driver, s.reserve}
	return &over
}

// keepReserve sees to it that there is a reserve. If that fails, there is none, or less.
func (s *Store) keepReserve(ctx context.Context) {
	for part := range reserveParts {
		_, err := s.driver.Stat(ctx, reserveKey(part))
		if errors.Is(err, ErrNotExist) {
			// What is random takes as much room as it says, whatever the storage does to save some.
			_, err = s.driver.Put(ctx, reserveKey(part), io.LimitReader(rand.Reader, reservePartSize), &PutOptions{
				IfAbsent: true, Durability: Relaxed, Size: reservePartSize,
			})
		}
		if err != nil && !changed(err) {
			return
		}
	}
}
