package endpoints

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// The keys of this package. docs/layout.md shows a record of each.
//
//	d/e/<namespace>/<R>/<endpoint>       endpoint; <R> and <namespace> are "~" if the scope has none
//	d/g                                  generation: it changes with each change of an endpoint
//	d/p/<process>/<endpoint>/<delivery>  waiting delivery
//	d/h/<process>                        heartbeat of the process that makes the waiting deliveries of the prefix
//	d/l/<endpoint>/<delivery>            last attempt of a delivery
//	d/x/<endpoint>/<delivery>            dead delivery
const (
	endpointPrefix  = "d/e/"
	generationKey   = "d/g"
	waitingPrefix   = "d/p/"
	heartbeatPrefix = "d/h/"
	logPrefix       = "d/l/"
	deadPrefix      = "d/x/"
)

// maxObject is the maximum size of an object that this package reads, in bytes.
const maxObject = 10 << 20

// errDamaged is returned for an object that cannot be decoded.
var errDamaged = errors.New("endpoints: damaged object")

// stored is the form of all objects. The nonce makes each version unique, and lets a writer recognise its own write.
type stored[T any] struct {
	Nonce string `json:"nonce"`
	Fact  *T     `json:"fact"`
}

func newNonce() string { return rand.Text() }

// read returns an object and its version.
//
// Errors: driver.ErrNotExist; errDamaged; others of the Driver.
func read[T any](ctx context.Context, d driver.Driver, key string) (*T, string, error) {
	s, version, err := readStored[T](ctx, d, key)
	if err != nil {
		return nil, version, err
	}
	return s.Fact, version, nil
}

func readStored[T any](ctx context.Context, d driver.Driver, key string) (*stored[T], string, error) {
	r, info, err := d.Open(ctx, key, nil)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxObject))
	if err != nil {
		return nil, "", err
	}
	var s stored[T]
	if err := json.Unmarshal(b, &s); err != nil || s.Fact == nil {
		return nil, info.Version, fmt.Errorf("%w: %s", errDamaged, key)
	}
	return &s, info.Version, nil
}

// write stores an object. A conditional write that turns out to have succeeded before is a success.
//
// Errors: those of Driver.Put; driver.IsConflict reports whether the condition did not hold.
func write[T any](ctx context.Context, d driver.Driver, key string, fact *T, opts driver.PutOptions) (string, error) {
	s := stored[T]{newNonce(), fact}
	b, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	opts.Size = int64(len(b))
	info, err := d.Put(ctx, key, bytes.NewReader(b), &opts)
	if err == nil || !driver.IsConflict(err) {
		return info.Version, err
	}
	there, version, rerr := readStored[T](ctx, d, key)
	if rerr == nil && there.Nonce == s.Nonce {
		return version, nil // the answer to the write was lost, and something below has repeated it
	}
	return "", err
}

// remove deletes an object. An object that does not exist is no error.
func remove(ctx context.Context, d driver.Driver, key string) error {
	if err := d.Delete(ctx, key, ""); err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	return nil
}

// removeAll deletes the objects with a prefix.
func removeAll(ctx context.Context, d driver.Driver, prefix string) error {
	for info, err := range d.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
		if err == nil {
			err = remove(ctx, d, info.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// components yields the different first components of the keys after a prefix, each with one short listing.
func components(ctx context.Context, d driver.Driver, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		after := ""
		for {
			found := ""
			for info, err := range d.List(ctx, prefix, &driver.ListOptions{After: after, KeysOnly: true, PageHint: 1}) {
				if err != nil {
					yield("", err)
					return
				}
				found, _, _ = strings.Cut(strings.TrimPrefix(info.Key, prefix), "/")
				break
			}
			if found == "" || !yield(found, nil) {
				return
			}
			after = prefix + found + "/\x7f" // after every key of the component
		}
	}
}

// ahead yields the objects with names, in their order, and reads several at a time. It leaves out objects that are gone
// or damaged.
//
// Errors: an error is the last element.
func ahead[N, T any](names iter.Seq2[N, error], load func(N) (*T, error)) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		next, stop := iter.Pull2(names)
		defer stop()
		for more := true; more; {
			var group []N
			var failed error
			for len(group) < readWidth {
				name, err, ok := next()
				if more = ok && err == nil; !more {
					failed = err
					break
				}
				group = append(group, name)
			}
			objects, errs := make([]*T, len(group)), make([]error, len(group))
			_ = parallel.Each(readWidth, len(group), func(i int) error {
				objects[i], errs[i] = load(group[i])
				return nil
			})
			for i, err := range errs {
				if errors.Is(err, ErrUnknown) || errors.Is(err, ErrInvalid) || errors.Is(err, errDamaged) {
					continue
				}
				if !yield(objects[i], err) || err != nil {
					return
				}
			}
			if failed != nil {
				yield(nil, failed)
			}
		}
	}
}
