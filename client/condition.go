package client

import (
	"net/http"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// checkCondition refuses a condition that the registry might ignore.
//
// Errors: registry.ErrUnsupported.
func (c *Client) checkCondition(cond *registry.Condition) error {
	if cond.IsZero() || c.opts.Conditional {
		return nil
	}
	return registry.ErrUnsupported.WithMessage("it is not known whether the registry honours conditions")
}

// setCondition adds a condition to the headers of a request.
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

// entityTag is the entity tag of what has a digest. What is no digest matches nothing, as no
// manifest or blob has the empty entity tag.
func entityTag(d digest.Digest) string {
	switch {
	case d == registry.AnyDigest:
		return "*"
	case reference.CheckDigest(string(d)) != nil:
		return `""`
	}
	return `"` + string(d) + `"`
}

// conditionOf returns the one condition that a push sends: that on the manifest if it has no tags,
// or that of all its tags.
//
// Errors: registry.ErrUnsupported if a request cannot say it.
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
		return nil, registry.ErrUnsupported.WithMessage("a push has one condition for all its tags")
	}
	return cond, nil
}
