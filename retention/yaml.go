package retention

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/internal/duration"
	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/internal/platform"
	"github.com/registrykit/registry/internal/strictyaml"
)

const (
	// maxRules is the maximum number of rules of a file.
	maxRules = 1000
	// maxExpression is the maximum length of a regular expression, in bytes.
	maxExpression = 512
)

// parser reads the nodes of a file with rules.
type parser struct{ strictyaml.Parser }

// parseRules reads and checks the rules of a file.
func parseRules(name string, content []byte) ([]*rule, error) {
	p := &parser{strictyaml.Parser{
		Prefix: name + ":", Max: MaxRulesSize, Empty: `it is empty; "rules: []" lets everything stay`,
	}}
	root, err := p.Load(content)
	if err != nil {
		return nil, err
	}
	fields, err := p.Mapping(root, "rules")
	if err != nil {
		return nil, err
	}
	list := fields["rules"]
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, p.Errorf(root, "no list of rules")
	}
	if len(list.Content) > maxRules {
		return nil, p.Errorf(list, "more than %d rules", maxRules)
	}
	rules := make([]*rule, len(list.Content))
	names := map[string]bool{}
	for i, n := range list.Content {
		if rules[i], err = p.rule(n); err != nil {
			return nil, err
		}
		if names[rules[i].name] {
			return nil, p.Errorf(n, "a second rule with the name %q", rules[i].name)
		}
		names[rules[i].name] = true
		if by := hiddenBy(rules[:i], rules[i]); by != nil {
			return nil, p.Errorf(n, "this rule decides about nothing, because rule %q covers everything before it", by.name)
		}
	}
	return rules, nil
}

// hiddenBy returns an earlier rule that covers everything that r could cover, or nil.
func hiddenBy(earlier []*rule, r *rule) *rule {
	for _, e := range earlier {
		if e.everywhere && e.untagged == r.untagged && e.when.empty() && !e.keep.needsVersion() && e.keep.group == nil {
			return e
		}
	}
	return nil
}

// rule reads one rule.
func (p *parser) rule(n *yaml.Node) (*rule, error) {
	fields, err := p.Mapping(n, "name", "repositories", "tags", "untagged", "if", "keep")
	if err != nil {
		return nil, err
	}
	r := &rule{place: fmt.Sprint(p.Prefix, n.Line)}
	if r.name, err = p.ruleName(n, fields["name"]); err != nil {
		return nil, err
	}
	if err := p.selection(r, fields); err != nil {
		return nil, err
	}
	if when := fields["if"]; when != nil {
		if r.when, err = p.conditions(when, whenKeys()); err != nil {
			return nil, err
		}
	}
	if fields["keep"] == nil {
		return nil, p.Errorf(n, `a rule without keep: it says what stays, such as "keep: all" or "keep: {newest: 10}"`)
	}
	if err := p.keep(fields["keep"], &r.keep); err != nil {
		return nil, err
	}
	return r, p.check(r, fields)
}

// ruleName reads the name of the rule n.
func (p *parser) ruleName(n, value *yaml.Node) (string, error) {
	if value == nil {
		return "", p.Errorf(n, "a rule without a name: plans say by which rule something goes")
	}
	name, err := p.Text(value)
	if err != nil {
		return "", err
	}
	const maxName = 100
	if name != strings.TrimSpace(name) || name == "" || len(name) > maxName || strings.ContainsFunc(name, unprintable) {
		return "", p.Errorf(value, "a name has 1 to %d bytes, in one line, without spaces around it", maxName)
	}
	return name, nil
}

func unprintable(c rune) bool { return !unicode.IsPrint(c) }

// selection reads what a rule covers by name.
func (p *parser) selection(r *rule, fields map[string]*yaml.Node) (err error) {
	r.everywhere = true
	if n := fields["repositories"]; n != nil {
		r.everywhere = false
		if r.repositories, err = p.globs(n, glob.NewRepositories, ":", "the name of a repository"); err != nil {
			return err
		}
	}
	if n := fields["tags"]; n != nil {
		r.everywhere = false
		if r.tags, err = p.globs(n, glob.NewList, ":/", "a tag"); err != nil {
			return err
		}
	}
	n := fields["untagged"]
	if n == nil {
		return nil
	}
	if r.untagged, err = p.boolean(n); err != nil {
		return err
	}
	switch {
	case !r.untagged:
		return p.Errorf(n, "rules are about tags unless this is true; leave it out")
	case fields["tags"] != nil:
		return p.Errorf(fields["tags"], "a rule about untagged manifests has no patterns of tags")
	}
	return nil
}

