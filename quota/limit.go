package quota

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
)

// Amounts are what a prefix of repository names has, or may have.
type Amounts struct {
	// Bytes is the size of the blobs and manifests, each once in the prefix, in bytes.
	Bytes int64 `json:"bytes,omitempty"`
	// Repositories is the number of repositories that have a blob or manifest.
	Repositories int64 `json:"repositories,omitempty"`
	// Manifests is the number of manifests, each once in the prefix.
	Manifests int64 `json:"manifests,omitempty"`
	// Tags is the number of tags.
	Tags int64 `json:"tags,omitempty"`
}

// Resource is one of the Amounts.
type Resource string

// The resources.
const (
	Bytes        Resource = "bytes"
	Repositories Resource = "repositories"
	Manifests    Resource = "manifests"
	Tags         Resource = "tags"
)

// resources are all resources, in the order in which they are checked.
func resources() [4]Resource { return [...]Resource{Bytes, Repositories, Manifests, Tags} }

// Of returns the amount of a resource.
func (a Amounts) Of(r Resource) int64 { return *a.at(r) }

func (a *Amounts) at(r Resource) *int64 {
	switch r {
	case Bytes:
		return &a.Bytes
	case Repositories:
		return &a.Repositories
	case Manifests:
		return &a.Manifests
	}
	return &a.Tags
}

// plus returns the sum. A client can announce any length, so a sum stops at the largest number.
func (a Amounts) plus(b Amounts) Amounts {
	for _, r := range resources() {
		p, n := a.at(r), b.Of(r)
		if *p > math.MaxInt64-n {
			*p = math.MaxInt64
		} else {
			*p += n
		}
	}
	return a
}

// minus returns the difference, with 0 instead of a negative number.
func (a Amounts) minus(b Amounts) Amounts {
	for _, r := range resources() {
		p := a.at(r)
		*p = max(*p-b.Of(r), 0)
	}
	return a
}

// only returns the amounts of the resources of which mask has any.
func (a Amounts) only(mask Amounts) Amounts {
	for _, r := range resources() {
		if mask.Of(r) == 0 {
			*a.at(r) = 0
		}
	}
	return a
}

// Limit is the limit of a prefix, or of each prefix that matches a pattern.
type Limit struct {
	// Prefix consists of whole components of repository names: "team" covers team, team/app and
	// team/app/web, and not teams. "" covers all repositories. A component with one of * ? [ ] { }
	// is a pattern, see package filter/glob, and each prefix that matches has a limit of its own:
	// "users/*" covers users/ann and users/ann/app, and not users. "**" is not permitted.
	Prefix string
	// Max are the limits that pushes are refused for. Zero means no limit.
	Max Amounts
	// Soft are limits that are reported to Options.Soft when they are exceeded. Zero means none.
	Soft Amounts
	// Unlimited states that the prefix has no limit, so that later entries do not cover it. Max and
	// Soft must be zero.
	Unlimited bool
}

// Limits are an ordered list of limits.
type Limits struct{ rules []rule }

// rule is a checked Limit.
type rule struct {
	Limit
	components []string
	each       bool // a component is a pattern
}

// NewLimits checks limits. The first one that covers a repository applies to it, and only that one.
//
// Errors: an error for a prefix that is malformed, for one that an earlier entry covers completely,
// for a negative number, and for an entry that states neither a limit nor Unlimited.
func NewLimits(limits []Limit) (*Limits, error) {
	l := &Limits{}
	for i, limit := range limits {
		if err := l.add(limit); err != nil {
			return nil, fmt.Errorf("quota: limit %d: %w", i+1, err)
		}
	}
	return l, nil
}

