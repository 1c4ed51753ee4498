package scrub

import (
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/storage"
)

// run is one call of Run.
type run struct {
	store  *storage.Store
	driver *throttled
	check  *storage.Check
	opts   Options
	now    time.Time // when the run began, for Report.Seconds

	// The record of the run, see cursor.go. Only the goroutine of Run uses it.
	cursor  string // the version, or "" if this run does not own the record
	saved   time.Time
	pending bool // the record does not have the newest position

	mu         sync.Mutex
	report     Report
	unreadable bool
	told       time.Time
	tellMu     sync.Mutex // held while Options.Progress is called
}

// found adds a finding to the report.
func (r *run) found(f Finding) {
	r.mu.Lock()
	r.report.Damaged++
	switch f.Repair {
	case storage.Repaired, storage.Removed:
		r.report.Repaired++
	case storage.Quarantined:
		r.report.Quarantined++
	}
	if len(r.report.Findings) < MaxFindings {
		r.report.Findings = append(r.report.Findings, f)
	}
	r.mu.Unlock()
	if r.opts.Found != nil {
		r.opts.Found(f)
	}
}

// counted adds to the numbers of the report.
func (r *run) counted(c storage.CheckCounts) {
	r.mu.Lock()
	r.report.Repositories += c.Repositories
	r.report.Manifests += c.Manifests
	r.report.Tags += c.Tags
	r.report.Blobs += c.Blobs
	r.report.Content += c.Content
	r.report.Bytes += c.Bytes
	r.mu.Unlock()
	r.tell(false)
}

// cannotRead adds content that cannot be read to the report. It returns err if there is too much of it.
func (r *run) cannotRead(repo string, d digest.Digest, err error) error {
	r.mu.Lock()
	r.unreadable = true
	r.mu.Unlock()
	if !r.note(fmt.Sprintf("%s %s: %s", repo, d, err)) {
		return fmt.Errorf("scrub: too much cannot be read, at last of %s: %w", repo, err)
	}
	return nil
}

// note adds an error to the report, and reports whether there is room for more.
func (r *run) note(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.report.Errors) < MaxErrors {
		r.report.Errors = append(r.report.Errors, text)
	}
	return len(r.report.Errors) < MaxErrors
}

// snapshot returns the report so far.
func (r *run) snapshot(findings bool) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Seconds = r.opts.clock.now().Sub(r.now).Seconds()
	report.Requests += r.driver.requests.Load()
	if !findings {
		report.Findings = nil
	}
	return report
}

// tell calls Options.Progress if always is set or a second has passed since the last call. Without
// always, it does not wait for a call that is running.
func (r *run) tell(always bool) {
	if r.opts.Progress == nil {
		return
	}
	r.mu.Lock()
	due := always || r.opts.clock.now().Sub(r.told) >= time.Second
	if due {
		r.told = r.opts.clock.now()
	}
	r.mu.Unlock()
	if !due {
		return
	}
	if always {
		r.tellMu.Lock()
	} else if !r.tellMu.TryLock() {
		return
	}
	defer r.tellMu.Unlock()
	r.opts.Progress(r.snapshot(false))
}
