// Package glob checks and matches patterns of names: repositories, tags, media types.
//
// The syntax is that of doublestar: "*" matches any characters but "/", "**" as a whole component
// matches any number of components, "?" matches one character, and "[a-z]" and "{a,b}" match one of
// several.
package glob

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Check returns an error if a pattern is empty, malformed, or too costly to match: longer than 512
// bytes, or with braces that expand to more than 64 alternatives.
func Check(pattern string) error {
	switch {
	case len(pattern) > MaxPattern:
		return fmt.Errorf("longer than %d bytes", MaxPattern)
	case pattern == "":
		return errors.New("empty")
	case !doublestar.ValidatePattern(pattern):
		return errors.New("malformed")
	case !plainClasses(pattern):
		return errors.New("class contains a brace or a comma")
	case alternatives(pattern) > maxAlternatives:
		return fmt.Errorf("braces expand to more than %d alternatives", maxAlternatives)
	}
	return nil
}

// CheckRepository is Check for a pattern of repositories. It also returns an error for an upper-case
// letter outside of a class: no name of a repository has one, so the pattern would match nothing, and
// a rule with it would have no effect.
func CheckRepository(pattern string) error {
	if err := Check(pattern); err != nil {
		return err
	}
	class := false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case 'A' <= c && c <= 'Z':
			return fmt.Errorf("upper-case letter %q, which no repository has", c)
		}
	}
	return nil
}

// Match reports whether a name matches a pattern that [Check] accepts.
func Match(pattern, name string) bool { return doublestar.MatchUnvalidated(pattern, name) }

// List is a list of patterns, some of which are exceptions. The zero List selects every name.
type List struct{ in, out []string }

// NewList checks and compiles patterns. A pattern that starts with "!" is an exception. With an
// error, NewList also returns the index of the pattern with the mistake.
func NewList(patterns []string) (List, int, error) { return newList(patterns, Check) }

// NewRepositories is NewList for patterns of repositories, see [CheckRepository].
func NewRepositories(patterns []string) (List, int, error) { return newList(patterns, CheckRepository) }

func newList(patterns []string, check func(string) error) (List, int, error) {
	var l List
	for i, text := range patterns {
		p, except := strings.CutPrefix(text, "!")
		if err := check(p); err != nil {
			return List{}, i, fmt.Errorf("pattern %.64q: %w", text, err)
		}
		if except {
			l.out = append(l.out, p)
		} else {
			l.in = append(l.in, p)
		}
	}
	return l, -1, nil
}

// Patterns returns the patterns of the list. Those that exclude begin with "!", and come last.
func (l *List) Patterns() []string {
	all := slices.Clone(l.in)
	for _, pattern := range l.out {
		all = append(all, "!"+pattern)
	}
	return all
}

// Selects reports whether a name matches one of the patterns and none of the exceptions. A list of
// exceptions only selects all other names. No pattern matches the empty name.
func (l *List) Selects(name string) bool {
	if name == "" {
		return len(l.in) == 0
	}
	return (len(l.in) == 0 || matchAny(l.in, name)) && !matchAny(l.out, name)
}

func matchAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if Match(p, name) {
			return true
		}
	}
	return false
}
