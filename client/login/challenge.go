package login

import (
	"strings"
)

// challenge is one challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1).
type challenge struct {
	scheme string            // in lower case
	params map[string]string // by name in lower case; nil for a challenge with a token68 or nothing
}

const (
	maxChallengeSize = 16 << 10 // bytes of all WWW-Authenticate headers that are read
	maxChallenges    = 16
	maxParams        = 32
)

// parseChallenges returns the challenges in the WWW-Authenticate headers of a response. It leaves
// out a challenge that has a parameter twice. Where the syntax is wrong, it ignores the rest of that
// header, together with the challenge that the error is in.
//
// Unquoted values may have characters that RFC 9110 allows in quoted ones only, because some
// registries send URLs without quotes.
func parseChallenges(values []string) (all []challenge) {
	left := maxChallengeSize
	for _, v := range values {
		if left -= len(v); left < 0 {
			return all
		}
		p := &challengeParser{s: v}
		for len(all) < maxChallenges {
			c, ok := p.next()
			if !ok {
				break
			}
			if c.scheme != "" {
				all = append(all, c)
			}
		}
	}
	return all
}

// challengeParser reads one header value.
type challengeParser struct {
	s   string // what has not been read
	bad bool   // set after an error of syntax
}

// next reads a challenge. The challenge has no scheme if it must be ignored. It returns false at the
// end, and for malformed syntax.
func (p *challengeParser) next() (c challenge, ok bool) {
	p.separators()
	c.scheme = strings.ToLower(p.token())
	if c.scheme == "" || p.s != "" && !p.at(" \t,") {
		return challenge{}, false
	}
	if !p.at(" \t") {
		return c, true // a scheme and nothing else
	}
	p.space()
	if p.token68() {
		return c, true
	}
	twice := false
	for {
		p.separators()
		name, value, ok := p.param()
		if p.bad {
			return challenge{}, false
		}
		if !ok {
			break // the end, or the next scheme
		}
		if c.params == nil {
			c.params = map[string]string{}
		}
		if _, exists := c.params[name]; exists {
			twice = true
		}
		if c.params[name] = value; len(c.params) > maxParams {
			return challenge{}, false
		}
		if p.s != "" && !p.at(" \t,") {
			return challenge{}, false
		}
	}
	if twice {
		return challenge{}, true
	}
	return c, true
}

// at reports whether the next byte is one of set.
func (p *challengeParser) at(set string) bool {
	return p.s != "" && strings.IndexByte(set, p.s[0]) >= 0
}

func (p *challengeParser) space() { p.s = strings.TrimLeft(p.s, " \t") }

// separators skips commas and white space.
func (p *challengeParser) separators() { p.s = strings.TrimLeft(p.s, " \t,") }

// token reads a token, or "" if there is none.
func (p *challengeParser) token() string {
	n := 0
	for n < len(p.s) && isTokenByte(p.s[n]) {
		n++
	}
	token := p.s[:n]
	p.s = p.s[n:]
	return token
}

// token68 reads a token68, and reports whether there was one. A single token at the end or before a
// comma is one. What follows the token decides.
func (p *challengeParser) token68() bool {
	rest := strings.TrimLeftFunc(p.s, func(r rune) bool {
		return r < 0x80 && (isAlphanumeric(byte(r)) || strings.ContainsRune("-._~+/", r))
	})
	if len(rest) == len(p.s) {
		return false
	}
	rest = strings.TrimLeft(rest, "=")
	after := strings.TrimLeft(rest, " \t")
	if after != "" && after[0] != ',' {
		return false
	}
	p.s = after
	return true
}

// param reads name = value. It returns false, and reads nothing, if there is no such thing.
func (p *challengeParser) param() (name, value string, ok bool) {
	before := p.s
	name = strings.ToLower(p.token())
	p.space()
	if name == "" || !p.at("=") {
		p.bad = name == "" && before != ""
		p.s = before
		return "", "", false
	}
	p.s = p.s[1:]
	p.space()
	if p.at(`"`) {
		value, ok = p.quoted()
	} else {
		value, ok = p.unquoted()
	}
	p.bad = !ok
	return name, value, ok
}

// unquoted reads a value up to a comma or white space.
func (p *challengeParser) unquoted() (string, bool) {
	n := 0
	for n < len(p.s) && p.s[n] > ' ' && p.s[n] < 0x7f && p.s[n] != ',' && p.s[n] != '"' {
		n++
	}
	value := p.s[:n]
	p.s = p.s[n:]
	return value, n > 0
}

// quoted reads a quoted string. Control characters are malformed.
func (p *challengeParser) quoted() (string, bool) {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String(), true
		case c == '\\' && i+1 < len(p.s):
			i++
			if c = p.s[i]; c < ' ' && c != '\t' || c == 0x7f {
				return "", false
			}
			b.WriteByte(c)
		case c < ' ' && c != '\t', c == 0x7f, c == '\\':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isTokenByte(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}
