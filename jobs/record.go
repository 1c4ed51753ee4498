package jobs

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"time"

	"github.com/registrykit/registry/storage/driver"
)

const (
	// prefix is the prefix of the keys of all jobs: "lease/" and the name. Earlier versions have
	// kept the lease of the collections there.
	prefix = "lease/"
	// bellKey is the object that changes with each request, see Runner.ring.
	bellKey = prefix + "~requests"
	// maxRecord is the maximum size of a record, in bytes. A larger one counts as damaged.
	maxRecord = 64 << 10
)

// record is the state of a job, the content of its object. Each change of it is made on the version
// that was read.
//
// Earlier versions of the module know Nonce, Until and Done only, for the job "collect". They drop
// the other fields when they take the lease, which then count as unknown.
type record struct {
	Nonce string    `json:"nonce"` // differs in each version
	Until time.Time `json:"until"` // when the lease ends unless it is renewed, by its holder's clock; zero: no lease
	Done  time.Time `json:"done"`  // when the last run ended from which the interval counts

	Run      string          `json:"run,omitempty"` // identifies the present or last run
	Holder   string          `json:"holder,omitempty"`
	Lease    duration        `json:"lease,omitzero"`   // how long a version of this record keeps others away
	Every    duration        `json:"every,omitzero"`   // Job.Every of the holder
	Started  time.Time       `json:"started,omitzero"` // of the present or last run
	Progress json.RawMessage `json:"progress,omitempty"`
	Request  *request        `json:"request,omitempty"` // the request that the present or last run answers

	Ended    time.Time       `json:"ended,omitzero"` // of the last run that ended
	Result   json.RawMessage `json:"result,omitempty"`
	Error    string          `json:"error,omitempty"`
	Failures int             `json:"failures,omitempty"` // runs that failed since one succeeded

	Start  *request `json:"start,omitempty"`  // a run is requested
	Cancel string   `json:"cancel,omitempty"` // the run that is to end

	damaged bool // the object was not a record
}

// request asks for a run.
type request struct {
	Time time.Time `json:"time"`
}

// duration is a duration in JSON, such as "1m0s".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = duration(v)
	return err
}

// held reports whether a process holds the lease, or has died with it.
func (r *record) held() bool { return !r.Until.IsZero() }

// read returns the record at key and its version. A damaged object counts as an empty record.
//
// Errors: driver.ErrNotExist; driver.ErrNotModified if it has the version notVersion; any error of
// the driver.
func read(ctx context.Context, d driver.Driver, key, notVersion string) (*record, string, error) {
	body, info, err := d.Open(ctx, key, &driver.OpenOptions{IfNotVersion: notVersion})
	if err != nil {
		return nil, "", err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxRecord+1))
	if err != nil {
		return nil, "", err
	}
	rec := &record{}
	if len(b) > maxRecord || json.Unmarshal(b, rec) != nil {
		rec = &record{damaged: true}
	}
	return rec, info.Version, nil
}

// write writes the record if the object has the given version still; "" means that there must be no
// object. It returns the new version.
//
// Errors: driver.ErrExist or driver.ErrChanged if the condition does not hold; any error of the
// driver, after which the record may have been written.
func write(ctx context.Context, d driver.Driver, key, version string, rec *record) (string, error) {
	rec.Nonce = rand.Text()
	b, err := json.Marshal(rec)
	if err != nil {
		return "", err
	}
	b = append(b, '\n')
	info, err := d.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: driver.Deferred, Size: int64(len(b)),
	})
	if !driver.IsConflict(err) {
		return info.Version, err
	}
	// A driver may repeat a request whose response was lost, and report the conflict of the second
	// attempt with the first.
	if there, now, rerr := read(ctx, d, key, ""); rerr == nil && there.Nonce == rec.Nonce {
		return now, nil
	}
	return "", err
}
