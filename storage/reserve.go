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
	reserveParts    = 64
	reservePartSize = 64 << 10
)

func reserveKey(part int) string { return fmt.Sprintf("%s%02d", reserves, part) }

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
	for n := range 1 + reserveParts {
		if n > 0 {
			if left, gerr := giveUp(ctx, d); gerr != nil || !left {
				return info, errors.Join(err, gerr)
			}
		}
		if again {
			if _, serr := content.Seek(0, io.SeekStart); serr != nil {
				return info, errors.Join(err, serr)
			}
		}
		if info, err = d.Put(ctx, key, body, opts); !errors.Is(err, ErrNoSpace) {
			break
		}
	}
	return info, err
}

// giveUp removes a part of the reserve, and reports whether there was one.
func giveUp(ctx context.Context, d Driver) (bool, error) {
	for info, err := range d.List(ctx, reserves, &ListOptions{KeysOnly: true, PageHint: 1}) {
		if err != nil {
			return false, err
		}
		if err := d.Delete(ctx, info.Key, ""); err != nil && !errors.Is(err, ErrNotExist) {
			return false, err
		}
		return true, nil
	}
	return false, nil
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
	there := make(map[string]bool, reserveParts)
	for info, err := range s.driver.List(ctx, reserves, &ListOptions{KeysOnly: true}) {
		if err != nil {
			return
		}
		there[info.Key] = true
	}
	for part := range reserveParts {
		if there[reserveKey(part)] {
			continue
		}
		// What is random takes as much room as it says, whatever the storage does to save some.
		_, err := s.driver.Put(ctx, reserveKey(part), io.LimitReader(rand.Reader, reservePartSize), &PutOptions{
			IfAbsent: true, Durability: Relaxed, Size: reservePartSize,
		})
		if err != nil && !changed(err) {
			return
		}
	}
}