// add checks a limit and appends it.
func (l *Limits) add(limit Limit) error {
	r := rule{Limit: limit}
	if limit.Prefix != "" {
		r.components = strings.Split(limit.Prefix, "/")
		r.each = strings.ContainsAny(limit.Prefix, `*?[]{}\`)
	}
	if err := r.check(); err != nil {
		return err
	}
	for _, earlier := range l.rules {
		if slices.Equal(earlier.components, r.components) || !r.each && earlier.covers(r.components) ||
			len(earlier.components) == 0 {
			return fmt.Errorf("prefix %q has no effect, because the entry of %q comes first", limit.Prefix, earlier.Prefix)
		}
	}
	l.rules = append(l.rules, r)
	return nil
}

func (r *rule) check() error {
	if err := r.checkPrefix(); err != nil {
		return err
	}
	for _, resource := range resources() {
		if r.Max.Of(resource) < 0 || r.Soft.Of(resource) < 0 {
			return fmt.Errorf("%s is negative", resource)
		}
	}
	switch limited := r.counts() != (Amounts{}); {
	case limited && r.Unlimited:
		return errors.New("unlimited contradicts a limit")
	case !limited && !r.Unlimited:
		return errors.New("neither a limit nor unlimited")
	}
	return nil
}

func (r *rule) checkPrefix() error {
	if r.Prefix == "" {
		return nil
	}
	if !r.each {
		if err := reference.CheckName(r.Prefix); err != nil {
			return fmt.Errorf("prefix %.64q: %w", r.Prefix, err)
		}
		return nil
	}
	if len(r.Prefix) > glob.MaxPattern {
		return fmt.Errorf("prefix %.64q: longer than %d bytes", r.Prefix, glob.MaxPattern)
	}
	for _, c := range r.components {
		if strings.Contains(c, "**") {
			return fmt.Errorf("prefix %.64q: ** is not permitted", r.Prefix)
		}
		if err := glob.CheckRepository(c); err != nil {
			return fmt.Errorf("prefix %.64q: %w", r.Prefix, err)
		}
	}
	return nil
}

// counts has a number other than zero for each resource that is limited.
func (r *rule) counts() Amounts { return r.Max.plus(r.Soft) }

// covers reports whether the first components of a name are a prefix of the rule.
func (r *rule) covers(name []string) bool {
	return len(name) >= len(r.components) && r.matches(name[:len(r.components)])
}

// matches reports whether as many components as the rule has match those of the rule.
func (r *rule) matches(name []string) bool {
	for i, c := range r.components {
		if c != name[i] && (!r.each || !glob.Match(c, name[i])) {
			return false
		}
	}
	return true
}

// Prefix returns the prefix whose limit applies to a repository. ok is false if it has no limit.
func (l *Limits) Prefix(repo string) (prefix string, ok bool) {
	r, prefix := l.of(repo)
	return prefix, r != nil
}

// List returns the limits in their order.
func (l *Limits) List() []Limit {
	limits := make([]Limit, len(l.rules))
	for i, r := range l.rules {
		limits[i] = r.Limit
	}
	return limits
}

// of returns the rule of a repository, or nil if it has no limit, and its prefix.
func (l *Limits) of(repo string) (*rule, string) {
	name := strings.Split(repo, "/")
	for i := range l.rules {
		if r := &l.rules[i]; r.covers(name) {
			if r.Unlimited {
				return nil, ""
			}
			return r, strings.Join(name[:len(r.components)], "/")
		}
	}
	return nil, ""
}

// ofPrefix returns the rule of a prefix, such as users/ann for users/*, or nil if there is none.
func (l *Limits) ofPrefix(prefix string) *rule {
	var name []string
	if prefix != "" {
		name = strings.Split(prefix, "/")
	}
	for i := range l.rules {
		switch r := &l.rules[i]; {
		case len(r.components) == len(name) && r.matches(name):
			if r.Unlimited {
				return nil
			}
			return r
		case r.covers(name):
			return nil // an earlier rule covers all of the prefix
		}
	}
	return nil
}

// keyPrefix is the prefix of all keys: q/<R>/<coverage>. R is the prefix as objectkey.Escape returns
// it, and noPrefix for "".
const (
	keyPrefix = "q/"
	noPrefix  = "~"
)

// escapedPrefix returns a prefix as it is in keys.
func escapedPrefix(prefix string) string {
	if prefix == "" {
		return noPrefix
	}
	return objectkey.Escape(prefix)
}

// key returns the key of the record of a prefix of the rule. It contains a hash of what the figure
// counts: the resources, and the earlier entries that take repositories out of the prefix. So another
// list of limits never takes over a figure that means something else.
func (l *Limits) key(r *rule, prefix string) string {
	var name []string
	if prefix != "" {
		name = strings.Split(prefix, "/")
	}
	h := sha256.New()
	for _, resource := range resources() {
		if r.counts().Of(resource) > 0 {
			fmt.Fprintf(h, "%s\n", resource)
		}
	}
	for i := range l.rules {
		e := &l.rules[i]
		if e == r {
			break
		}
		n := len(name)
		if len(e.components) > n && (&rule{components: e.components[:n], each: e.each}).matches(name) {
			fmt.Fprintf(h, "except %q\n", e.Prefix)
		}
	}
	return keyPrefix + escapedPrefix(prefix) + "/" + hex.EncodeToString(h.Sum(nil)[:8])
}
