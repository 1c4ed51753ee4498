package webhook

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/registrykit/registry/auth"
)

// maxText is the maximum length of a text from outside in an error, in bytes.
const maxText = 200

// minSecret is the length from which a part of the URL or of a header counts as a secret. Without
// it, a query such as "v=1" would make every response unreadable.
const minSecret = 4

// minSegment is the length from which one component of the path counts as a secret.
const minSegment = 16

// redactor removes known secrets from texts. Receivers may repeat parts of a request in their
// response.
type redactor struct{ replacer *strings.Replacer }

func newRedactor(u *url.URL, o *Options) redactor {
	var secrets []string
	add := func(s string) {
		if len(s) >= minSecret {
			secrets = append(secrets, s)
		}
	}
	add(u.RequestURI())
	add(u.RawQuery)
	add(u.EscapedPath())
	add(u.Path)
	for segment := range strings.SplitSeq(u.Path, "/") {
		if len(segment) >= minSegment {
			add(segment)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
			add(url.QueryEscape(v))
		}
	}
	addAuthorization(o.Authorization, add)
	for _, values := range o.Header {
		for _, v := range values {
			add(v)
		}
	}
	for _, s := range o.Secrets {
		add(s.Value())
		_, encoded, _ := strings.Cut(s.Value(), "_")
		add(encoded)
	}
	// A Replacer prefers the first of several that match.
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, "***")
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// addAuthorization adds the credentials of a header Authorization, also those within Basic.
func addAuthorization(value auth.Secret, add func(string)) {
	add(value.Value())
	_, credentials, _ := strings.Cut(value.Value(), " ")
	add(credentials)
	if plain, err := base64.StdEncoding.DecodeString(credentials); err == nil {
		add(string(plain))
		_, password, _ := strings.Cut(string(plain), ":")
		add(password)
	}
}

// text returns the beginning of a text without secrets, control characters and invalid UTF-8.
func (r redactor) text(s string) string {
	s = r.replacer.Replace(s)
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) || c == utf8.RuneError {
			return ' '
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// shown returns what of a URL may be shown.
func shown(u *url.URL) string { return u.Scheme + "://" + u.Host }

// reserved reports whether a header is set by this package or by net/http.
func reserved(name string) bool {
	name = http.CanonicalHeaderKey(name)
	switch name {
	case "Host", "Authorization", "Content-Type", "Content-Length", "User-Agent", "Connection", "Keep-Alive",
		"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect":
		return true
	}
	return strings.HasPrefix(name, "Webhook-") || strings.HasPrefix(name, "Ce-")
}

// validHeader reports whether a name and a value are allowed in a header by RFC 9110.
func validHeader(name, value string) bool {
	token := name != "" && strings.IndexFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
	}) < 0
	return token && strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) < 0 &&
		strings.TrimSpace(value) == value
}
