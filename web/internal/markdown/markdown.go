// Package markdown renders the descriptions of repositories, which anybody with push access writes, as HTML that is safe
// in a page.
package markdown

import (
	"bytes"
	"html/template"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// MaxSize is the maximum size of a text that is rendered, in bytes. A longer one is shown as it is.
const MaxSize = 64 << 10

// policy allows the elements of Markdown: no images, because the browser would fetch them from elsewhere, no ids, and
// links to http, https and mailto only.
var policy = sync.OnceValue(func() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "del", "ul", "ol",
		"li", "table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.RequireNoReferrerOnLinks(true)
	return p
})

// renderer renders GitHub's tables, strikethrough and links.
var renderer = sync.OnceValue(func() goldmark.Markdown {
	return goldmark.New(goldmark.WithExtensions(extension.Table, extension.Strikethrough, extension.Linkify))
})

// HTML renders a text.
func HTML(text string) template.HTML {
	if len(text) > MaxSize {
		return template.HTML("<pre>" + template.HTMLEscapeString(text[:MaxSize]) + "</pre>") //nolint:gosec // escaped
	}
	var b bytes.Buffer
	if err := renderer().Convert([]byte(text), &b); err != nil {
		return template.HTML("<pre>" + template.HTMLEscapeString(text) + "</pre>") //nolint:gosec // escaped
	}
	return template.HTML(policy().SanitizeBytes(b.Bytes())) //nolint:gosec // sanitised
}
