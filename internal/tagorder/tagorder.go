// Package tagorder sorts tags for people: by version, the newest first.
package tagorder

import (
	"cmp"
	"strings"

	"github.com/registrykit/registry/internal/subjecttag"
)

// Compare returns a negative number if tag a comes before tag b in a list with the newest version
// first, and a positive number if it comes after b. It returns 0 only for equal tags. The order is:
//
//   - "latest";
//   - versions, in descending order: numbers between dots, after an optional "v". There may be any
//     number of them, with leading zeros, and any text after them: 1.10.0, v1.9, 2024.01.2, 12-slim. A
//     version with fewer numbers comes before those that it stands for: 1.4, 1.4.1, 1.4.0. As in
//     semantic versioning, 1.4.0 comes before 1.4.0-rc1. The texts are compared like other tags, in the
//     opposite order: 1.4.0-rc10 comes before 1.4.0-rc9;
//   - other tags, in alphabetical order, with numbers in descending order: debian-12 comes before
//     debian-11;
//   - tags that name a manifest by its digest, such as the signatures of cosign.
//
// It allocates nothing, so that a request can sort a hundred thousand tags.
func Compare(a, b string) int {
	if x, y := trimV(a), trimV(b); isDotted(x) && isDotted(y) { // most tags, without a look at all of them
		return cmp.Or(compareVersions(y, x), strings.Compare(a, b))
	}
	kindA, kindB := kindOf(a), kindOf(b)
	order := cmp.Compare(kindA, kindB)
	if order == 0 {
		switch kindA {
		case version:
			order = compareVersions(trimV(b), trimV(a))
		default:
			order = compareTexts(a, b, newestFirst)
		}
	}
	return cmp.Or(order, strings.Compare(a, b))
}

// kind is a kind of tags. The kinds are in the order of the list.
type kind int

const (
	latest kind = iota
	version
	other
	subject
)

func kindOf(tag string) kind {
	if tag == "latest" {
		return latest
	}
	if isVersion(trimV(tag)) {
		return version
	}
	if strings.HasPrefix(tag, "sha") {
		if _, _, ok := subjecttag.Parse(tag); ok {
			return subject
		}
	}
	return other
}

// trimV removes the "v" before a number.
func trimV(tag string) string {
	if len(tag) > 1 && (tag[0] == 'v' || tag[0] == 'V') && isDigit(tag[1]) {
		return tag[1:]
	}
	return tag
}

// isVersion reports whether a tag begins with numbers that a separator, or the end, follows. One number
// with a letter behind it is more likely to be part of a commit.
func isVersion(tag string) bool {
	numbers, rest := 0, tag
	for {
		digits := digitsOf(rest)
		if digits == "" {
			break
		}
		numbers++
		rest = rest[len(digits):]
		if len(rest) < 2 || rest[0] != '.' || !isDigit(rest[1]) {
			break
		}
		rest = rest[1:]
	}
	return numbers > 1 || numbers == 1 && (rest == "" || strings.IndexByte("-_.", rest[0]) >= 0)
}

// isDotted reports whether a text begins with two numbers, so that it is a version.
func isDotted(text string) bool {
	digits := digitsOf(text)
	return digits != "" && hasNumber(text[len(digits):])
}

// compareVersions compares two versions, the lowest first.
func compareVersions(a, b string) int {
	for {
		numberA, numberB := digitsOf(a), digitsOf(b)
		if order := compareNumbers(numberA, numberB); order != 0 {
			return order
		}
		a, b = a[len(numberA):], b[len(numberB):]
		moreA, moreB := hasNumber(a), hasNumber(b)
		switch {
		case moreA && moreB:
			a, b = a[1:], b[1:]
		case moreA:
			return -1 // b stands for the newest of several
		case moreB:
			return 1
		default:
			return compareRests(a, b)
		}
	}
}

// hasNumber reports whether the rest of a version begins with a dot and a number.
func hasNumber(rest string) bool { return len(rest) > 1 && rest[0] == '.' && isDigit(rest[1]) }

// compareRests compares what follows the numbers of two versions. Nothing is greater than a
// pre-release, and less than a build, which begins with "_": no tag can contain "+".
func compareRests(a, b string) int {
	return cmp.Or(cmp.Compare(rankOf(a), rankOf(b)), compareTexts(a, b, oldestFirst))
}

func rankOf(rest string) int {
	switch {
	case rest == "":
		return 1
	case rest[0] == '_':
		return 2
	}
	return 0
}

// numbers is the order of numbers within texts.
type numbers int

const (
	oldestFirst numbers = 1
	newestFirst numbers = -1
)

// compareTexts compares two texts byte by byte, and the numbers in them as numbers, in one of two
// orders.
func compareTexts(a, b string, order numbers) int {
	for a != "" && b != "" {
		if isDigit(a[0]) && isDigit(b[0]) {
			numberA, numberB := digitsOf(a), digitsOf(b)
			if c := compareNumbers(numberA, numberB); c != 0 {
				return int(order) * c
			}
			a, b = a[len(numberA):], b[len(numberB):]
			continue
		}
		if c := cmp.Compare(a[0], b[0]); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

// compareNumbers compares two texts of digits as numbers of any size.
func compareNumbers(a, b string) int {
	if a != "" && a[0] == '0' || b != "" && b[0] == '0' {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// digitsOf returns the digits at the beginning of a text.
func digitsOf(text string) string {
	for i := range len(text) {
		if !isDigit(text[i]) {
			return text[:i]
		}
	}
	return text
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
