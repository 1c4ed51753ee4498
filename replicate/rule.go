package replicate

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
)

// Rule selects the repositories and tags of a [Sync].
type Rule struct {
	// Repositories are patterns of repositories of the source, or names. In a pattern, "*" matches
	// any characters but "/", "**" any number of components, "?" one character, and "[a-z]" and
	// "{a,b}" one of several. A pattern that begins with "!" excludes what it matches. If all of them
	// are names, the source needs no catalog. Required.
	Repositories []string
	// Tags are patterns of tags, of the same form. Default: all, unless Semver is set.
	Tags []string
	// Semver is a constraint on tags that are semantic versions, such as ">=1.2 <2" or "~1.4 || 2.x",
	// in the syntax of github.com/Masterminds/semver. It selects tags in addition to Tags, except
	// those that a pattern with "!" excludes. A "v" before the version and missing parts are
	// accepted, and "_" stands for the "+" that no tag can contain. Pre-releases, such as 1.2.0-rc1
	// or 1.2.0-alpine, are selected only if the constraint names one, such as ">=1.2-0". Default:
	// none.
	Semver string
	// Newest limits the tags to this number of the highest versions, or the last in byte order if
	// they are not versions. Versions come before other tags. Default: 0, no limit.
	Newest int
	// To maps the name of a repository to that at the destination. Default: the same name.
	To func(repo string) string
	// Delete removes tags at the destination, in the repositories that the rule selects, that the
	// source does not have. Only tags that the rule selects are removed, whatever Newest says, and
	// only while they point at the manifest that Sync has seen: the destination must support
	// registry.DeleteOptions.If. A repository that the source no longer has is left alone. Two
	// repositories must not have the same destination. Default: false.
	Delete bool
	// DryRun reports and changes nothing.
	DryRun bool
	// Options are those of each copy. To is not used.
	Options *Options
}

// selection is a Rule that has been checked.
type selection struct {
	Rule
	repositories glob.List
	names        []string // of repositories, if no pattern needs the catalog
	tags         glob.List
	excluded     glob.List // used if hasExcluded
	hasTags      bool      // whether Tags has patterns that select
	hasExcluded  bool      // whether Tags has patterns that exclude
	constraint   *semver.Constraints
}

// newSelection checks a rule.
func newSelection(r Rule) (*selection, error) {
	s := &selection{Rule: r}
	var err error
	if len(r.Repositories) == 0 {
		return nil, errors.New("no repositories")
	}
	if s.repositories, _, err = glob.NewRepositories(r.Repositories); err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	if r.Newest < 0 {
		return nil, errors.New("negative Newest")
	}
	s.names = plainNames(r.Repositories)
	var in, out []string
	for _, p := range r.Tags {
		if except, ok := strings.CutPrefix(p, "!"); ok {
			out = append(out, except)
		} else {
			in = append(in, p)
		}
	}
	s.hasTags, s.hasExcluded = len(in) > 0, len(out) > 0
	if s.tags, _, err = glob.NewList(in); err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	if s.excluded, _, err = glob.NewList(out); err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	if r.Semver != "" {
		if s.constraint, err = semver.NewConstraint(r.Semver); err != nil {
			return nil, fmt.Errorf("semver constraint %s: %w", reference.Quote(r.Semver), err)
		}
	}
	_, _, err = withDefaults(r.Options)
	return s, err
}

// retries returns Options.Retries of the rule, or its default.
func (s *selection) retries() int {
	o, _, _ := withDefaults(s.Options) // newSelection has checked them
	return o.Retries
}

// plainNames returns the names of repositories, or nil if there are patterns that need the catalog.
func plainNames(patterns []string) []string {
	var names []string
	for _, p := range patterns {
		switch {
		case strings.HasPrefix(p, "!"):
		case reference.CheckName(p) != nil:
			return nil
		default:
			names = append(names, p)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// selectsTag reports whether the rule selects a tag, apart from Newest.
func (s *selection) selectsTag(tag string) bool {
	if s.hasExcluded && s.excluded.Selects(tag) || s.isAttached(tag) {
		return false
	}
	if !s.hasTags && s.constraint == nil {
		return true
	}
	if s.hasTags && s.tags.Selects(tag) {
		return true
	}
	v := versionOf(tag)
	return s.constraint != nil && v != nil && s.constraint.Check(v)
}

// isAttached reports whether a tag is copied together with the image that it belongs to, or would
// count as one of the newest.
func (s *selection) isAttached(tag string) bool {
	if s.Newest == 0 && (s.Options == nil || !s.Options.Referrers) {
		return false
	}
	_, suffix, ok := subjecttag.Parse(tag)
	return ok && (suffix == "" || slices.Contains(cosignSuffixes(), suffix))
}

// versionOf returns the version that a tag states, or nil.
func versionOf(tag string) *semver.Version {
	v, err := semver.NewVersion(strings.Replace(tag, "_", "+", 1))
	if err != nil {
		return nil
	}
	return v
}

// newest returns the tags that Newest leaves, in byte order.
func (s *selection) newest(tags []string) []string {
	if s.Newest == 0 || len(tags) <= s.Newest {
		return tags
	}
	type ranked struct {
		tag string
		v   *semver.Version
	}
	all := make([]ranked, len(tags))
	for i, tag := range tags {
		all[i] = ranked{tag, versionOf(tag)}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		switch {
		case a.v != nil && b.v != nil:
			return cmp.Or(b.v.Compare(a.v), cmp.Compare(b.tag, a.tag))
		case a.v != nil:
			return -1
		case b.v != nil:
			return 1
		}
		return cmp.Compare(b.tag, a.tag)
	})
	left := make([]string, 0, s.Newest)
	for _, r := range all[:s.Newest] {
		left = append(left, r.tag)
	}
	slices.Sort(left)
	return left
}
