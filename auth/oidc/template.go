package oidc

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/auth/internal/basic"
)

// template is a text with claims, such as "{repository}".
type template struct {
	head  string // before the first claim
	parts []part
}

// part is a claim and the text after it, up to the next claim.
type part struct{ claim, after string }

// parseTemplate parses a template.
func parseTemplate(text string) (template, error) {
	if text == "" || !utf8.ValidString(text) || unprintable(text) {
		return template{}, errors.New("it must be a printable text")
	}
	head, rest, found := strings.Cut(text, "{")
	if strings.Contains(head, "}") {
		return template{}, errors.New("a } without {")
	}
	t := template{head: head}
	for found {
		var claim, after string
		var ok bool
		if claim, rest, ok = strings.Cut(rest, "}"); !ok {
			return template{}, errors.New("a { without }")
		}
		after, rest, found = strings.Cut(rest, "{")
		switch {
		case claim == "" || strings.Contains(claim, "{"):
			return template{}, errors.New("braces must contain the name of a claim, such as {sub}")
		case strings.HasPrefix(claim, reserved):
			return template{}, fmt.Errorf("claims that begin with %q are never used", reserved)
		case strings.Contains(after, "}"):
			return template{}, errors.New("a } without {")
		case found && after == "":
			return template{}, errors.New("two claims without a text between them: their values could not be told apart")
		}
		t.parts = append(t.parts, part{claim, after})
	}
	return t, nil
}

var (
	errMissing = errors.New("it is missing")
	errList    = errors.New("it is a list")
)

// claimError is the reason why a claim cannot be put into a template.
type claimError struct {
	claim string
	err   error
}

func (e *claimError) Error() string { return fmt.Sprintf("the claim %s: %v", e.claim, e.err) }
func (e *claimError) Unwrap() error { return e.err }

// expand returns the text with the values of claims. A value is put in as it is, and never read as a
// template. A value is refused if it could be mistaken for other values of the claims: if the text
// that follows it in the template also occurs earlier.
//
// Errors: *claimError, which wraps errMissing or errList or has another reason.
func (t *template) expand(values map[string]any) (string, error) {
	var b strings.Builder
	b.WriteString(t.head)
	for i, p := range t.parts {
		value, err := textOf(values[p.claim])
		if err == nil {
			err = checkValue(value, p.after, i == len(t.parts)-1)
		}
		if err != nil {
			return "", &claimError{p.claim, err}
		}
		b.WriteString(value)
		b.WriteString(p.after)
	}
	return b.String(), nil
}

// textOf returns the text of a claim.
func textOf(value any) (string, error) {
	switch v := value.(type) {
	case nil:
		return "", errMissing
	case string:
		return v, nil
	case bool:
		return fmt.Sprint(v), nil
	}
	return "", errList
}

// checkValue returns an error for a value that must not stand before a text in a template.
func checkValue(value, after string, last bool) error {
	switch {
	case value == "":
		return errors.New("it is empty")
	case len(value) > basic.MaxName:
		return fmt.Errorf("it has more than %d bytes", basic.MaxName)
	case unprintable(value):
		return errors.New("it has characters that are not printable")
	case !last && strings.Index(value+after, after) < len(value):
		return fmt.Errorf("%q contains %q, which ends it in the template", value, after)
	}
	return nil
}

func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) })
}

// expandAll returns the texts with the values of claims, one for each element of a claim that is a
// list. There is none if a claim is missing.
//
// Errors: *claimError.
func (t *template) expandAll(values map[string]any) ([]string, error) {
	text, err := t.expand(values)
	switch {
	case err == nil:
		return []string{text}, nil
	case errors.Is(err, errMissing):
		return nil, nil
	case !errors.Is(err, errList) || len(t.parts) != 1:
		return nil, err
	}
	claim := t.parts[0].claim
	list, _ := values[claim].([]string)
	if len(list) > maxGroups {
		return nil, &claimError{claim, fmt.Errorf("it has more than %d elements", maxGroups)}
	}
	texts := make([]string, 0, len(list))
	for _, element := range list {
		text, err := t.expand(map[string]any{claim: element})
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}
