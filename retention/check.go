package retention

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/duration"
)

// check refuses conditions that cannot hold together, or have no effect.
func (p *parser) check(r *rule, fields map[string]*yaml.Node) error {
	when, kept := fields["if"], fields["keep"]
	if r.untagged {
		if err := p.checkUntagged(r, when, kept); err != nil {
			return err
		}
	}
	w, k := &r.when, &r.keep.any
	switch {
	case exceeds(w.olderThan, w.youngerThan):
		return p.Errorf(when, "nothing is older than %s and younger than %s", text(w.olderThan), text(w.youngerThan))
	case exceeds(w.notPulledWithin, w.pulledWithin):
		return p.Errorf(when, "nothing was pulled within %s and not within %s", text(w.pulledWithin),
			text(w.notPulledWithin))
	case exceeds(w.olderThan, k.youngerThan):
		return p.Errorf(kept, "nothing that is older than %s is younger than %s", text(w.olderThan), text(k.youngerThan))
	case exceeds(w.notPulledWithin, k.pulledWithin):
		return p.Errorf(kept, "nothing that was not pulled within %s was pulled within %s", text(w.notPulledWithin),
			text(k.pulledWithin))
	case k.youngerThan != nil && exceeds(k.youngerThan, w.youngerThan):
		return p.Errorf(kept, `everything that is younger than %s is younger than %s: "keep: all" says the same`,
			text(w.youngerThan), text(k.youngerThan))
	case differ(w.signed, k.signed), differ(w.referenced, k.referenced):
		return p.Errorf(kept, "this cannot hold: the rule covers only what is the opposite")
	}
	return nil
}

// checkUntagged refuses conditions that untagged manifests cannot meet.
func (p *parser) checkUntagged(r *rule, when, kept *yaml.Node) error {
	switch {
	case r.when.referenced != nil:
		return p.Errorf(when, "untagged manifests are those that no other manifest names: leave referenced out")
	case r.keep.any.referenced != nil:
		return p.Errorf(kept, "untagged manifests are those that no other manifest names: leave referenced out")
	case r.keep.needsVersion(), r.keep.group != nil:
		return p.Errorf(kept, "untagged manifests have no versions and groups")
	}
	return nil
}

// exceeds reports whether both durations are given and a is at least b.
func exceeds(a, b *time.Duration) bool { return a != nil && b != nil && *a >= *b }

// differ reports whether both are given and not equal.
func differ(a, b *bool) bool { return a != nil && b != nil && *a != *b }

func text(d *time.Duration) string { return duration.Format(*d) }
