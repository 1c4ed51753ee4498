// Package markdown renders the descriptions of repositories, which anybody with manage access
// writes, as HTML that is safe in a page.
package markdown

import (
	"bytes"
	"errors"
	"html/template"
	"regexp"
	"strings"
	"sync"
	"unicode"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/util"
)

// Limits of what is rendered. A text beyond them is shown as it is.
const (
	// MaxSize is the maximum size of a text, in bytes.
	MaxSize = 64 << 10
	// maxHTML is the maximum size of its HTML, in bytes: a short text can repeat a long link.
	maxHTML = 512 << 10
	// maxDepth is the maximum depth of lists and quotes within each other.
	maxDepth = 24
	// maxMarks is the maximum number of brackets, and of marks of emphasis, in a paragraph. The time for a paragraph
	// grows with the square of their number.
	maxMarks = 4000
	// maxCells is the maximum number of cells of a table: short rows are filled up.
	maxCells = 20_000
)

// policy allows the elements of Markdown: no images, because the browser would fetch them from elsewhere, no ids, and
// links to http, https and mailto only.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "del", "ul",
		"ol", "li", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("scope").Matching(regexp.MustCompile(`^col$`)).OnElements("th")
	p.AllowAttrs("href").OnElements("a")
	p.AllowAttrs("rel").Matching(regexp.MustCompile("^" + rel + "$")).OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
})

// nowhere matches a link whose address the policy has removed. Links are never within links.
var nowhere = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)<a rel="[^"]*">(.*?)</a>`) })

// renderer renders GitHub's tables, strikethrough and links.
var renderer = sync.OnceValue(func() goldmark.Markdown {
	return goldmark.New(
		goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Linkify),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(transformer{}, 1000))),
	)
})

// HTML renders a text. Headings begin at level 3, for a page that has a heading of level 2 above it.
func HTML(text string) template.HTML {
	text = visible(text)
	if len(text) > MaxSize {
		return plain(strings.ToValidUTF8(text[:MaxSize], "") + "…")
	}
	if costly(text) {
		return plain(text)
	}
	out := &limited{}
	if err := renderer().Convert([]byte(text), out); err != nil {
		return plain(text)
	}
	safe := nowhere().ReplaceAll(policy().SanitizeBytes(out.Bytes()), []byte("$1"))
	return template.HTML(safe) //nolint:gosec // sanitised
}

// plain returns a text as it is.
func plain(text string) template.HTML {
	return template.HTML("<pre>" + template.HTMLEscapeString(text) + "</pre>") //nolint:gosec // escaped
}

// visible replaces what a reader cannot see: control characters, and characters that change the direction of the text
// around them.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// costly reports whether a text would take long: if it is deeply nested, has a paragraph with very
// many marks, or a very large table.
func costly(text string) bool {
	marks, lines, columns := 0, 0, 0
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || item.MatchString(trimmed) {
			marks, lines, columns = 0, 0, 0
		}
		for _, c := range []byte(trimmed) {
			if strings.IndexByte("[]*_~<`!&", c) >= 0 {
				marks++
			}
		}
		lines, columns = lines+1, max(columns, strings.Count(trimmed, "|"))
		if marks > maxMarks || lines*columns > maxCells || depth(line) > maxDepth {
			return true
		}
	}
	return false
}

// item matches the beginning of an element of a list, which is a paragraph of its own.
var item = regexp.MustCompile(`^([-+*]|[0-9]{1,9}[.)])\s`)

// depth returns about how many lists and quotes a line begins.
func depth(line string) int {
	if rule := strings.Join(strings.Fields(line), ""); rule != "" && rule[0] != '>' && strings.Trim(rule, rule[:1]) == "" {
		return 0 // a horizontal rule, or the line below a heading
	}
	marks := 0
	for _, c := range []byte(line) {
		switch {
		case strings.IndexByte(">-+*.)", c) >= 0:
			marks++
		case c != ' ' && c != '\t' && (c < '0' || c > '9'):
			return marks
		}
	}
	return marks
}

var errTooLarge = errors.New("markdown: the HTML is too large")

// limited is a buffer of a limited size.
type limited struct{ bytes.Buffer }

func (l *limited) Write(b []byte) (int, error) {
	if l.Len()+len(b) > maxHTML {
		return 0, errTooLarge
	}
	return l.Buffer.Write(b)
}
