package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/manifest"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/internal/object"
)

// DamageKind says what is wrong.
type DamageKind string

// The kinds of damage.
const (
	// CorruptBlob means that the bytes of a blob do not have its digest, or are missing or cut short.
	CorruptBlob DamageKind = "corrupt-blob"
	// MissingBlob means that a manifest names a blob that the repository does not have.
	MissingBlob DamageKind = "missing-blob"
	// CorruptManifest means that the content of a manifest does not have its digest.
	CorruptManifest DamageKind = "corrupt-manifest"
	// MissingManifest means that an index names a manifest that the repository does not have.
	MissingManifest DamageKind = "missing-manifest"
	// WrongSize means that the bytes have the digest, but the record states another size, checksum or
	// state, so that they are not served. Or a tag states a wrong size.
	WrongSize DamageKind = "wrong-size"
	// DanglingTag means that a tag points at a manifest that is not there.
	DanglingTag DamageKind = "dangling-tag"
	// DamagedTag means that the record of a tag cannot be read.
	DamagedTag DamageKind = "damaged-tag"
	// WrongBackReference means that a tag has no back reference, by which deletes find it, or that a back
	// reference leads to a manifest that is not there.
	WrongBackReference DamageKind = "back-reference"
	// WrongReferrer means that the entry of a referrer with its subject is missing or wrong, or leads to a
	// manifest that is not there.
	WrongReferrer DamageKind = "referrer"
	// WrongHint means that the entry of a referrer has no hint, which makes filtered lists slower, or that
	// a hint leads to a manifest that is not there.
	WrongHint DamageKind = "referrer-hint"
	// WrongBlobIndex means that the index of blobs lacks a repository, so that mounts and deduplication
	// miss it.
	WrongBlobIndex DamageKind = "blob-index"
	// WrongCatalog means that a repository with content is not in the catalog, or that its record there
	// cannot be read.
	WrongCatalog DamageKind = "catalog"
)

// DamageRepair says what a check has done about damage.
type DamageRepair string

const (
	// NotRepaired means nothing, because CheckOptions.Repair is not set or nothing can be done. The
	// next check reports the damage again.
	NotRepaired DamageRepair = ""
	// Repaired means that everything is right again.
	Repaired DamageRepair = "repaired"
	// Removed means that a reference that led nowhere was removed.
	Removed DamageRepair = "removed"
	// Quarantined means that the content is not served any more, and pushing it again mends it.
	Quarantined DamageRepair = "quarantined"
)

// Damage is one thing that is wrong in a storage.
type Damage struct {
	// Kind is what is wrong.
	Kind DamageKind `json:"kind"`
	// Repository is the repository that is affected.
	Repository string `json:"repository"`
	// Digest is the blob or manifest that is affected, or "".
	Digest digest.Digest `json:"digest,omitempty"`
	// Tag is the tag that is affected, or "".
	Tag string `json:"tag,omitempty"`
	// Expected and Found say what should be there and what is there, for people.
	Expected string `json:"expected"`
	Found    string `json:"found"`
	// Repair is what was done about it.
	Repair DamageRepair `json:"repair,omitempty"`
}

// Loss is content that a repository should have and does not serve: its bytes are damaged or gone. It
// is mended by pushing it again.
type Loss struct {
	// Repository and Digest name the content.
	Repository string        `json:"repository"`
	Digest     digest.Digest `json:"digest"`
	// Manifest reports whether the content is a manifest. Otherwise it is a blob.
	Manifest bool `json:"manifest,omitempty"`
	// Size is the size in bytes, or 0 if it is not known.
	Size int64 `json:"size,omitempty"`
	// MediaType is that of the manifest, or "" if it is not known.
	MediaType string `json:"mediaType,omitempty"`
	// Tags are the tags that pointed at the manifest.
	Tags []string `json:"tags,omitempty"`
	// Sets says when each of Tags was set, as far as that is known.
	Sets map[string]time.Time `json:"sets,omitempty"`
	// Reason is the damage that was found.
	Reason DamageKind `json:"reason"`
	// Deleted reports whether a client may have deleted the content on purpose. CheckOptions.Lost then
	// only looks for a record of an earlier loss.
	Deleted bool `json:"-"`
}

// DefaultSettle is the default of CheckOptions.Settle.
const DefaultSettle = time.Minute

