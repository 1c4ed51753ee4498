package web_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/wellformed"
)

// hostile are texts that a client can put into labels, annotations, descriptions and names. A page must show them as
// text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
	`{{.}}`, `</title></main><h1>owned`, "\u202egnp.exe", "\u2066\u2067left", "a\x00b\x1b[31mred", "%s%d%!v(MISSING)",
	`data:text/html,<script>alert(1)</script>`, strings.Repeat("W", 5000),
}

// leftover matches what a mistake in a template leaves in a page.
var leftover = regexp.MustCompile(`%!|<no value>|<nil>|ZgotmplZ|map\[|0x[0-9a-f]{8}`)

// checkPage checks what every page must have: headers, one heading, names of all fields, unique
// ids, and nothing that the policy of the page forbids or that a hostile text could have made.
func checkPage(t *testing.T, r *response) {
	t.Helper()
	policy := r.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'", r.Request.URL)
	require.NotContains(t, policy, "unsafe", r.Request.URL)
	require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"))
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "text/html") || len(r.body) == 0 {
		return
	}
	where := r.Request.Method + " " + r.Request.URL.String()
	require.Empty(t, leftover.FindString(strings.ReplaceAll(string(r.body), "%s%d%!v(MISSING)", "")), where)
	require.NoError(t, wellformed.Check(r.body), where)
	require.Equal(t, 1, r.doc.Find("main").Length(), where)
	require.Equal(t, 1, r.doc.Find("h1").Length(), where)
	require.NotEmpty(t, r.doc.Find("html").AttrOr("lang", ""), where)
	require.Equal(t, 1, r.doc.Find("script").Length(), "%s has a script beside that of the page", where)
	ids := map[string]bool{}
	r.doc.Find("*").Each(func(_ int, e *goquery.Selection) { checkElement(t, where, e, ids) })
	checkForms(t, where, r.doc)
}

// checkElement checks one element.
func checkElement(t *testing.T, where string, e *goquery.Selection, ids map[string]bool) {
	t.Helper()
	for _, a := range e.Nodes[0].Attr {
		require.False(t, strings.HasPrefix(a.Key, "on"), "%s has the attribute %s=%q", where, a.Key, a.Val)
		require.NotEqual(t, "style", a.Key, "%s: the policy forbids the attribute style", where)
		if a.Key == "id" {
			require.False(t, ids[a.Val], "%s has two elements with the id %q", where, a.Val)
			ids[a.Val] = true
		}
		if !slices.Contains([]string{"href", "src", "action", "formaction"}, a.Key) {
			continue
		}
		u, err := url.Parse(a.Val)
		require.NoError(t, err, where)
		require.Contains(t, []string{"", "http", "https", "mailto"}, u.Scheme, "%s: %s", where, a.Val)
		if u.Host != "" && goquery.NodeName(e) == "a" {
			require.Contains(t, e.AttrOr("rel", ""), "noopener", "%s: %s", where, a.Val)
		}
	}
	switch goquery.NodeName(e) {
	case "iframe", "object", "embed", "style", "base":
		require.Fail(t, "a forbidden element", "%s: %s", where, goquery.NodeName(e))
	case "th":
		require.NotEmpty(t, e.AttrOr("scope", ""), "%s: a th needs a scope: %s", where, e.Text())
	}
}

// checkForms checks that changes are sent by POST to the page itself, and that each field has a name for people.
func checkForms(t *testing.T, where string, doc *goquery.Document) {
	t.Helper()
	doc.Find("form").Each(func(_ int, f *goquery.Selection) {
		require.Contains(t, []string{"post", "get"}, strings.ToLower(f.AttrOr("method", "get")), where)
	})
	doc.Find("input, select, textarea").Each(func(_ int, e *goquery.Selection) {
		if slices.Contains([]string{"hidden", "submit"}, e.AttrOr("type", "")) {
			return
		}
		id := e.AttrOr("id", "")
		named := e.AttrOr("aria-label", "") != "" || e.AttrOr("aria-labelledby", "") != "" ||
			e.Closest("label").Length() > 0 ||
			id != "" && doc.Find(`label[for="`+id+`"]`).Length() > 0
		require.True(t, named, "%s: the field %q has no label", where, e.AttrOr("name", ""))
	})
	doc.Find("a, button").Each(func(_ int, e *goquery.Selection) {
		named := strings.TrimSpace(e.Text()) != "" || e.AttrOr("aria-label", "") != ""
		require.True(t, named, "%s: a link or button has no text", where)
	})
}
