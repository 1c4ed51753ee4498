package scrub

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// runKey is the key of the record of a run that has not finished.
	runKey = "z/run"
	// saveEvery is the time between two writes of the record.
	saveEvery = 10 * time.Second
	// maxSaved is the maximum number of findings in the record.
	maxSaved = 1000
	// maxRecord is the maximum size of a record that is read, in bytes.
	maxRecord = 16 << 20
)

// runRecord is the content of the object runKey: where the run is, and what it has found.
type runRecord struct {
	Nonce string `json:"nonce"`
	Report
}

// begin reads where an interrupted run has stopped, and takes its record over. Two runs at once do no
// harm: the one that has lost the record does not write it any more.
func (r *run) begin(ctx context.Context) error {
	if r.opts.ReadOnly {
		var err error
		_, r.report.BytesTotal, err = r.store.Inventory().Bytes(ctx)
		return err
	}
	rec := runRecord{}
	version, err := readRecord(ctx, r.driver, runKey, &rec)
	if err != nil && !errors.Is(err, driver.ErrNotExist) {
		return err
	}
	if version != "" && rec.Nonce != "" && !r.opts.Restart && rec.Repair == r.opts.Repair {
		r.report = rec.Report
		r.report.Resumed = true
		r.unreadable = len(rec.Errors) > 0
	}
	if r.report.BytesTotal == 0 {
		if _, r.report.BytesTotal, err = r.store.Inventory().Bytes(ctx); err != nil {
			return err
		}
	}
	r.cursor, err = r.write(ctx, version)
	if driver.IsConflict(err) || errors.Is(err, driver.ErrNoSpace) {
		r.cursor, err = "", nil
	}
	r.saved = r.opts.clock.now()
	return err
}

// move notes where the run is, and writes that if it is time.
func (r *run) move(ctx context.Context, stage Stage, at string) {
	r.mu.Lock()
	r.report.Stage, r.report.At = stage, at
	r.mu.Unlock()
	r.pending = true
	if r.opts.clock.now().Sub(r.saved) >= saveEvery {
		r.save(ctx)
	}
	r.tell(false)
}

// save writes where the run is. After an error, a further run repeats a part.
func (r *run) save(ctx context.Context) {
	r.saved = r.opts.clock.now()
	if r.cursor == "" || !r.pending {
		return
	}
	version, err := r.write(ctx, r.cursor)
	switch {
	case err == nil:
		r.cursor, r.pending = version, false
	case driver.IsConflict(err):
		r.cursor = "" // another run has taken over, or finished
	}
}

// write writes the record on a version.
func (r *run) write(ctx context.Context, version string) (string, error) {
	rec := runRecord{Nonce: rand.Text(), Report: r.snapshot(true)}
	rec.Findings = rec.Findings[:min(len(rec.Findings), maxSaved)]
	return putRecord(ctx, r.driver, runKey, version, rec, driver.Deferred)
}

// finish removes the record of a run that has checked everything.
func (r *run) finish(ctx context.Context) {
	if r.cursor != "" {
		_ = r.driver.Delete(ctx, runKey, r.cursor) // if it stays, the next run has little to do
	}
}

// readRecord reads the record at key into v, and returns its version. A record that cannot be parsed
// leaves v unchanged.
//
// Errors: driver.ErrNotExist; any error of the driver.
func readRecord(ctx context.Context, d driver.Driver, key string, v any) (version string, err error) {
	body, info, err := d.Open(ctx, key, nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.LimitReader(body, maxRecord))
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return "", err
	}
	_ = json.Unmarshal(b, v)
	return info.Version, nil
}

// putRecord writes a record on a version, or, if that is "", where there is no object. It returns the
// new version.
func putRecord(ctx context.Context, d driver.Driver, key, version string, v any, durability driver.Durability) (string,
	error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	info, err := d.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: durability, Size: int64(len(b)),
	})
	return info.Version, err
}