// globs reads one pattern or a list of patterns, without the characters that what they match cannot
// have.
func (p *parser) globs(n *yaml.Node, list func([]string) (glob.List, int, error),
	without, of string) (glob.List, error) {
	texts, lines, err := p.Texts(n)
	if err != nil {
		return glob.List{}, err
	}
	for i, text := range texts {
		if strings.ContainsAny(text, without) {
			return glob.List{}, p.Errorf(&yaml.Node{Line: lines[i]}, "pattern %.64q: %s has none of %q", text, of, without)
		}
	}
	l, at, err := list(texts)
	if err != nil {
		return glob.List{}, p.Errorf(&yaml.Node{Line: lines[at]}, "%w", err)
	}
	return l, nil
}

// The keys of conditions, in the order of documentation.
func whenKeys() []string {
	return []string{"youngerThan", "olderThan", "pulledWithin", "notPulledWithin", "labels", "annotations", "platforms",
		"artifactTypes", "signed", "referenced"}
}

func keepKeys() []string {
	return []string{"youngerThan", "pulledWithin", "labels", "annotations", "platforms", "artifactTypes", "signed",
		"referenced"}
}

// conditions reads conditions with some of the known keys.
func (p *parser) conditions(n *yaml.Node, known []string) (c conditions, err error) {
	fields, err := p.Mapping(n, known...)
	if err != nil {
		return c, err
	}
	if len(fields) == 0 {
		return c, p.Errorf(n, "this is empty")
	}
	return c, p.readConditions(fields, &c)
}

// readConditions reads those fields that are conditions.
func (p *parser) readConditions(fields map[string]*yaml.Node, c *conditions) (err error) {
	for key, to := range map[string]**time.Duration{
		"youngerThan": &c.youngerThan, "olderThan": &c.olderThan, "pulledWithin": &c.pulledWithin,
		"notPulledWithin": &c.notPulledWithin,
	} {
		if n := fields[key]; n != nil {
			if *to, err = p.duration(n); err != nil {
				return err
			}
		}
	}
	for key, to := range map[string]**bool{"signed": &c.signed, "referenced": &c.referenced} {
		if n := fields[key]; n != nil {
			b, err := p.boolean(n)
			if err != nil {
				return err
			}
			*to = &b
		}
	}
	for key, to := range map[string]*[]textMatch{"labels": &c.labels, "annotations": &c.annotations} {
		if n := fields[key]; n != nil {
			if *to, err = p.textMatches(n); err != nil {
				return err
			}
		}
	}
	if n := fields["platforms"]; n != nil {
		if c.platforms, err = p.platforms(n); err != nil {
			return err
		}
	}
	if n := fields["artifactTypes"]; n != nil {
		l, err := p.globs(n, glob.NewList, "", "")
		if err != nil {
			return err
		}
		c.artifactTypes = &l
	}
	return nil
}

// textMatches reads patterns of values by key.
func (p *parser) textMatches(n *yaml.Node) ([]textMatch, error) {
	fields, err := p.Mapping(n)
	if err != nil {
		return nil, err
	}
	if len(fields) == 0 {
		return nil, p.Errorf(n, "this is empty")
	}
	var all []textMatch
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := p.Text(n.Content[i])
		if err != nil {
			return nil, err
		}
		if key == "" {
			return nil, p.Errorf(n.Content[i], "the name is empty")
		}
		m := textMatch{key: key}
		if m.values, err = p.globs(n.Content[i+1], glob.NewList, "", ""); err != nil {
			return nil, err
		}
		m.any = n.Content[i+1].Kind == yaml.ScalarNode && n.Content[i+1].Value == "**"
		all = append(all, m)
	}
	return all, nil
}

