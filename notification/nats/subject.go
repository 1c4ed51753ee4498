package nats

import (
	"fmt"
	"strings"

	"github.com/registrykit/registry/notification"
)

// maxSubject is the maximum length of a subject, in bytes. A server disconnects a client that sends
// a line of more than 4096 bytes, which holds the subject and the address for the response.
const maxSubject = 1024

// Tokens returns the name of a repository as tokens of a subject, to be used in the filter of a
// consumer. Each component of the name is a token: "ann/app" becomes "ann.app".
//
// All bytes except ASCII letters, digits, "-" and "_" are escaped as in URLs, so that a dot in a
// name does not separate tokens: "ann/my.app" becomes "ann.my%2Eapp". Different names have
// different tokens, and no name has wildcards or spaces in its tokens. An empty component, which no
// registry accepts, becomes "%".
func Tokens(repository string) string {
	components := strings.Split(repository, "/")
	for i, c := range components {
		components[i] = token(c)
	}
	return strings.Join(components, ".")
}

func token(s string) string {
	if s == "" {
		return "%"
	}
	var b strings.Builder
	for i := range len(s) {
		if plain(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
	}
	return b.String()
}

func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// The placeholders of a subject.
const (
	actionToken     = "{action}"
	kindToken       = "{kind}"
	repositoryToken = "{repository}"
)

// subject is the tokens of Options.Subject.
type subject []string

// parseSubject refuses tokens that are neither a placeholder nor valid in a subject.
func parseSubject(s string) (subject, error) {
	tokens := strings.Split(s, ".")
	for _, t := range tokens {
		switch {
		case t == actionToken, t == kindToken, t == repositoryToken:
		case t == "":
			return nil, fmt.Errorf("subject %q has an empty token", s)
		case strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || strings.ContainsRune("*>{}\x7f", r) }):
			return nil, fmt.Errorf("subject %q: invalid token %q; tokens are texts without spaces and wildcards, "+
				"{action}, {kind} or {repository}", s, t)
		}
	}
	if tokens[0] == actionToken || tokens[0] == kindToken || tokens[0] == repositoryToken {
		return nil, fmt.Errorf("subject %q does not begin with a text", s)
	}
	return tokens, nil
}

// of returns the subject of an event.
func (s subject) of(e notification.Event) string {
	out := make([]string, 0, len(s))
	for _, t := range s {
		switch {
		case t == actionToken && e.Action != "":
			out = append(out, token(string(e.Action)))
		case t == kindToken && e.Kind != "":
			out = append(out, token(string(e.Kind)))
		case t == repositoryToken && e.Repository != "":
			out = append(out, Tokens(e.Repository))
		case t != actionToken && t != kindToken && t != repositoryToken:
			out = append(out, t)
		}
	}
	return strings.Join(out, ".")
}
