package client

import (
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// checkCondition rejects a condition that the registry might ignore.
//
// Errors: registry.ErrUnsupported.
func (c *Client) checkCondition(cond *registry.Condition) error {
	if cond.IsZero() || c.opts.Conditional {
		return nil
	}
	return registry.ErrUnsupported.WithMessage("the registry may ignore conditions")
}

// setCondition adds cond to the headers of a request.
func setCondition(h http.Header, cond *registry.Condition) {
	if cond.IsZero() {
		return
	}
	add := func(key string, list []digest.Digest) {
		if slices.Contains(list, registry.AnyDigest) {
			list = []digest.Digest{registry.AnyDigest}
		}
		for _, d := range list {
			h.Add(key, entityTag(d))
		}
	}
	add("If-Match", cond.Match)
	add("If-None-Match", cond.NoneMatch)
}

// entityTag returns the entity tag of the content with digest d. For a malformed digest it returns
// the empty entity tag, which no manifest or blob has, so that the condition matches nothing.
func entityTag(d digest.Digest) string {
	switch {
	case d == registry.AnyDigest:
		return "*"
	case reference.CheckDigest(string(d)) != nil:
		return `""`
	}
	return `"` + string(d) + `"`
}

// conditionOf returns the single condition that a push sends: that of the manifest if there are no
// tags, or else that of all tags.
//
// Errors: registry.ErrUnsupported if the conditions do not fit into one request.
func conditionOf(o *registry.PutOptions) (*registry.Condition, error) {
	if len(o.Tags) == 0 {
		return o.If, nil
	}
	cond := o.Tags[0].If
	same := func(t registry.TagPut) bool {
		if cond.IsZero() || t.If.IsZero() {
			return cond.IsZero() == t.If.IsZero()
		}
		return slices.Equal(t.If.Match, cond.Match) && slices.Equal(t.If.NoneMatch, cond.NoneMatch)
	}
	if !o.If.IsZero() || slices.ContainsFunc(o.Tags, func(t registry.TagPut) bool { return !same(t) }) {
		return nil, registry.ErrUnsupported.WithMessage("all tags of a push must have the same condition")
	}
	return cond, nil
}
