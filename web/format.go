package web

import (
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode"

	"github.com/registrykit/registry/web/internal/lang"
)

// maxInert is the maximum length of a text of a client on a page, in bytes.
const maxInert = 4096

// inert returns a text of a client for display: without control characters and without those that change the direction
// of the text around it, and cut after maxInert bytes. html/template escapes it.
func inert(text any) string {
	s := fmt.Sprint(text)
	cut := len(s) > maxInert
	if cut {
		s = strings.ToValidUTF8(s[:maxInert], "")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, s)
	if cut {
		s += "…"
	}
	return s
}

// clip returns a text of a client for display with at most n characters.
func clip(text string, n int) string {
	text = inert(strings.ToValidUTF8(text[:min(len(text), 4*n)], ""))
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return text
}

// shortDigest returns a digest with 12 hexadecimal characters, such as "sha256:8b69f7d8e079".
func shortDigest(d any) string {
	text := fmt.Sprint(d)
	algorithm, encoded, ok := strings.Cut(text, ":")
	if !ok || len(encoded) <= 12 {
		return text
	}
	return algorithm + ":" + encoded[:12]
}

// moment returns a time of type time.Time or *time.Time. The zero Time means that it is not known.
func moment(t any) time.Time {
	switch t := t.(type) {
	case time.Time:
		return t
	case *time.Time:
		if t != nil {
			return *t
		}
	}
	return time.Time{}
}

// utc returns a time in UTC, to the second.
func utc(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// timeElement returns a time as "3 hours ago" in a time element. The script of the page adds the
// local time to its title.
func timeElement(l *lang.Language, value any, now time.Time) template.HTML {
	t := moment(value)
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // no text of a client
		t.UTC().Format(time.RFC3339), utc(t), template.HTMLEscapeString(l.Ago(t, now))))
}

// exactTime returns a time as a time element with the time in UTC.
func exactTime(_ *lang.Language, value any) template.HTML {
	t := moment(value)
	if t.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, //nolint:gosec // no text of a client
		t.UTC().Format(time.RFC3339), utc(t), utc(t)))
}

// breakable returns a name as HTML that a browser breaks after a slash, rather than in a word.
func breakable(name string) template.HTML {
	return template.HTML(strings.ReplaceAll(template.HTMLEscapeString(name), "/", "/<wbr>")) //nolint:gosec // escaped
}
