package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// Verify says how much of the source is read to check it.
type Verify string

// The values of Options.Verify. Manifests are always verified by their digests, and sizes of layers
// against the manifests. A layer that is streamed is always hashed.
//
// A layer that is linked, cloned or copied without being read is trusted. If its bytes are damaged, a
// later push or mount of the same layer to any repository shares them instead of storing the right ones,
// until a scrub finds them. So use VerifyNone and VerifySample only for a source that is known to be
// whole, and that only trusted accounts can write to.
const (
	// VerifyNone reads no layer that is taken over.
	VerifyNone Verify = "none"
	// VerifySample reads and hashes one in sixteen of the layers that are taken over, chosen at random.
	VerifySample Verify = "sample"
	// VerifyFull reads and hashes each layer once.
	VerifyFull Verify = "full"
)

// Link says whether hard links are used.
type Link string

// The values of Options.Link.
const (
	// LinkAuto links layers where the storage can, and otherwise clones, copies or streams them.
	LinkAuto Link = "auto"
	// LinkNever makes no hard links.
	LinkNever Link = "never"
)

// DefaultParallel is the default of Options.Parallel.
const DefaultParallel = 8

// Options are the options of [Run]. nil means the zero Options.
type Options struct {
	// Verify says how much is checked. Default: VerifyFull.
	Verify Verify
	// Link says whether hard links are used, see the package comment. Default: LinkAuto.
	Link Link
	// TaggedOnly leaves out manifests to which no tag leads. Referrers of imported manifests are imported
	// regardless. Default: false, all manifests are imported.
	TaggedOnly bool
	// Sparse accepts an index of which the source lacks some images. Default: false, such an index is
	// damaged.
	Sparse bool
	// Delete removes tags that the source has deleted since the last Run, unless they were pushed again
	// to the destination. If the source has no repository at all, nothing is removed. Default: false,
	// they are reported.
	Delete bool
	// DryRun changes nothing. The report counts what would be done, and has the damage as far as Verify
	// looks for it. A layer that the destination has in another repository only is counted as if it had
	// to be taken over. Default: false.
	DryRun bool
	// ID names the source among the sources of this storage. A second Run must have the same ID as the
	// first one, and another source must have another one. Default: derived from the path or URL of
	// the source.
	ID string
	// Total lists the layers of the source first, so that Report.Total is known. That takes one list of
	// all layers. Default: false.
	Total bool
	// Parallel is the maximum number of images that are imported at a time. Default: DefaultParallel, 8.
	// A negative value is an error.
	Parallel int
	// Progress is called about once a second, and at the end. The calls come one at a time. The Problems
	// of its argument are nil. Default: nil, no calls.
	Progress func(Report)
}

// Run imports src into the Store s, whose driver is d. opts may be nil.
//
// Run may be stopped at any time, and continued by another Run: what is imported is found, also by a
// Run after a kill. Content that the source has damaged or lost is reported and skipped. That is not an
// error: see Report.Damaged. No two Runs with the same ID may run at a time; the second one fails.
//
// Errors: an error for an invalid option; registry.ErrNoSpace and other errors of the destination; an
// error of the source that concerns all of it; the error of ctx. The Report has what was done before
// the error; it is nil only if the options are invalid.
func Run(ctx context.Context, s *storage.Store, d driver.Driver, src Source, opts *Options) (*Report, error) {
	o := options.Value(opts)
	options.Default(&o.Verify, VerifyFull)
	options.Default(&o.Link, LinkAuto)
	options.Default(&o.Parallel, DefaultParallel)
	switch {
	case s == nil || d == nil || src == nil:
		return nil, errors.New("importer: the store, the driver or the source is nil")
	case o.Verify != VerifyNone && o.Verify != VerifySample && o.Verify != VerifyFull:
		return nil, fmt.Errorf("importer: Options.Verify is %q", o.Verify)
	case o.Link != LinkAuto && o.Link != LinkNever:
		return nil, fmt.Errorf("importer: Options.Link is %q", o.Link)
	case o.Parallel < 0:
		return nil, errors.New("importer: Options.Parallel is negative")
	}
	if o.ID == "" {
		o.ID = src.String()
	}
	sum := sha256.Sum256([]byte(o.ID))
	r := newRun(s, d, src, &o, hex.EncodeToString(sum[:8]))
	started := time.Now()
	r.report.Report = Report{Source: src.String(), ID: o.ID, DryRun: o.DryRun, Started: started}
	stop := r.report.every(time.Second, o.Progress)
	err := r.all(ctx)
	stop()
	rep := r.report.snapshot(true)
	if err != nil {
		err = fmt.Errorf("importer: %w", err)
	}
	return &rep, err
}
