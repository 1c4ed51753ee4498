package pattern

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what the names are that a pattern matches.
type Kind int

// The kinds of names. Only patterns of repositories and accounts may contain {user}.
const (
	Repository Kind = iota
	Tag
	Claim
	Account // a user, an organisation, or a robot as NAMESPACE+ROBOT
)

// allows reports whether a name of the kind may contain c.
func (k Kind) allows(c byte) bool {
	switch {
	case k == Claim, 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		return true
	case k == Tag:
		return 'A' <= c && c <= 'Z'
	case k == Account:
		return c == '+'
	}
	return c == '/'
}

// check returns an error for a text that can never match or whose meaning is not what it looks
// like.
func (k Kind) check(text string) error {
	if k == Repository &&
		(text == "" || text[0] == '/' || text[len(text)-1] == '/' || strings.Contains(text, "//")) {
		return errors.New("a component is empty: slashes must only stand between components")
	}
	if text == "" {
		return errors.New("an alternative is empty")
	}
	for part := range strings.SplitSeq(text, "/") {
		if strings.Contains(part, "**") && part != "**" {
			return errors.New("** beside other characters: it matches whole components")
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

// excludeSlash adds the slash to every negated class, so that a class does not match a slash, as
// "*" does not.
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

// slashIn reports whether a class contains the slash.
func slashIn(class string) bool {
	class = strings.TrimLeft(class, "!^")
	for i := 0; i < len(class); i++ {
		if class[i] == '/' || i+2 < len(class) && class[i+1] == '-' && class[i] <= '/' && '/' <= class[i+2] {
			return true
		}
	}
	return false
}

// expand returns one text for each combination of the alternatives in braces. It leaves {user} as
// it is.
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
				return nil, fmt.Errorf("%s stands for nothing; {user} is the name of the caller, {a,b} one of several texts",
					text[open:i+1])
			}
			var all []string
			from := open + 1
			for _, to := range append(commas, i) {
				list, err := expand(text[:open] + text[from:to] + text[i+1:])
				if err != nil {
					return nil, err
				}
				if all, from = append(all, list...), to+1; len(all) > maxAlternatives {
					return nil, fmt.Errorf("its braces have more than %d alternatives", maxAlternatives)
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

// literalHead returns the text that every matching name begins with. A slash before "**" does not
// belong to it, because "a/**" matches "a".
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

// literalTail returns the text that every matching name ends with.
func literalTail(glob string) string {
	i := strings.LastIndexAny(glob, "*?]") + 1
	if i > 1 && glob[i-2:i] == "**" && strings.HasPrefix(glob[i:], "/") {
		i++
	}
	return glob[i:]
}

// literalPart returns the longest text that every matching name contains. A slash beside "**" does
// not belong to it.
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
