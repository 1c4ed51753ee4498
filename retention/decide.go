package retention

import (
	"context"
	"slices"
	"strings"

	"github.com/registrykit/registry/internal/parallel"
)

// decide lets rules decide about items, one rule after another.
func (e *evaluator) decide(ctx context.Context, rules []*rule, items []*item) error {
	open := slices.Clone(items)
	for _, r := range rules {
		if len(open) == 0 {
			break
		}
		if err := e.decideBy(ctx, r, open); err != nil {
			return err
		}
		open = slices.DeleteFunc(open, func(t *item) bool { return t.decided })
	}
	return nil
}

// decideBy lets one rule decide about those items that it covers.
func (e *evaluator) decideBy(ctx context.Context, r *rule, open []*item) error {
	covered := r.covers(open)
	answers, err := e.ask(ctx, &r.when, covered, no)
	if err != nil {
		return err
	}
	in := make([]*candidate, 0, len(covered))
	for i, c := range covered {
		switch when := every(answers[i]); when.answer {
		case unknown:
			c.decide(false, r, when.words)
		case yes:
			in = append(in, c)
		case no: // a later rule may cover it
		}
	}
	r.keep.rank(in)
	rest := make([]*candidate, 0, len(in))
	for _, c := range in {
		switch {
		case r.keep.all:
			c.decide(false, r, "the rule keeps all")
		case c.rank != "":
			c.decide(false, r, c.rank)
		default:
			rest = append(rest, c)
		}
	}
	if answers, err = e.ask(ctx, &r.keep.any, rest, yes); err != nil {
		return err
	}
	for i, c := range rest {
		kept := some(answers[i])
		c.decide(kept.answer == no, r, kept.words)
	}
	return nil
}

// ask returns the answers to conditions for each candidate. If one of the other answers is enough,
// the content of the image is not read.
func (e *evaluator) ask(ctx context.Context, c *conditions, all []*candidate, enough answer) ([][]reason, error) {
	answers := make([][]reason, len(all))
	if c.empty() || len(all) == 0 {
		return answers, nil
	}
	if c.asksGraph() || c.asksPulls() {
		if err := e.needGraph(ctx); err != nil {
			return nil, err
		}
	}
	if c.asksPulls() {
		if err := e.needPulls(ctx); err != nil {
			return nil, err
		}
	}
	var open []int
	for i, t := range all {
		answers[i] = c.ages(t.item, e.now)
		if c.asksPulls() {
			answers[i] = append(answers[i], c.pulls(e.pullsOf(t.item), e.now)...)
		}
		if c.asksGraph() {
			answers[i] = append(answers[i], c.relations(e.graph, e.graph.find(t.digest))...)
		}
		if c.asksFacts() && !slices.ContainsFunc(answers[i], func(r reason) bool { return r.answer == enough }) {
			open = append(open, i)
		}
	}
	err := parallel.Each(e.p.opts.Parallel, len(open), func(i int) error {
		f, err := e.p.imageFacts(ctx, e.repo, all[open[i]].digest, c.asksConfig())
		if err == nil {
			answers[open[i]] = append(answers[open[i]], c.images(f)...)
		}
		return err
	})
	return answers, err
}

// relations yields the answers that depend on other manifests of the repository. n is nil for a
// manifest that is gone.
func (c *conditions) relations(g *graph, n *node) (all []reason) {
	if c.signed != nil {
		signed := n != nil && g.signed(n)
		words := map[bool]string{true: "signed", false: "not signed"}[signed]
		all = append(all, reason{answerIf(signed == *c.signed), words})
	}
	if c.referenced != nil {
		referenced := n != nil && len(n.parents) > 0
		words := map[bool]string{true: "another manifest names it", false: "no other manifest names it"}[referenced]
		all = append(all, reason{answerIf(referenced == *c.referenced), words})
	}
	return all
}

// signed reports whether a manifest has a signature: a referrer whose type is one of cosign,
// sigstore or Notary Project, or one with cosign's tag for it.
func (g *graph) signed(n *node) bool {
	for r := range g.each(n.referrers) {
		switch r.artifactType {
		case "application/vnd.dev.cosign.artifact.sig.v1+json", "application/vnd.cncf.notary.signature":
			return true
		}
		if strings.HasPrefix(r.artifactType, "application/vnd.dev.sigstore.bundle") {
			return true
		}
		for _, t := range r.tags {
			if t.of == n && strings.HasSuffix(t.tag, ".sig") {
				return true
			}
		}
	}
	return false
}
