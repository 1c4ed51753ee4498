package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/registrykit/registry/auth"
)

// maxURL is the maximum length of a URL with parameters, in bytes.
const maxURL = 16 << 10

// ParseURL reads one webhook from a URL with parameters, see the package comment.
//
// Errors: the first mistake. The error contains the scheme and host of the URL only.
func ParseURL(raw string, opts *Options) (Webhook, error) {
	target, fragment, _ := strings.Cut(raw, "#")
	place := "a webhook"
	if u, err := url.Parse(target); err == nil && u.Host != "" {
		place = u.Scheme + "://" + u.Host
	}
	w, err := parseURL(target, fragment, opts)
	if err != nil {
		return Webhook{}, fmt.Errorf("config: %s: %w", place, err)
	}
	w.place = place
	return w, nil
}

func parseURL(target, fragment string, opts *Options) (Webhook, error) {
	if len(target)+len(fragment) > maxURL {
		return Webhook{}, fmt.Errorf("more than %d bytes", maxURL)
	}
	p := newParsed(opts)
	p.URL = auth.Secret(target)
	seen := make(map[string]bool)
	for parameter := range strings.SplitSeq(fragment, "&") {
		if parameter == "" {
			continue
		}
		name, value, found := strings.Cut(parameter, "=")
		switch {
		case !slices.Contains(parameters, name):
			return Webhook{}, fmt.Errorf("the parameter %.64q is not one of %q", name, parameters)
		case seen[name]:
			return Webhook{}, fmt.Errorf("%s: this occurs twice; commas separate several values", name)
		case !found || value == "":
			return Webhook{}, fmt.Errorf("%s: this is empty", name)
		}
		seen[name] = true
		values, err := splitValues(name, value)
		if err == nil {
			err = p.set(name, values)
		}
		if err != nil {
			return Webhook{}, err
		}
	}
	return p.finish()
}

// splitValues splits the value of a parameter that is a list.
func splitValues(name, value string) ([]string, error) {
	values := []string{value}
	if slices.Contains(lists, name) {
		values = splitList(value)
	}
	for i, v := range values {
		text, err := url.PathUnescape(v)
		if err != nil {
			return nil, &fieldError{name, i, errors.New("this has a malformed percent-encoding")}
		}
		if text == "" {
			return nil, &fieldError{name, i, errors.New("a value is empty")}
		}
		values[i] = text
	}
	return values, nil
}

// splitList splits a text at the commas outside of braces.
func splitList(text string) (parts []string) {
	depth, start := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			depth++
		case '}':
			depth = max(depth-1, 0)
		case ',':
			if depth == 0 {
				parts, start = append(parts, text[start:i]), i+1
			}
		}
	}
	return append(parts, text[start:])
}
