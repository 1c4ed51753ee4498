package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// maxName is the maximum length of a name.
const maxName = 64

// checkName returns an error for a name that an outbox does not accept.
func checkName(name string) error {
	ok := name != "" && len(name) <= maxName && strings.Trim(name[:1], "-_.") != ""
	if !ok || strings.IndexFunc(name, func(c rune) bool { return !inName(c) }) >= 0 {
		return errors.New("a name has 1 to 64 lower-case letters, digits and the characters - _ . " +
			"and begins with a letter or digit")
	}
	return nil
}

func inName(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// defaultName returns the host of a URL and a hash of the URL without its query, so that a new token
// in the query does not change it.
func defaultName(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "" // checked before
	}
	host := strings.Map(func(c rune) rune {
		if inName(c) {
			return c
		}
		return '-'
	}, strings.ToLower(u.Hostname()))
	host = strings.TrimLeft(host[:min(len(host), maxName-9)], "-_.")
	u.RawQuery = ""
	sum := sha256.Sum256([]byte(u.String()))
	return strings.TrimLeft(fmt.Sprintf("%s-%x", host, sum[:4]), "-")
}
