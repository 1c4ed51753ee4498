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

// kind is what a pattern is of.
type kind int

const (
	repositoryPattern kind = iota
	tagPattern
	claimPattern
)

// allows says which bytes a repository, a tag may have.
func (k kind) allows(c byte) bool {
	switch {
	case k == claimPattern, 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		return true
	case k == tagPattern:
		return 'A' <= c && c <= 'Z'
	}
	return c == '/'
}

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

// check refuses what could never match, or means something else than it looks like.
func (k kind) check(text string) error {
	if k == repositoryPattern && (text == "" || text[0] == '/' || text[len(text)-1] == '/' || strings.Contains(text, "//")) {
		return errors.New("a component is empty: slashes stand between components only")
	}
	if text == "" {
		return errors.New("an alternative is empty")
	}
	for part := range strings.SplitSeq(text, "/") {
		if strings.Contains(part, "**") && part != "**" {
			return errors.New("** beside something else: it stands for whole components")
		}
	}
	rest := strings.Replace(text, userMark, "", 1)
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '*' || c == '?':
		case c == '[':
			end := strings.IndexByte(rest[i:], ']')
			if end < 0 {
				return errors.New("a class without an end")
			}
			if slashIn(rest[i+1 : i+end]) {
				return errors.New("a class with a slash")
			}
			i += end
		case !k.allows(c):
			return fmt.Errorf("%q cannot be in such a name", c)
		}
	}
	return nil
}

// excludeSlash adds the slash to the classes of what a byte is not: they take it no more than a star
// does.
func excludeSlash(text string) string {
	var b strings.Builder
	for {
		head, rest, found := strings.Cut(text, "[")
		b.WriteString(head)
		if !found {
			return b.String()
		}
		class, tail, _ := strings.Cut(rest, "]")
		if text = tail; len(class) > 1 && (class[0] == '!' || class[0] == '^') {
			class = class[:1] + "/" + class[1:]
		}
		b.WriteString("[" + class + "]")
	}
}

// slashIn reports whether a class names the slash.
func slashIn(class string) bool {
	class = strings.TrimLeft(class, "!^")
	for i := 0; i < len(class); i++ {
		if class[i] == '/' || i+2 < len(class) && class[i+1] == '-' && class[i] <= '/' && '/' <= class[i+2] {
			return true
		}
	}
	return false
}

// expand returns the texts that the alternatives in braces come to. The caller's name stays as it
// is.
func expand(text string) ([]string, error) {
	open, commas, depth, class := -1, []int(nil), 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case depth == 0 && strings.HasPrefix(text[i:], userMark):
			i += len(userMark) - 1
		case strings.HasPrefix(text[i:], userMark):
			return nil, errors.New("{user} within other braces")
		case c == '{':
			if depth++; depth == 1 {
				open = i
			}
		case c == ',' && depth == 1:
			commas = append(commas, i)
		case c == '}' && depth == 0:
			return nil, errors.New("a brace without a beginning")
		case c == '}':
			if depth--; depth > 0 {
				continue
			}
			if len(commas) == 0 {
				return nil, fmt.Errorf("%s stands for nothing: {user} does, and {a,b} for one of several", text[open:i+1])
			}
			var all []string
			from := open + 1
			for _, to := range append(commas, i) {
				list, err := expand(text[:open] + text[from:to] + text[i+1:])
				if err != nil {
					return nil, err
				}
				if all, from = append(all, list...), to+1; len(all) > maxAlternatives {
					return nil, fmt.Errorf("its braces come to more than %d alternatives", maxAlternatives)
				}
			}
			return all, nil
		}
	}
	if depth > 0 {
		return nil, errors.New("a brace without an end")
	}
	return []string{text}, nil
}

// literalHead is what all that match begin with. A slash before "**" is not part of it: "a/**"
// matches "a".
func literalHead(glob string) string {
	i := strings.IndexAny(glob, "*?[")
	if i < 0 {
		return glob
	}
	if i > 0 && glob[i-1] == '/' && strings.HasPrefix(glob[i:], "**") {
		i--
	}
	return glob[:i]
}

// literalTail is what all that match end with.
func literalTail(glob string) string {
	i := strings.LastIndexAny(glob, "*?]") + 1
	if i > 1 && glob[i-2:i] == "**" && strings.HasPrefix(glob[i:], "/") {
		i++
	}
	return glob[i:]
}

// literalPart is the longest text that is in all that match. A slash beside "**" may not be.
func literalPart(glob string) string {
	longest := ""
	for glob != "" {
		i := strings.IndexAny(glob, "*?[")
		if i < 0 {
			i = len(glob)
		}
		part := glob[:i]
		if glob = glob[i:]; strings.HasPrefix(glob, "**") {
			part = strings.TrimSuffix(part, "/")
		}
		if len(part) > len(longest) {
			longest = part
		}
		switch {
		case strings.HasPrefix(glob, "**"):
			glob = strings.TrimPrefix(glob[2:], "/")
		case strings.HasPrefix(glob, "["):
			glob = glob[strings.IndexByte(glob, ']')+1:]
		case glob != "":
			glob = glob[1:]
		}
	}
	return longest
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
