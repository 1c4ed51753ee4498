package registry

import (
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// AnyDigest in a [Condition] matches every digest. It is the "*" of the headers.
const AnyDigest digest.Digest = "*"

// Condition restricts a write or delete to an expected state of its target, like the headers
// If-Match and If-None-Match (RFC 9110, section 13). It compares the digest of the target at the
// moment of the change. This makes a read-modify-write of a tag safe:
//
//	m, err := b.GetManifest(ctx, repo, reference.Ref{Tag: "latest"})
//	…
//	unchanged := &registry.Condition{Match: []digest.Digest{m.Descriptor.Digest}}
//	_, err = b.PutManifest(ctx, repo, mediaType, content, &registry.PutOptions{
//		Tags: []registry.TagPut{{Name: "latest", If: unchanged}},
//	})
//
// If both fields are set, both must hold. A nil or zero Condition always holds.
type Condition struct {
	// Match, unless empty, lists the expected digests. The condition holds if the target has one of
	// them. AnyDigest expects that the target exists. A value that is not a digest matches nothing.
	Match []digest.Digest
	// NoneMatch, unless empty, lists the digests that the target must not have. AnyDigest expects
	// that the target does not exist.
	NoneMatch []digest.Digest
}

// IsZero reports whether the condition always holds. The receiver may be nil.
func (c *Condition) IsZero() bool { return c == nil || len(c.Match) == 0 && len(c.NoneMatch) == 0 }

// Holds reports whether the condition holds for a target with the digest current. "" means that the
// target does not exist. The receiver may be nil.
func (c *Condition) Holds(current digest.Digest) bool {
	if c.IsZero() {
		return true
	}
	in := func(list []digest.Digest) bool {
		return current != "" && (slices.Contains(list, AnyDigest) || slices.Contains(list, current))
	}
	return (len(c.Match) == 0 || in(c.Match)) && !in(c.NoneMatch)
}

// condition returns the condition of a request that changes something, or nil if the request has
// none.
//
// Errors: errConditionInvalid.
func (c *call) condition() (*Condition, error) { return ParseCondition(c.req.Header) }

// ParseCondition returns the condition in the headers If-Match and If-None-Match of a request that
// changes something, or nil if the request has none. The entity tag of a manifest or tag is its
// digest. If-Match compares strongly: a weak entity tag matches nothing. If-None-Match compares
// weakly. A malformed header is an error, because its sender wants the change to depend on
// something.
//
// Errors: an error with the status 400.
func ParseCondition(h http.Header) (*Condition, error) {
	var cond Condition
	if lines := h.Values("If-Match"); len(lines) > 0 {
		tags, ok := parseETags(lines)
		if !ok {
			return nil, errConditionInvalid.WithMessage("invalid If-Match")
		}
		for _, t := range tags {
			cond.Match = append(cond.Match, t.strong())
		}
		if len(tags) == 0 {
			cond.Match = []digest.Digest{noDigest}
		}
	}
	tags, ok := parseETags(h.Values("If-None-Match"))
	if !ok {
		return nil, errConditionInvalid.WithMessage("invalid If-None-Match")
	}
	for _, t := range tags {
		cond.NoneMatch = append(cond.NoneMatch, digest.Digest(t.opaque))
	}
	if cond.IsZero() {
		return nil, nil
	}
	return &cond, nil
}

// errConditionInvalid is returned when an If-Match or If-None-Match is not a list of entity tags.
var errConditionInvalid = &Error{code: "UNSUPPORTED", status: http.StatusBadRequest, message: "invalid condition"}

// noDigest, in Condition.Match, matches nothing.
const noDigest digest.Digest = "none"

// entityTag is an entity tag, or "*".
type entityTag struct {
	weak   bool
	opaque string // without its quotes
}

// strong returns the digest that the tag matches in a strong comparison.
func (t entityTag) strong() digest.Digest {
	if t.weak {
		return noDigest
	}
	return digest.Digest(t.opaque)
}

// parseETags returns the entity tags in the lines of an If-Match or If-None-Match. ok is false if
// the lines are malformed; tags is then empty. "*" must stand alone.
func parseETags(lines []string) (tags []entityTag, ok bool) {
	rest := strings.Trim(strings.Join(lines, ","), " \t")
	if rest == "*" {
		return []entityTag{{opaque: string(AnyDigest)}}, true
	}
	for {
		rest = strings.TrimLeft(rest, " \t,") // a list may have empty elements
		if rest == "" {
			return tags, true
		}
		var t entityTag
		rest, t.weak = strings.CutPrefix(rest, "W/")
		if rest == "" || rest[0] != '"' {
			return nil, false
		}
		n := strings.IndexByte(rest[1:], '"')
		if n < 0 {
			return nil, false
		}
		t.opaque, rest = rest[1:n+1], strings.TrimLeft(rest[n+2:], " \t")
		if rest != "" && rest[0] != ',' {
			return nil, false
		}
		if t.opaque == string(AnyDigest) { // in quotes it is not the wildcard
			t.opaque = string(noDigest)
		}
		tags = append(tags, t)
	}
}

// matchesStrongly reports whether the lines of an If-Match have the entity tag of a digest. A weak
// tag matches nothing, and neither do malformed lines.
func matchesStrongly(lines []string, d digest.Digest) bool {
	tags, _ := parseETags(lines)
	return slices.ContainsFunc(tags, func(t entityTag) bool { return t.is(d) && !t.weak })
}

// matchesWeakly reports whether the lines of an If-None-Match have the entity tag of a digest, weak
// or strong. Malformed lines match nothing.
func matchesWeakly(lines []string, d digest.Digest) bool {
	tags, _ := parseETags(lines)
	return slices.ContainsFunc(tags, func(t entityTag) bool { return t.is(d) })
}

// is reports whether the tag is that of a digest, or "*".
func (t entityTag) is(d digest.Digest) bool {
	return t.opaque == string(d) || t.opaque == string(AnyDigest)
}
