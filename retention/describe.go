package retention

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/registrykit/registry/internal/duration"
)

// Description is a rule as its file states it, for display. Absent fields are not given.
type Description struct {
	// Name is the name of the rule.
	Name string
	// Repositories and Tags are patterns. None means that the rule covers all.
	Repositories, Tags []string
	// Untagged reports whether the rule is about untagged manifests.
	Untagged bool
	// If are the conditions that must hold, and Keep is what stays. A condition has the name of its
	// field in the file. "all" and "none" are conditions of Keep without values.
	If, Keep []Condition
}

// Condition is a condition of a [Description], such as "youngerThan" with the value "30d". A label or
// annotation has one value for each pattern, in the form "name=pattern".
type Condition struct {
	Name   string
	Values []string
}

// Describe returns the rules for display, in their order.
func (r *Rules) Describe() []Description {
	all := make([]Description, len(r.list))
	for i, rule := range r.list {
		all[i] = Description{Name: rule.name, Repositories: rule.repositories.Patterns(), Tags: rule.tags.Patterns(),
			Untagged: rule.untagged, If: rule.when.describe(), Keep: rule.keep.describe()}
	}
	return all
}

// describe returns what stays.
func (k *keep) describe() (all []Condition) {
	add := func(given bool, name string, values ...string) {
		if given {
			all = append(all, Condition{Name: name, Values: values})
		}
	}
	add(k.all, "all")
	add(k.none, "none")
	add(k.newest > 0, "newest", strconv.Itoa(k.newest))
	add(k.versions > 0, "versions", strconv.Itoa(k.versions))
	add(k.per != levelNone, "per", string(k.per))
	if k.group != nil {
		add(true, "group", k.group.String())
	}
	return append(all, k.any.describe()...)
}

// describe returns the conditions that are given.
func (c *conditions) describe() (all []Condition) {
	for _, one := range []struct {
		name string
		d    *time.Duration
	}{
		{"youngerThan", c.youngerThan}, {"olderThan", c.olderThan}, {"pulledWithin", c.pulledWithin},
		{"notPulledWithin", c.notPulledWithin},
	} {
		if one.d != nil {
			all = append(all, Condition{one.name, []string{duration.Format(*one.d)}})
		}
	}
	for _, one := range []struct {
		name    string
		matches []textMatch
	}{{"labels", c.labels}, {"annotations", c.annotations}} {
		var values []string
		for _, m := range one.matches {
			for _, pattern := range m.values.Patterns() {
				values = append(values, m.key+"="+pattern)
			}
		}
		if values != nil {
			all = append(all, Condition{one.name, values})
		}
	}
	if len(c.platforms) > 0 {
		var values []string
		for _, p := range c.platforms {
			values = append(values, fmt.Sprint(p))
		}
		all = append(all, Condition{"platforms", values})
	}
	if c.artifactTypes != nil {
		all = append(all, Condition{"artifactTypes", c.artifactTypes.Patterns()})
	}
	for _, one := range []struct {
		name string
		is   *bool
	}{{"signed", c.signed}, {"referenced", c.referenced}} {
		if one.is != nil {
			all = append(all, Condition{one.name, []string{strconv.FormatBool(*one.is)}})
		}
	}
	return slices.Clip(all)
}
