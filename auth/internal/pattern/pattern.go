// Package pattern compiles and matches patterns of names of repositories, tags and accounts and of
// values of claims, in the syntax that package rules documents. It refuses patterns that cannot match, or that
// do not mean what they look like: they decide about access.
package pattern

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Limits of patterns.
const (
	maxPattern      = 512 // bytes
	maxAlternatives = 64  // of the braces of one pattern
)

// userMark is the text that stands for the name of the caller.
const userMark = "{user}"

// pattern is a compiled pattern without braces. It has the literal parts of its text, because they
// decide about most names without doublestar.
type pattern struct {
	prefix, suffix string // every matching name begins and ends with them; without {user}
	part           string // every matching name contains it; after {user}, if fixed
	slashes        int    // the number of slashes in every matching name; -1: any number
	tail           tail   // the rest after prefix, and after {user} if fixed
	glob           string // for doublestar
	user           bool   // the pattern contains {user}; then, instead of glob:
	fixed          bool   // {user} can only stand right after prefix
	before, after  string // globs of the name up to the first byte of {user}, and from its last byte on
}

// tail is the rest of a pattern after its literal beginning. Names are matched with the usual tails
// without doublestar.
type tail int

const (
	other     tail = iota
	nothing        // ""
	component      // "*"
	below          // "/**"
	anything       // "**", and nothing before it
)

func classifyTail(head, rest string) tail {
	switch {
	case rest == "":
		return nothing
	case rest == "*":
		return component
	case rest == "/**" && head != "":
		return below
	case rest == "**" && head == "":
		return anything
	}
	return other
}

func (t tail) match(rest string) bool {
	switch t {
	case nothing:
		return rest == ""
	case component:
		return strings.IndexByte(rest, '/') < 0
	case below:
		return rest == "" || rest[0] == '/'
	}
	return t == anything
}

// Patterns are compiled patterns. A name matches if one of in and none of out matches. The zero
// Patterns matches nothing.
type Patterns struct{ in, out []pattern }

// Compile compiles texts. A text that begins with "!" is an exception. With an error, it returns the
// index of the text with the mistake, or -1 if the mistake is not in one text.
func (k Kind) Compile(texts []string) (Patterns, int, error) {
	var ps Patterns
	for i, text := range texts {
		text, except := strings.CutPrefix(text, "!")
		list, err := k.parse(text)
		if err != nil {
			return Patterns{}, i, fmt.Errorf("pattern %q: %w", texts[i], err)
		}
		if except {
			ps.out = append(ps.out, list...)
		} else {
			ps.in = append(ps.in, list...)
		}
	}
	if len(ps.in) == 0 && len(ps.out) > 0 {
		return Patterns{}, -1, errors.New(`nothing but exceptions: add the pattern that they restrict, such as "**"`)
	}
	return ps, -1, nil
}

