package retention

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/storage"
)

// Evaluate decides about one repository as of the time now. Ages count back from now;
// [Planner.Apply] takes it from the plan. What was pushed or pulled after now counts as new.
//
// It makes one request for each thousand tags and manifests, and one for each tag and manifest that
// the Planner does not remember. It reads manifests only if something may go or a condition needs
// them, and configurations of images only for the conditions labels and platforms: up to three
// requests for each image that no earlier rule decides about. See "What it costs" in the package
// comment.
//
// Unless Options.ReadOnly is set, it notes in the storage which manifests it has seen untagged, if
// a rule needs to know for how long they are, and since when pulls are recorded, if a rule asks
// about pulls.
//
// Errors: registry.ErrNameInvalid; [ErrTooLarge] and [ErrDamaged], after which the repository
// should be left alone; any error of the driver. A missing repository is not an error.
func (p *Planner) Evaluate(ctx context.Context, repo string, now time.Time) (*Evaluation, error) {
	e, err := p.evaluate(ctx, repo, now, nil)
	if err != nil {
		return nil, fmt.Errorf("retention: evaluating %s: %w", repo, err)
	}
	return e, nil
}

// evaluator decides about one repository.
type evaluator struct {
	p    *Planner
	repo string
	now  time.Time
	// shared reports whether other repositories have a blob. It may be nil.
	shared func(digest.Digest) bool
	intent *intent // what a plan that is applied lets go; nil for other evaluations

	tags      []*item
	manifests []storage.StoredManifest
	untagged  []*item // only if a rule about untagged manifests covers the repository

	// These fields are read when they are first needed.
	graph *graph
	times *pulltime.Times
	notes *notes
}

// evaluate is Evaluate. shared may be nil.
func (p *Planner) evaluate(ctx context.Context, repo string, now time.Time,
	shared func(digest.Digest) bool) (*Evaluation, error) {
	return p.evaluateBy(ctx, &evaluator{p: p, repo: repo, now: now, shared: shared})
}

// evaluateBy is Evaluate with a new evaluator.
func (p *Planner) evaluateBy(ctx context.Context, e *evaluator) (*Evaluation, error) {
	repo := e.repo
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	var err error
	if e.tags, err = p.listTags(ctx, repo); err != nil {
		return nil, err
	}
	e.addRemoved()
	forTags, forUntagged := p.rulesFor(repo)
	if len(forTags)+len(forUntagged) == 0 {
		return e.result(), nil
	}
	if e.manifests, err = p.listManifests(ctx, repo, len(e.tags)); err != nil {
		return nil, err
	}
	if err := e.decideTags(ctx, forTags); err != nil {
		return nil, err
	}
	if err := e.decideUntagged(ctx, forUntagged); err != nil {
		return nil, err
	}
	if err := e.resume(ctx); err != nil {
		return nil, err
	}
	if err := e.protect(ctx); err != nil {
		return nil, err
	}
	if err := e.writeNotes(ctx); err != nil {
		return nil, err
	}
	return e.result(), nil
}

// rulesFor returns the rules that may cover something in a repository: those about tags, and those
// about untagged manifests.
func (p *Planner) rulesFor(repo string) (forTags, forUntagged []*rule) {
	for _, r := range p.rules.list {
		switch {
		case !r.repositories.Selects(repo):
		case r.untagged:
			forUntagged = append(forUntagged, r)
		default:
			forTags = append(forTags, r)
		}
	}
	return forTags, forUntagged
}

// decideTags lets the rules decide about the tags.
func (e *evaluator) decideTags(ctx context.Context, rules []*rule) error {
	there := make(map[digest.Digest]bool, len(e.manifests))
	for _, m := range e.manifests {
		there[m.Digest] = true
	}
	var open []*item
	for _, t := range e.tags {
		switch {
		case t.attached:
		case !there[t.digest]:
			t.decide(false, nil, "its manifest is gone")
		default:
			open = append(open, t)
		}
	}
	return e.decide(ctx, rules, open)
}

// decideUntagged finds the untagged manifests, and lets the rules decide about them.
func (e *evaluator) decideUntagged(ctx context.Context, rules []*rule) error {
	if len(rules) == 0 {
		return nil
	}
	tagged := make(map[digest.Digest]bool, len(e.tags))
	for _, t := range e.tags {
		tagged[t.digest] = true
	}
	some := false
	for _, m := range e.manifests {
		some = some || !tagged[m.Digest]
	}
	if some {
		if err := e.needGraph(ctx); err != nil {
			return err
		}
		for i := range e.graph.nodes {
			if n := &e.graph.nodes[i]; n.isUntagged() && !e.intent.continues(n) {
				e.untagged = append(e.untagged, &item{digest: n.digest, node: n})
			}
		}
	}
	asked := false
	for _, r := range rules {
		asked = asked || r.keep.newest > 0 || r.asks((*conditions).asksAge)
	}
	if asked {
		if err := e.findSince(ctx); err != nil {
			return err
		}
	}
	return e.decide(ctx, rules, e.untagged)
}

// needGraph reads the manifests, unless they were read before.
func (e *evaluator) needGraph(ctx context.Context) (err error) {
	if e.graph != nil {
		return nil
	}
	if e.graph, err = e.p.readGraph(ctx, e.repo, e.manifests, e.shared); err == nil {
		e.graph.point(e.tags)
		e.findOrphaned()
	}
	return err
}
