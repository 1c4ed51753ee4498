package pulltime

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/driver"
)

// keyPrefix is the prefix of all keys: p/<R>/<replica>. R is the name of the repository as
// objectkey.Escape returns it.
const keyPrefix = "p/"

// prefix returns the prefix of the keys of a repository.
func prefix(repo string) string { return keyPrefix + objectkey.Escape(repo) + "/" }

// record is the content of an object.
type record struct {
	Nonce string `json:"nonce"` // makes each version unique
	// Rest is the most recent time that was dropped because the object was full.
	Rest int64 `json:"rest,omitempty"`
	// Refs are times by digest or tag, in seconds since 1970.
	Refs map[string]int64 `json:"refs"`
}

// read returns the record at key, and its version. A record that is cut short, as after a loss of
// power, is empty: all that is lost are times.
//
// Errors: driver.ErrNotExist; any error of the driver.
func (r *Recorder) read(ctx context.Context, key string) (*record, driver.Info, error) {
	body, info, err := r.driver.Open(ctx, key, nil)
	if err != nil {
		return nil, info, err
	}
	// Another version of this package may have a larger limit. A foreign object must not fill the
	// memory.
	b, err := io.ReadAll(io.LimitReader(body, 16<<20))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, info, err
	}
	rec := &record{}
	if json.Unmarshal(b, rec) != nil {
		rec = &record{}
	}
	if rec.Refs == nil {
		rec.Refs = map[string]int64{}
	}
	return rec, info, nil
}

// write stores a record on the version that was read, or, if version is "", where there is no
// object. It first drops the oldest times that do not fit.
//
// Errors: driver.ErrExist or ErrChanged if another writer came first; any error of the driver.
func (r *Recorder) write(ctx context.Context, key, version string, rec *record) error {
	rec.Nonce = rand.Text()
	rec.shrink(r.opts.MaxObject)
	b, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	_, err = r.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: driver.Deferred, Size: int64(len(b)),
	})
	return err
}

// shrink drops the oldest times until the JSON form of the record has at most limit bytes.
func (rec *record) shrink(limit int) {
	const head, each = 128, len(`"":1700000000000,`)
	size := head
	for ref := range rec.Refs {
		size += len(ref) + each
	}
	if size <= limit {
		return
	}
	refs := make([]string, 0, len(rec.Refs))
	for ref := range rec.Refs {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b string) int {
		return cmp.Or(cmp.Compare(rec.Refs[a], rec.Refs[b]), cmp.Compare(a, b))
	})
	for _, ref := range refs {
		if size <= limit {
			return
		}
		rec.Rest = max(rec.Rest, rec.Refs[ref])
		size -= len(ref) + each
		delete(rec.Refs, ref)
	}
}

// wrap adds to an error what failed.
func wrap(doing, repo string, err error) error {
	return fmt.Errorf("pulltime: %s the times of %s: %w", doing, repo, err)
}
