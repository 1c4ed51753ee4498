package retention

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/storage"
)

// item is a tag, or an untagged manifest, about which rules decide.
type item struct {
	tag    string // "" for an untagged manifest
	digest digest.Digest
	set    time.Time // since when it is as it is; zero if that is not known
	node   *node     // the manifest; nil if the graph was not needed, or for a tag that leads to nothing

	// A tag that names a manifest follows that manifest, and no rule covers it.
	attached bool
	subject  digest.Digest // what it names, or "" if the tag is too short for the digest
	of       *node         // what it names, if that is there
	pending  []digest.Digest

	removed  bool // the tag is gone; the plan that is applied lets it go, see intent
	orphaned bool // it is attached, and the plan that is applied has removed what it names

	decided bool
	goes    bool
	rule    *rule
	why     string
}

// decide notes the decision of a rule. rule is nil if no rule decides.
func (t *item) decide(goes bool, r *rule, why string) {
	t.decided, t.goes, t.rule, t.why = true, goes, r, why
}

// spare lets something stay that a rule lets go. The rule is still named.
func (t *item) spare(why string) {
	if t.goes {
		t.goes, t.why = false, why
	}
}

// listTags returns the tags of a repository, in ascending order.
//
// Errors: ErrTooLarge; any error of the driver.
func (p *Planner) listTags(ctx context.Context, repo string) ([]*item, error) {
	var all []*item
	for t, err := range p.store.Inventory().Tags(ctx, repo) {
		if err != nil {
			return nil, err
		}
		if len(all) == p.opts.MaxElements {
			return nil, ErrTooLarge
		}
		i := &item{tag: t.Name, digest: t.Descriptor.Digest, set: t.Set, pending: t.Pending}
		i.subject, _, i.attached = subjecttag.Parse(t.Name)
		all = append(all, i)
	}
	return all, nil
}

// listManifests returns the manifests of a repository that has the given number of tags, without
// reading them.
//
// Errors: ErrTooLarge; any error of the driver.
func (p *Planner) listManifests(ctx context.Context, repo string, tags int) ([]storage.StoredManifest, error) {
	var all []storage.StoredManifest
	for m, err := range p.store.Inventory().Manifests(ctx, repo) {
		if err != nil {
			return nil, err
		}
		if len(all)+tags == p.opts.MaxElements {
			return nil, ErrTooLarge
		}
		all = append(all, m)
	}
	return all, nil
}

// never is later than every time: what is not known to be old counts as new.
var never = time.Unix(1<<40, 0)

// since returns since when the item is as it is, for an order.
func (t *item) since() time.Time {
	if t.set.IsZero() {
		return never
	}
	return t.set
}
