package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// candidate is an item that a rule covers.
type candidate struct {
	*item
	version *semver.Version // if the rule asks
	group   string          // "" if the rule makes no groups
	rank    string          // why it is among those that stay by their number; "" if it is not
}

// covers returns those items that the rule covers, as far as names say.
func (r *rule) covers(open []*item) []*candidate {
	var all []*candidate
	for _, t := range open {
		if !r.untagged && !r.tags.Selects(t.tag) {
			continue
		}
		c := &candidate{item: t}
		if r.keep.needsVersion() {
			if c.version = versionOf(t.tag); c.version == nil {
				continue
			}
			c.group = r.keep.per.of(c.version)
		}
		if r.keep.group != nil {
			match := r.keep.group.FindStringSubmatch(t.tag)
			if match == nil {
				continue
			}
			name := strings.Join(match[1:], "/") // no tag has a slash
			if c.group != "" {
				name += " " + c.group
			}
			c.group = name
		}
		all = append(all, c)
	}
	return all
}

// versionOf returns the semantic version that a tag states, or nil. All three numbers must be
// there: 1.2 is a name for the newest of several versions. A "v" may come before the version, and
// "_" stands for the "+" that no tag can contain.
func versionOf(tag string) *semver.Version {
	v, err := semver.StrictNewVersion(strings.Replace(strings.TrimPrefix(tag, "v"), "_", "+", 1))
	if err != nil {
		return nil
	}
	return v
}

// of returns the part of a version that it shares with others of its group.
func (l level) of(v *semver.Version) string {
	switch l {
	case levelMajor:
		return fmt.Sprint(v.Major())
	case levelMinor:
		return fmt.Sprint(v.Major(), ".", v.Minor())
	case levelPatch:
		return fmt.Sprint(v.Major(), ".", v.Minor(), ".", v.Patch())
	case levelNone:
	}
	return ""
}

// rank finds the candidates that stay by their number: the newest or the highest versions of each
// group. A tag that is gone takes no place: what others have removed meanwhile must not leave fewer
// than that number.
func (k *keep) rank(all []*candidate) {
	if k.newest+k.versions == 0 {
		return
	}
	sorted := slices.DeleteFunc(slices.Clone(all), func(c *candidate) bool { return c.removed })
	slices.SortFunc(sorted, func(a, b *candidate) int {
		order := 0
		if k.versions > 0 {
			order = b.version.Compare(a.version)
		}
		return cmp.Or(cmp.Compare(a.group, b.group), order, b.since().Compare(a.since()), cmp.Compare(b.tag, a.tag),
			cmp.Compare(b.digest, a.digest))
	})
	group, number := "", 0
	for i, c := range sorted {
		var before *candidate
		if i > 0 && c.group == group {
			before = sorted[i-1]
		}
		if before == nil {
			group, number = c.group, 0
		}
		// Tags of the same version count once.
		if k.newest > 0 || before == nil || !c.version.Equal(before.version) {
			number++
		}
		if number <= k.newest+k.versions {
			c.rank = k.words(c.group)
		}
	}
}

// words says why a candidate stays by its number.
func (k *keep) words(group string) string {
	text := fmt.Sprintf("one of the newest %d", k.newest)
	switch {
	case k.newest == 1:
		text = "the newest"
	case k.versions == 1:
		text = "the highest version"
	case k.versions > 0:
		text = fmt.Sprintf("one of the highest %d versions", k.versions)
	}
	if group != "" {
		text += " of " + group
	}
	return text
}
