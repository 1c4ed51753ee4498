package retention

import (
	"fmt"
	"regexp"
	"time"

	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/platform"
	"github.com/registrykit/registry/internal/strictyaml"
)

// MaxRulesSize is the maximum size of a file with rules, in bytes.
const MaxRulesSize = 1 << 20

// Rules are the rules of a file. They do not change.
type Rules struct {
	name string
	text string
	list []*rule
}

// Load reads rules from a YAML file. See "The file" in the package comment.
//
// Errors: an error for the first mistake, with the file and line; an error for a file that cannot
// be read or has more than MaxRulesSize bytes.
func Load(path string) (*Rules, error) {
	content, err := strictyaml.ReadFile(path, MaxRulesSize)
	if err != nil {
		return nil, fmt.Errorf("retention: %w", err)
	}
	return Parse(path, content)
}

// Parse reads rules from YAML. name is the name of the file, for errors and for plans.
//
// Errors: those of [Load].
func Parse(name string, content []byte) (*Rules, error) {
	list, err := parseRules(name, content)
	if err != nil {
		return nil, fmt.Errorf("retention: %w", err)
	}
	return &Rules{name: name, text: string(content), list: list}, nil
}

// Name returns the name of the file that the rules are from.
func (r *Rules) Name() string { return r.name }

// Text returns the content of the file. Plans contain it.
func (r *Rules) Text() string { return r.text }

// Names returns the names of the rules, in their order.
func (r *Rules) Names() []string {
	names := make([]string, len(r.list))
	for i, rule := range r.list {
		names[i] = rule.name
	}
	return names
}

// rule decides about the tags, or the untagged manifests, that it covers.
type rule struct {
	name  string
	place string // of the rule, "file:line"

	repositories glob.List
	tags         glob.List
	everywhere   bool // it has no patterns
	untagged     bool
	when         conditions // all must hold
	keep         keep
}

// keep says what stays of what a rule covers. The rest goes.
type keep struct {
	all, none bool
	newest    int            // by the time the tag was set; 0 if not given
	versions  int            // by semantic version; 0 if not given
	per       level          // of semantic versions; levelNone if not given
	group     *regexp.Regexp // nil if not given
	any       conditions     // one is enough
}

// level is a part of a semantic version.
type level string

const (
	levelNone  level = ""
	levelMajor level = "major"
	levelMinor level = "minor"
	levelPatch level = "patch"
)

// needsVersion reports whether the rule covers only tags that are versions.
func (k *keep) needsVersion() bool { return k.versions > 0 || k.per != levelNone }

// conditions are what a rule asks about a tag or manifest. A zero field is not asked.
type conditions struct {
	youngerThan     *time.Duration
	olderThan       *time.Duration
	pulledWithin    *time.Duration
	notPulledWithin *time.Duration
	labels          []textMatch
	annotations     []textMatch
	platforms       []platform.Platform
	artifactTypes   *glob.List
	signed          *bool
	referenced      *bool
}

// textMatch is a condition on one label or annotation.
type textMatch struct {
	key    string
	values glob.List
	any    bool // the label must be there, whatever it says
}

// empty reports whether nothing is asked.
func (c *conditions) empty() bool {
	return c.youngerThan == nil && c.olderThan == nil && !c.asksPulls() && !c.asksFacts() && !c.asksGraph()
}

func (c *conditions) asksAge() bool   { return c.youngerThan != nil || c.olderThan != nil }
func (c *conditions) asksPulls() bool { return c.pulledWithin != nil || c.notPulledWithin != nil }
func (c *conditions) asksGraph() bool { return c.signed != nil || c.referenced != nil }

// asksFacts reports whether the answer needs the manifest or the configuration of an image.
func (c *conditions) asksFacts() bool {
	return len(c.labels) > 0 || len(c.annotations) > 0 || len(c.platforms) > 0 || c.artifactTypes != nil
}

// asksConfig reports whether the answer needs the configuration of an image.
func (c *conditions) asksConfig() bool { return len(c.labels) > 0 || len(c.platforms) > 0 }

// asks reports whether one of the conditions of the rule is of a kind.
func (r *rule) asks(kind func(*conditions) bool) bool { return kind(&r.when) || kind(&r.keep.any) }
