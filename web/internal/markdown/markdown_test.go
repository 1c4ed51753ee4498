package markdown_test

import (
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/web/internal/markdown"
)

func render(t *testing.T, text string) *goquery.Document {
	t.Helper()
	doc, err := goquery.NewDocumentFromReader(strings.NewReader(string(markdown.HTML(text))))
	require.NoError(t, err)
	return doc
}

func TestHTMLRendersADescription(t *testing.T) {
	doc := render(t, "# App\n\nDoes **much**, see https://example.com/a?b=c&d and [the docs](https://example.com).\n\n"+
		"## Tags\n\n| tag | for |\n|---|---|\n| `v1` | ~~all~~ |\n\n1. one\n2. two\n\n```sh\ndocker pull app\n```\n\n"+
		"> quote\n\n"+
		"###### deep\n\n![a picture](https://example.com/x.png) "+
		"[![badge](https://example.com/b.svg)](https://example.com/ci)")
	require.Equal(t, "App", doc.Find("h3").Text())
	require.Equal(t, "Tags", doc.Find("h4").Text())
	require.Equal(t, "deep", doc.Find("h6").Text())
	require.Equal(t, "much", doc.Find("strong").Text())
	require.Equal(t, "v1", doc.Find("td code").Text())
	require.Equal(t, "col", doc.Find("th").First().AttrOr("scope", ""))
	require.Equal(t, 2, doc.Find("ol li").Length())
	require.Contains(t, doc.Find("pre code").Text(), "docker pull app")
	require.Zero(t, doc.Find("img, h1, h2").Length())
	require.Equal(t, "a picture", doc.Find(`a[href="https://example.com/x.png"]`).Text())
	require.Equal(t, "badge", doc.Find(`a[href="https://example.com/ci"]`).Text())
	require.Equal(t, 4, doc.Find("a").Length())
	doc.Find("a").Each(func(_ int, a *goquery.Selection) {
		for _, word := range []string{"nofollow", "noreferrer", "noopener"} {
			require.Contains(t, a.AttrOr("rel", ""), word)
		}
	})
}

// hostile are texts that try to get more than Markdown into a page.
var hostile = []string{
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))",
	"[x](java&#x0A;script:alert(1))", "[x](data:text/html,<script>alert(1)</script>)", "<javascript:alert(1)>",
	"[x](vbscript:x)", "![x](javascript:alert(1))", "![\" onerror=\"alert(1)](x)", "[x]: javascript:alert(1)\n\n[x]",
	"<a href=\"https://example.com\" onclick=\"alert(1)\">x</a>", "<iframe src=https://example.com></iframe>",
	"<style>body{display:none}</style>", "<form action=https://example.com><input name=password></form>",
	"</div></main><h1>owned</h1>", "<!--", "<![CDATA[", "<svg onload=alert(1)>", "<base href=https://example.com>",
	"# x {#main onclick=alert(1)}", "```\" onclick=\"alert(1)\nx\n```", "[x](//example.com/x)", "[x](/ui/sign-out)",
	"[x](https://example.com \"' onmouseover='alert(1)\")", "| <script> |\n|---|\n| [x](javascript:1) |",
	"\u202egnp.exe \u2066x", "a\x00b\x1b[31m",
	"<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
	"[a](<javascript:alert(1)>)", "&lt;script&gt;", "`<script>`", "<details open ontoggle=alert(1)>",
}

var allowed = "p, br, hr, h3, h4, h5, h6, blockquote, pre, code, em, strong, del, " +
	"ul, ol, li, table, thead, tbody, tr, th, td, a"

func TestHTMLIsSafe(t *testing.T) {
	for _, text := range append(hostile, strings.Join(hostile, "\n\n"), strings.Join(hostile, " ")) {
		checkSafe(t, text)
	}
}