func (p *parser) platforms(n *yaml.Node) ([]platform.Platform, error) {
	texts, lines, err := p.Texts(n)
	if err != nil {
		return nil, err
	}
	var all []platform.Platform
	for i, text := range texts {
		one, err := platform.Parse(text)
		if err != nil {
			return nil, p.Errorf(&yaml.Node{Line: lines[i]}, "%w", err)
		}
		all = append(all, one)
	}
	return all, nil
}

// keep reads what stays.
func (p *parser) keep(n *yaml.Node, k *keep) (err error) {
	if n.Kind != yaml.MappingNode {
		text, err := p.Text(n)
		if err != nil {
			return err
		}
		if k.all, k.none = text == "all", text == "none"; !k.all && !k.none {
			return p.Errorf(n, `%.64q is neither "all" nor "none", nor fields such as {newest: 10}`, text)
		}
		return nil
	}
	fields, err := p.Mapping(n, append([]string{"newest", "versions", "per", "group"}, keepKeys()...)...)
	if err != nil {
		return err
	}
	if len(fields) == 0 {
		return p.Errorf(n, `this is empty; "keep: none" lets everything go that the rule covers`)
	}
	for key, to := range map[string]*int{"newest": &k.newest, "versions": &k.versions} {
		if n := fields[key]; n != nil {
			if *to, err = p.number(n); err != nil {
				return err
			}
		}
	}
	if err := p.groups(fields, k); err != nil {
		return err
	}
	return p.readConditions(fields, &k.any)
}

// groups reads how a rule divides tags into groups.
func (p *parser) groups(fields map[string]*yaml.Node, k *keep) (err error) {
	per, group := fields["per"], fields["group"]
	if per != nil {
		text, err := p.Text(per)
		if err != nil {
			return err
		}
		levels := []level{levelMajor, levelMinor, levelPatch}
		if k.per = level(text); !slices.Contains(levels, k.per) {
			return p.Errorf(per, "%.64q is not one of %q", text, levels)
		}
	}
	if group != nil {
		if k.group, err = p.expression(group); err != nil {
			return err
		}
	}
	switch {
	case k.newest > 0 && k.versions > 0:
		return p.Errorf(fields["versions"], "either newest or versions: make two rules of it")
	case k.newest+k.versions == 0 && per != nil:
		return p.Errorf(per, "per needs newest or versions: how many of each version?")
	case k.newest+k.versions == 0 && group != nil:
		return p.Errorf(group, "group needs newest or versions: how many of each group?")
	}
	return nil
}

// expression reads a regular expression with a group, in parentheses.
func (p *parser) expression(n *yaml.Node) (*regexp.Regexp, error) {
	text, err := p.Text(n)
	switch {
	case err != nil:
		return nil, err
	case text == "":
		return nil, p.Errorf(n, "this is empty")
	case len(text) > maxExpression:
		return nil, p.Errorf(n, "longer than %d bytes", maxExpression)
	}
	e, err := regexp.Compile(text)
	if err != nil {
		return nil, p.Errorf(n, "regular expression: %w", err)
	}
	if e.NumSubexp() == 0 {
		return nil, p.Errorf(n, "parentheses must enclose the part that names the group, as in '^(.*)-[0-9a-f]+$'")
	}
	return e, nil
}

func (p *parser) boolean(n *yaml.Node) (bool, error) {
	text, err := p.Text(n)
	if err != nil {
		return false, err
	}
	if text != "true" && text != "false" {
		return false, p.Errorf(n, "%.64q is neither true nor false", text)
	}
	return text == "true", nil
}

// number reads a number above zero.
func (p *parser) number(n *yaml.Node) (int, error) {
	text, err := p.Text(n)
	if err != nil {
		return 0, err
	}
	i, err := strconv.ParseUint(text, 10, 31)
	if err != nil || i == 0 {
		return 0, p.Errorf(n, "%.64q is not a number above zero", text)
	}
	return int(i), nil
}

// duration reads a duration above zero.
func (p *parser) duration(n *yaml.Node) (*time.Duration, error) {
	text, err := p.Text(n)
	if err != nil {
		return nil, err
	}
	d, err := duration.Parse(text)
	if err == nil && d == 0 {
		return nil, p.Errorf(n, "this must be above zero")
	}
	if err != nil {
		return nil, p.Errorf(n, "%.64q: %w", text, err)
	}
	return &d, nil
}
