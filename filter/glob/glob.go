// Package glob makes patterns of repositories and tags into functions that filters ask. It is a
// package of its own so that filter depends on no other library.
package glob

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Tags returns a function that says which tags of a repository match one of the patterns and none
// of the exceptions; of a repository in which no tag can, it returns nil. It is what
// filter.ImmutableOptions.Protects wants.
//
// A pattern is one for the repository, or two with a colon between them, the second for the tag:
// "library/**", "library/*:v*". An exception begins with "!". Their order does not matter. The
// syntax is that of doublestar: "*" matches anything but "/", "**" as a component any number of
// components, "?" one character, "[a-z]" and "{a,b}" one of several.
//
// It fails if a pattern is malformed or empty, or its part for tags has a colon or slash, as no tag
// has: "localhost:5000/app:v*" would protect nothing. It also fails if a pattern is longer than 512
// bytes or one of its parts comes to more than 64 alternatives: each group of braces multiplies the
// time that a name takes.
func Tags(patterns ...string) (func(repo string) func(tag string) bool, error) {
	var in, out []pattern
	for _, s := range patterns {
		text, except := strings.CutPrefix(s, "!")
		p, err := parse(text)
		if err != nil {
			return nil, fmt.Errorf("glob: pattern %.64q: %w", s, err)
		}
		if except {
			out = append(out, p)
		} else {
			in = append(in, p)
		}
	}
	return func(repo string) func(tag string) bool {
		in, out := of(repo, in), of(repo, out)
		if len(in) == 0 {
			return nil
		}
		return func(tag string) bool { return anyOf(tag, in) && !anyOf(tag, out) }
	}, nil
}

type pattern struct{ repo, tag string }

func parse(text string) (pattern, error) {
	if len(text) > maxPattern {
		return pattern{}, fmt.Errorf("it is longer than %d bytes", maxPattern)
	}
	repo, tag, found := strings.Cut(text, ":")
	if !found {
		tag = "*"
	}
	if repo == "" || tag == "" || strings.ContainsAny(tag, ":/") || !doublestar.ValidatePattern(repo) ||
		!doublestar.ValidatePattern(tag) {
		return pattern{}, errors.New("it is malformed")
	}
	if !plainClasses(text) {
		return pattern{}, errors.New("a class with a brace or a comma")
	}
	if alternatives(repo) > maxAlternatives || alternatives(tag) > maxAlternatives {
		return pattern{}, fmt.Errorf("its braces come to more than %d alternatives", maxAlternatives)
	}
	return pattern{repo: repo, tag: tag}, nil
}

// of returns the patterns for tags of those whose pattern for repositories matches.
func of(repo string, patterns []pattern) (tags []string) {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p.repo, repo) {
			tags = append(tags, p.tag)
		}
	}
	return tags
}

func anyOf(tag string, patterns []string) bool {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p, tag) {
			return true
		}
	}
	return false
}
