package rules

import (
	"errors"
	"fmt"
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

// patterns are the patterns of one field. A name matches if one of in and none of out matches.
type patterns struct{ in, out []pattern }

// compile compiles the texts of one field. With an error, it returns the index of the text with the
// mistake, or -1 if the mistake is not in one text.
func (k kind) compile(texts []string) (patterns, int, error) {
	var ps patterns
	for i, text := range texts {
		text, except := strings.CutPrefix(text, "!")
		list, err := k.parse(text)
		if err != nil {
			return patterns{}, i, fmt.Errorf("pattern %q: %w", texts[i], err)
		}
		if except {
			ps.out = append(ps.out, list...)
		} else {
			ps.in = append(ps.in, list...)
		}
	}
	if len(ps.in) == 0 && len(ps.out) > 0 {
		return patterns{}, -1, errors.New(`nothing but exceptions: add the pattern that they restrict, such as "**"`)
	}
	return ps, -1, nil
}

// parse compiles one text.
func (k kind) parse(text string) ([]pattern, error) {
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case len(text) > maxPattern:
		return nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	case strings.Contains(text, `\`):
		return nil, errors.New("a backslash; a class of one character, such as [*], matches it literally")
	case k != repositoryPattern && strings.Contains(text, userMark):
		return nil, errors.New("{user} is only for repositories")
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
func (k kind) compileOne(text string) (pattern, error) {
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

// subject is a name to be matched.
type subject struct {
	name    string
	slashes int
	user    string // the value of {user}; "" if there is none
}

func newSubject(name, user string) subject {
	return subject{name, strings.Count(name, "/"), user}
}

func (p *pattern) match(s *subject) bool {
	switch {
	case p.slashes >= 0 && p.slashes != s.slashes, !strings.HasPrefix(s.name, p.prefix),
		!strings.HasSuffix(s.name, p.suffix):
		return false
	case p.user:
		return s.user != "" && p.matchUser(s)
	case p.tail != other:
		return p.tail.match(s.name[len(p.prefix):])
	}
	return strings.Contains(s.name, p.part) && doublestar.MatchUnvalidated(p.glob, s.name)
}

// matchUser looks for the name of the caller at every possible place in the subject, and matches
// the two globs with what is before and after it. Each glob has a "?" for one byte of that name, so
// that a "**" beside {user} matches as it would in the whole text.
func (p *pattern) matchUser(s *subject) bool {
	from := len(p.prefix)
	if p.fixed {
		if !strings.HasPrefix(s.name[from:], s.user) {
			return false
		}
		end := from + len(s.user)
		if p.tail != other {
			return p.tail.match(s.name[end:])
		}
		return strings.HasPrefix(s.name[end:], p.part) && doublestar.MatchUnvalidated(p.after, s.name[end-1:])
	}
	for {
		i := strings.Index(s.name[from:], s.user)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(s.user)
		if doublestar.MatchUnvalidated(p.before, s.name[:i+1]) && doublestar.MatchUnvalidated(p.after, s.name[end-1:]) {
			return true
		}
		from = i + 1
	}
}

func (ps *patterns) match(s *subject) bool { return matchAny(ps.in, s) && !matchAny(ps.out, s) }

func matchAny(list []pattern, s *subject) bool {
	for i := range list {
		if list[i].match(s) {
			return true
		}
	}
	return false
}

// all reports whether every name matches, for every caller.
func (ps *patterns) all() bool {
	for _, p := range ps.in {
		if p.tail == anything {
			return len(ps.out) == 0
		}
	}
	return false
}