// CheckOptions are the options of [Store.Check]. nil means the zero CheckOptions.
type CheckOptions struct {
	// Repair repairs what can be repaired, and quarantines damaged content. Default: false, a check
	// changes nothing.
	Repair bool
	// Driver replaces the driver of the Store during the check. It must have the same content. A caller
	// counts and limits requests there. Default: the driver of the Store.
	Driver driver.Driver
	// Parallel is the maximum number of requests at a time, and of blobs that are read at a time.
	// Default: 16. A negative value is an error.
	Parallel int
	// Settle is how long ago an object must have been written, by the clock of the storage, before a
	// reference that it lacks counts as missing: a push writes several objects, one after the other.
	// Default: DefaultSettle, one minute. Negative means any age.
	Settle time.Duration
	// Found is called for each damage, also from several goroutines, but only one call at a time.
	// Default: nil.
	Found func(Damage)
	// Lost is called for content that is damaged or gone, before Found. With Repair, it is called before
	// the content is taken out of service, so that it can record the loss. An error ends the check, and
	// the content stays as it is. If known is true, the loss was recorded before: a blob or manifest
	// that is missing is then no new damage, and Found is not called. It may be called from several
	// goroutines. Default: nil, no loss is known.
	Lost func(ctx context.Context, l Loss) (known bool, err error)
	// Counted is called with the numbers to be added to what was checked before, from several
	// goroutines. Default: nil.
	Counted func(CheckCounts)
	// Unreadable is called for an object that cannot be read, with the error, if that may concern only
	// this object. The check goes on unless Unreadable returns an error. It may be called from several
	// goroutines. Default: nil, the error ends the check.
	Unreadable func(repo string, d digest.Digest, err error) error
}

// CheckCounts counts what a check has read.
type CheckCounts struct {
	// Repositories, Manifests, Tags and Blobs count elements. A blob counts once for each repository
	// that has it.
	Repositories, Manifests, Tags, Blobs int64
	// Content counts blobs and manifests whose bytes were compared with their digest, and Bytes their
	// bytes. Bytes that repositories share count once.
	Content, Bytes int64
}

// Check verifies a storage, and repairs it. Package scrub is built on it. Programs use that package: it
// adds a schedule, limits, records of losses, and a position from which an interrupted check continues.
//
// A Check can run while clients push, pull and delete, while collections run, and beside other
// checks. It never acts on one look: whatever seems wrong is read again, in its newest version. A
// read that fails is no damage.
type Check struct {
	store *Store // over CheckOptions.Driver
	opts  CheckOptions

	mu sync.Mutex // held while CheckOptions.Found is called

	quarantinedMu sync.Mutex
	quarantined   map[[sha256.Size]byte]badData // by this check, by badData.id; at most maxQuarantined
}

// Check returns a Check of the storage. It makes no request. opts may be nil.
//
// Errors: an error for an invalid option.
func (s *Store) Check(opts *CheckOptions) (*Check, error) {
	o := options.Value(opts)
	options.Default(&o.Parallel, object.Parallelism)
	options.Default(&o.Settle, DefaultSettle)
	if o.Parallel < 0 {
		return nil, errors.New("storage: CheckOptions.Parallel is negative")
	}
	if o.Lost == nil {
		o.Lost = func(context.Context, Loss) (bool, error) { return false, nil }
	}
	if o.Counted == nil {
		o.Counted = func(CheckCounts) {}
	}
	over := *s
	over.objects = s.objects.WithoutCache() // a check looks for damage
	if o.Driver != nil {
		over.objects = over.objects.WithDriver(o.Driver)
	}
	return &Check{store: &over, opts: o, quarantined: map[[sha256.Size]byte]badData{}}, nil
}

// repo returns one repository, whose writes may use the reserve.
func (c *Check) repo(name string) repo { return c.store.repo(name).withReserve() }

// found reports damage.
func (c *Check) found(d Damage) {
	if c.opts.Found == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opts.Found(d)
}

// settled reports whether an object that was written at t is old enough to be judged.
func (c *Check) settled(t time.Time) bool { return c.opts.Settle < 0 || time.Since(t) >= c.opts.Settle }

// unreadable handles a read of the content d that has failed with err. It returns nil if the check goes
// on.
func (c *Check) unreadable(ctx context.Context, repo string, d digest.Digest, err error) error {
	if c.opts.Unreadable == nil || ctx.Err() != nil || errors.Is(err, registry.ErrUnavailable) ||
		errors.Is(err, driver.ErrUnavailable) {
		return err
	}
	return c.opts.Unreadable(repo, d, err)
}

// Wanted reports whether a manifest of a repository names a blob or manifest. It reads all manifests of
// the repository. A manifest that cannot be parsed may name everything.
//
// Errors: any error of the driver.
func (c *Check) Wanted(ctx context.Context, repo string, d digest.Digest) (bool, error) {
	if err := checkBlob(repo, d); err != nil {
		return false, err
	}
	r := c.repo(repo)
	for info, err := range r.Driver.List(ctx, r.ManifestPrefix(), nil) {
		if err != nil {
			return false, object.RegistryError(err)
		}
		by := objectkey.PathDigest(info.Key)
		if by == "" {
			continue
		}
		m, err := r.ReadManifest(ctx, by)
		if err != nil {
			return false, err
		}
		if m.Absent() {
			continue
		}
		refs, err := object.References(m)
		if err != nil || slices.ContainsFunc(refs, func(ref manifest.Reference) bool { return ref.Digest == d }) {
			return true, nil
		}
	}
	return false, nil
}