// parse compiles one text.
func (k Kind) parse(text string) ([]pattern, error) {
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case len(text) > maxPattern:
		return nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	case strings.Contains(text, `\`):
		return nil, errors.New("a backslash; a class of one character, such as [*], matches it literally")
	case k != Repository && k != Account && strings.Contains(text, userMark):
		return nil, errors.New("{user} is only for repositories and accounts")
	case strings.Count(text, userMark) > 1:
		return nil, errors.New("{user} occurs more than once")
	}
	texts, err := expand(text)
	if err != nil {
		return nil, err
	}
	list := make([]pattern, len(texts))
	for i, t := range texts {
		if list[i], err = k.compileOne(t); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// compileOne compiles a text without braces other than {user}.
func (k Kind) compileOne(text string) (pattern, error) {
	if err := k.check(text); err != nil {
		return pattern{}, err
	}
	p := pattern{slashes: strings.Count(text, "/")}
	if strings.Contains(text, "**") {
		p.slashes = -1
	}
	text = excludeSlash(text)
	if before, after, ok := strings.Cut(text, userMark); ok {
		p.user, p.before, p.after = true, before+"?", "?"+after
		p.prefix, p.suffix = literalHead(before), literalTail(after)
		p.fixed, p.tail = p.prefix == before, classifyTail(userMark, after)
		if p.fixed {
			p.part = literalHead(after)
		}
		if !doublestar.ValidatePattern(p.before) || !doublestar.ValidatePattern(p.after) {
			return pattern{}, errors.New("it is malformed")
		}
		return p, nil
	}
	if !doublestar.ValidatePattern(text) {
		return pattern{}, errors.New("it is malformed")
	}
	p.prefix, p.suffix, p.glob = literalHead(text), literalTail(text), text
	p.tail = classifyTail(p.prefix, text[len(p.prefix):])
	p.part = literalPart(text)
	return p, nil
}

// Subject is a name to be matched.
type Subject struct {
	Name    string
	slashes int
	user    string // the value of {user}; "" if there is none
}

// NewSubject prepares a name for any number of patterns. user is the value of {user}, or "": patterns
// with {user} then match nothing.
func NewSubject(name, user string) Subject {
	return Subject{name, strings.Count(name, "/"), user}
}

func (p *pattern) match(s *Subject) bool {
	switch {
	case p.slashes >= 0 && p.slashes != s.slashes, !strings.HasPrefix(s.Name, p.prefix),
		!strings.HasSuffix(s.Name, p.suffix):
		return false
	case p.user:
		return s.user != "" && p.matchUser(s)
	case p.tail != other:
		return p.tail.match(s.Name[len(p.prefix):])
	}
	return strings.Contains(s.Name, p.part) && doublestar.MatchUnvalidated(p.glob, s.Name)
}

// matchUser looks for the name of the caller at every possible place in the subject, and matches
// the two globs with what is before and after it. Each glob has a "?" for one byte of that name, so
// that a "**" beside {user} matches as it would in the whole text.
func (p *pattern) matchUser(s *Subject) bool {
	from := len(p.prefix)
	if p.fixed {
		if !strings.HasPrefix(s.Name[from:], s.user) {
			return false
		}
		end := from + len(s.user)
		if p.tail != other {
			return p.tail.match(s.Name[end:])
		}
		return strings.HasPrefix(s.Name[end:], p.part) && doublestar.MatchUnvalidated(p.after, s.Name[end-1:])
	}
	for {
		i := strings.Index(s.Name[from:], s.user)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(s.user)
		if doublestar.MatchUnvalidated(p.before, s.Name[:i+1]) && doublestar.MatchUnvalidated(p.after, s.Name[end-1:]) {
			return true
		}
		from = i + 1
	}
}

// Match reports whether the name matches one of the patterns and none of the exceptions. It allocates
// nothing.
func (ps *Patterns) Match(s *Subject) bool { return matchAny(ps.in, s) && !matchAny(ps.out, s) }

func matchAny(list []pattern, s *Subject) bool {
	for i := range list {
		if list[i].match(s) {
			return true
		}
	}
	return false
}

// All reports whether every name matches, for every caller.
func (ps *Patterns) All() bool {
	for _, p := range ps.in {
		if p.tail == anything {
			return len(ps.out) == 0
		}
	}
	return false
}

// Len returns the number of patterns and exceptions. Each alternative in braces counts.
func (ps *Patterns) Len() int { return len(ps.in) + len(ps.out) }

// User reports whether a pattern or exception contains {user}.
func (ps *Patterns) User() bool {
	user := func(p pattern) bool { return p.user }
	return slices.ContainsFunc(ps.in, user) || slices.ContainsFunc(ps.out, user)
}

// Cost compares lists of one pattern: the one with the lower cost is faster to match.
func (ps *Patterns) Cost() int {
	if len(ps.in) == 0 {
		return 0
	}
	return int(anything - ps.in[0].tail)
}

// AppendPrefixes appends a text that every matching name begins with, for each pattern. user is the
// value of {user}: without it, patterns with {user} match nothing and are left out.
func (ps *Patterns) AppendPrefixes(prefixes []string, user string) []string {
	for i := range ps.in {
		switch p := &ps.in[i]; {
		case !p.user:
			prefixes = append(prefixes, p.prefix)
		case user == "":
		case p.fixed:
			prefixes = append(prefixes, p.prefix+user)
		default:
			prefixes = append(prefixes, p.prefix)
		}
	}
	return prefixes
}
