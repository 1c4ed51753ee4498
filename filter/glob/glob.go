// Package glob compiles patterns of repositories and tags into functions for the filters of package
// filter. It is a separate package so that package filter has no further dependencies.
package glob

import (
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/registry/internal/glob"
)

// Tags returns a function for filter.ImmutableOptions.Protects. For a repository, it returns a
// function that reports whether a tag matches one of the patterns and none of the exceptions. It
// returns nil for a repository in which no tag can match.
//
// A pattern has the form "repository" or "repository:tag", such as "library/**" or "library/*:v*".
// Without a tag it matches all tags. An exception starts with "!". The order does not matter. The
// syntax is that of doublestar: "*" matches any characters but "/", "**" as a whole component
// matches any number of components, "?" matches one character, and "[a-z]" and "{a,b}" match one of
// several.
//
// Tags returns an error if a pattern is empty or malformed, or if its tag contains a colon or
// slash: no tag does, and "localhost:5000/app:v*" would protect nothing. The same holds for an
// upper-case letter in the pattern of a repository. It also returns an error
// if a pattern is longer than 512 bytes, or if the braces in its repository or tag expand to more
// than 64 alternatives: each group of braces multiplies the time to match a name.
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
	if len(text) > glob.MaxPattern {
		return pattern{}, fmt.Errorf("longer than %d bytes", glob.MaxPattern)
	}
	repo, tag, found := strings.Cut(text, ":")
	if !found {
		tag = "*"
	}
	if strings.ContainsAny(tag, ":/") {
		return pattern{}, errors.New("malformed")
	}
	if err := glob.CheckRepository(repo); err != nil {
		return pattern{}, err
	}
	if err := glob.Check(tag); err != nil {
		return pattern{}, err
	}
	return pattern{repo: repo, tag: tag}, nil
}

// of returns the tag patterns of those patterns that match repo.
func of(repo string, patterns []pattern) (tags []string) {
	for _, p := range patterns {
		if glob.Match(p.repo, repo) {
			tags = append(tags, p.tag)
		}
	}
	return tags
}

func anyOf(tag string, patterns []string) bool {
	for _, p := range patterns {
		if glob.Match(p, tag) {
			return true
		}
	}
	return false
}
