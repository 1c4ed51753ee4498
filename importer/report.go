package importer

import (
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// MaxProblems is the maximum number of problems in a Report. Further ones are counted.
const MaxProblems = 1000

// Report is the state or the result of a [Run]. Its JSON form is stable.
type Report struct {
	// Source and ID name the source, see Options.ID.
	Source string `json:"source"`
	ID     string `json:"id"`
	// DryRun reports that nothing was changed.
	DryRun bool `json:"dryRun,omitempty"`
	// Started is when Run began, and Seconds how long it has taken.
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// Repositories counts the repositories that were found, and Repository is the last of them.
	Repositories int64  `json:"repositories"`
	Repository   string `json:"repository,omitempty"`
	// Tags counts the tags.
	Tags Tags `json:"tags"`
	// Manifests counts the manifests that were imported.
	Manifests int64 `json:"manifests"`
	// Referrers counts those of the Manifests that have a subject.
	Referrers int64 `json:"referrers"`
	// Layers counts the layers and configs that the imported manifests name, once for each repository.
	// What was found by an earlier Run is not among them.
	Layers Layers `json:"layers"`
	// Hashed counts the layers that were read and hashed only to check them. Layers.Streamed were hashed
	// as well.
	Hashed Amount `json:"hashed"`
	// Total counts all layers, configs and manifests in the source, see Options.Total.
	Total Amount `json:"total,omitzero"`
	// Damaged counts tags, manifests and names that were skipped because they are damaged; Schema1 counts
	// tags and manifests that were skipped because they are Docker's schema 1.
	Damaged int64 `json:"damaged"`
	Schema1 int64 `json:"schema1"`
	// Problems lists the first MaxProblems problems, of all kinds. Omitted counts the others.
	Problems []Problem `json:"problems,omitempty"`
	Omitted  int64     `json:"omitted,omitempty"`
}

// Tags counts tags.
type Tags struct {
	// Set were set for the first time, and Moved were moved.
	Set   int64 `json:"set"`
	Moved int64 `json:"moved"`
	// Unchanged are as the last Run has left them in the source, or as they are at the destination.
	Unchanged int64 `json:"unchanged"`
	// Kept have moved in the source, but the destination has something of its own.
	Kept int64 `json:"kept"`
	// Gone were deleted in the source since the last Run and are reported; Deleted were also removed.
	Gone    int64 `json:"gone"`
	Deleted int64 `json:"deleted"`
	// Skipped have a damaged image, or one of schema 1.
	Skipped int64 `json:"skipped"`
}

// Layers counts layers by how they were taken over.
type Layers struct {
	// Linked, Cloned and Copied did not pass through this process, see driver.Adoption.
	Linked Amount `json:"linked"`
	Cloned Amount `json:"cloned"`
	Copied Amount `json:"copied"`
	// Streamed were read from the source and written to the destination.
	Streamed Amount `json:"streamed"`
	// Mounted were at the destination in another repository.
	Mounted Amount `json:"mounted"`
	// Present were in the same repository of the destination.
	Present Amount `json:"present"`
}

// Amount is a number of objects, and their size in bytes.
type Amount struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
}

func (a *Amount) add(size int64) {
	a.Count++
	a.Bytes += size
}

// ProblemKind says what a Problem is.
type ProblemKind string

// The kinds of problems. All but the last four are damage.
const (
	// ProblemMissing is something that is named and not there, or that vanished during the Run.
	ProblemMissing ProblemKind = "missing"
	// ProblemSize is a blob that has another size than a manifest states.
	ProblemSize ProblemKind = "size"
	// ProblemDigest is a blob or manifest whose bytes have another digest.
	ProblemDigest ProblemKind = "digest"
	// ProblemLink is a link that holds no digest, or that of another manifest.
	ProblemLink ProblemKind = "link"
	// ProblemManifest is a manifest that cannot be read, or that the new registry refuses.
	ProblemManifest ProblemKind = "manifest"
	// ProblemName is a repository, tag or digest whose name is not valid.
	ProblemName ProblemKind = "name"
	// ProblemFile is a symbolic link, a device, or a file in the place of a directory.
	ProblemFile ProblemKind = "file"
	// ProblemRead is a file that could not be read.
	ProblemRead ProblemKind = "read"

	// ProblemSchema1 is a manifest of Docker's schema 1, which the new registry does not store.
	ProblemSchema1 ProblemKind = "schema1"
	// ProblemKept is a tag that has moved in the source and that the destination has changed too.
	ProblemKept ProblemKind = "kept"
	// ProblemGone is a tag that the source has deleted since the last Run.
	ProblemGone ProblemKind = "gone"
	// ProblemSubject is a manifest that is listed under a fallback tag of referrers but has no subject.
	ProblemSubject ProblemKind = "subject"
)

// damage reports whether the kind is damage of the source.
func (k ProblemKind) damage() bool {
	switch k {
	case ProblemSchema1, ProblemKept, ProblemGone, ProblemSubject:
		return false
	}
	return true
}

// Problem is something that was not imported, or that needs attention.
type Problem struct {
	Kind ProblemKind `json:"kind"`
	// Repository, Tag and Digest say what was skipped: a tag, or a manifest without one. Each may be "".
	Repository string        `json:"repository,omitempty"`
	Tag        string        `json:"tag,omitempty"`
	Digest     digest.Digest `json:"digest,omitempty"`
	// Path is the file in the source that is the cause, below docker/registry/v2, or "".
	Path string `json:"path,omitempty"`
	// Message describes the cause.
	Message string `json:"message"`
}

// Error implements error: a Problem is the reason why something else cannot be imported.
func (p *Problem) Error() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// counter is a Report that several goroutines count in.
type counter struct {
	mu sync.Mutex
	Report
}

func (c *counter) count(f func(r *Report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.Report)
}

// problem notes a problem. It counts damage, and what was skipped.
func (c *counter) problem(p Problem) {
	c.count(func(r *Report) {
		switch {
		case p.Kind.damage():
			r.Damaged++
		case p.Kind == ProblemSchema1:
			r.Schema1++
		}
		if len(r.Problems) < MaxProblems {
			r.Problems = append(r.Problems, p)
		} else {
			r.Omitted++
		}
	})
}

// snapshot returns a copy of the Report, with its problems if they are asked for.
func (c *counter) snapshot(problems bool) Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.Report
	r.Seconds = time.Since(r.Started).Seconds()
	if !problems {
		r.Problems = nil
	}
	return r
}

// every calls f with the Report at intervals, until the returned function is called, and then once
// more. f may be nil.
func (c *counter) every(interval time.Duration, f func(Report)) (stop func()) {
	if f == nil {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				f(c.snapshot(false))
			case <-done:
				f(c.snapshot(false))
				return
			}
		}
	}()
	return func() { close(done); <-stopped }
}