// checkSafe checks that a text becomes elements and attributes of Markdown alone.
func checkSafe(t *testing.T, text string) {
	t.Helper()
	doc := render(t, text)
	doc.Find("body *").Each(func(_ int, e *goquery.Selection) {
		require.True(t, e.Is(allowed), "%q: %s", text, goquery.NodeName(e))
		require.False(t, e.Is("a:not([href])"), "%q: a link to nowhere", text)
		for _, a := range e.Nodes[0].Attr {
			switch a.Key {
			case "href":
				scheme, _, _ := strings.Cut(a.Val, ":")
				require.Contains(t, []string{"http", "https", "mailto"}, strings.ToLower(scheme), text)
				require.Contains(t, e.AttrOr("rel", ""), "noopener", text)
			case "rel", "scope":
			default:
				require.Fail(t, "a forbidden attribute", "%q: %s=%q", text, a.Key, a.Val)
			}
		}
	})
	require.NotContains(t, doc.Text(), "\u202e")
	require.NotContains(t, doc.Text(), "\x00")
}

// TestHTMLIsBounded: texts that are made to take long, or to become large, are shown as they are.
func TestHTMLIsBounded(t *testing.T) {
	for name, unit := range map[string]string{
		"brackets": "[", "links": "[a](", "images": "![", "stars": "*a", "emphasis": "*a_ ", "underscores": "_",
		"quotes":            ">",
		"quotes and spaces": "> ", "lists": "- ", "numbers": "1. ", "backticks": "`a``", "tildes": "~~a", "entities": "&",
		"angles": "<a", "comments": "<!--", "autolinks": "http://a.", "mails": "a@", "tables": "|a", "rules": "* ",
		"brackets closed": "[]",
		"definitions":     "[a]: x\n", "headings": "# a\n", "lines": "a\n", "lines of quotes": "> a\n>> b\n",
		"pipes": "|-", "escapes": `\`,
		"tabs": "\t", "hashes": "#", "words": "www.", "strong": "**a **",
	} {
		for _, suffix := range []string{"", "\n|-|\n", "](x)"} {
			text := strings.Repeat(unit, 48<<10/len(unit)) + suffix
			started := time.Now()
			html := markdown.HTML(text)
			require.Less(t, time.Since(started), 3*time.Second, name)
			require.LessOrEqual(t, len(html), 1<<20, name)
		}
	}
	for name, text := range map[string]string{
		"a long link": "[a]: https://example.com/" + strings.Repeat("x", 20<<10) + "\n\n" +
			strings.Repeat("[a]\n\n", 4<<10),
		"deep lists":   deep("- x"),
		"deep indents": deepIndent(),
		"a wide table": strings.Repeat("|a", 1000) + "|\n" + strings.Repeat("|-", 1000) + "|\n" +
			strings.Repeat("|b|\n", 5000),
		"many footnotes": strings.Repeat("[^1]", 5000),
		"too long":       strings.Repeat("word ", 100<<10),
	} {
		started := time.Now()
		html := markdown.HTML(text)
		require.Less(t, time.Since(started), 3*time.Second, name)
		require.LessOrEqual(t, len(html), 1<<20, name)
		checkSafe(t, text)
	}
}

// deep returns a list in a list, and so on.
func deep(item string) string {
	var b strings.Builder
	for i := range 200 {
		b.WriteString(strings.Repeat("  ", i) + item + "\n")
	}
	return b.String()
}

// deepIndent returns quotes that become deeper line by line.
func deepIndent() string {
	var b strings.Builder
	for i := range 200 {
		b.WriteString(strings.Repeat("> ", i) + "x\n\n")
	}
	return b.String()
}

func TestOrdinaryRulesAreNoNesting(t *testing.T) {
	doc := render(t, "Title\n"+strings.Repeat("=", 60)+"\n\n"+strings.Repeat("-", 80)+"\n\n"+strings.Repeat("* ", 40)+"\n")
	require.Equal(t, "Title", doc.Find("h3").Text())
	require.Equal(t, 2, doc.Find("hr").Length())
}

func FuzzHTML(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(checkSafe)
}
