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
	maxAlternatives = 64  // that the braces of one pattern come to
)

// userMark stands for the name of the caller.
const userMark = "{user}"

// pattern is one pattern without braces, made ready: most names are told by its ends.
type pattern struct {
	prefix, suffix string // what a name begins and ends with; not those of the caller's name
	part           string // what is somewhere in a name, or after the caller's name if that is fixed right there
	slashes        int    // how many a name has; -1: any number
	tail           tail   // what comes after prefix, and after the caller's name if that is fixed
	glob           string // for doublestar
	user           bool   // then, around the caller's name:
	fixed          bool   // it can only stand right after prefix
	before, after  string // globs of all up to its first byte, and of all from its last byte on
}

// tail is the rest of a pattern, after what is literal. The usual ones need no look at the whole.
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

// patterns are those of one field: one of in, and none of out.
type patterns struct{ in, out []pattern }

// compile makes patterns of the texts of one field. No text is no patterns.
//
// Errors: what is wrong, and the index of the text; -1 if it is all of them.
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
		return patterns{}, -1, errors.New(`nothing but exceptions: what they are from is missing, such as "**"`)
	}
	return ps, -1, nil
}

// parse makes patterns of one text.
func (k kind) parse(text string) ([]pattern, error) {
	switch {
	case text == "":
		return nil, errors.New("it is empty")
	case len(text) > maxPattern:
		return nil, fmt.Errorf("it is longer than %d bytes", maxPattern)
	case strings.Contains(text, `\`):
		return nil, errors.New("a backslash; a class of one character, such as [*], takes that literally")
	case k != repositoryPattern && strings.Contains(text, userMark):
		return nil, errors.New("{user} is for repositories")
	case strings.Count(text, userMark) > 1:
		return nil, errors.New("{user} stands more than once")
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

// compileOne makes the pattern of a text without braces, but for the caller's name.
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

// subject is a name that is matched.
type subject struct {
	name    string
	slashes int
	user    string // what userMark stands for; "" is nobody
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

// matchUser looks for the caller's name where it can be: before it and after it is what the two
// globs match. Each has one "?" for a byte of the name, so that they see what they would in the
// whole.
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

// all reports whether every name matches, whoever asks.
func (ps *patterns) all() bool {
	for _, p := range ps.in {
		if p.tail == anything {
			return len(ps.out) == 0
		}
	}
	return false
}
