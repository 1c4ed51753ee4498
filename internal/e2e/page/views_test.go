package page

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/demosite"
	"github.com/registrykit/registry/internal/e2e/harness"
)

// violation is a rule of axe-core that a page breaks.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

// axe runs axe-core in a page, with all rules of WCAG 2.2 A and AA and its best practices.
func (b *tab) axe(options string) []violation {
	b.t.Helper()
	path, err := harness.Tool("axe.min.js")
	require.NoError(b.t, err)
	script, err := os.ReadFile(path)
	require.NoError(b.t, err)
	// Scripts of the debugger are not subject to the policy of the page.
	eval[int](b, string(script)+";0")
	text := eval[string](b,
		`axe.run(document, `+options+`).then(r => JSON.stringify(r.violations.map(v => ({id: v.id, help: v.help,
		nodes: v.nodes.map(n => ({html: n.html.slice(0, 300), failureSummary: n.failureSummary}))}))))`)
	var found []violation
	require.NoError(b.t, json.Unmarshal([]byte(text), &found))
	return found
}

const (
	allRules = `{resultTypes: ["violations"]}`
	contrast = `{resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]}`
)

// TestViews: each view has no violation of axe-core in light and in dark colours, no error on the
// console, no request to another host, and no horizontal scrolling at 320 pixels, which is also
// 1280 pixels at 400 %.
func TestViews(t *testing.T) {
	perView, sets := 1, []demosite.Data{demosite.Full}
	if *full {
		perView, sets = 4, demosite.Sets()
	}
	for _, data := range sets {
		t.Run(string(data), func(t *testing.T) {
			s := newSite(t, data)
			b := newTab(t)
			for _, v := range chosen(s.all(t), perView) {
				b.check(s, v)
			}
		})
	}
}

// check makes the checks of TestViews for one page.
func (b *tab) check(s *site, v *view) {
	b.t.Helper()
	b.colours("light")
	b.size(1280, 900, 1)
	b.open(s.urls[v.caller], v.path)
	b.report(v, "light", b.axe(allRules))
	b.colours("dark")
	b.report(v, "dark", b.axe(contrast))
	b.size(320, 256, 4)
	b.requireNoScrolling(v)
	b.requireWholeWords(v)
	for _, problem := range b.noted() {
		assert.Fail(b.t, problem, v.at())
	}
	assert.Equal(b.t, 1, eval[int](b, `document.querySelectorAll("main h1").length`), v.at())
}

// report fails the test for violations.
func (b *tab) report(v *view, theme string, found []violation) {
	b.t.Helper()
	for _, f := range found {
		var nodes []string
		for _, n := range f.Nodes[:min(3, len(f.Nodes))] {
			nodes = append(nodes, n.HTML+"\n"+n.FailureSummary)
		}
		assert.Fail(b.t, f.ID+": "+f.Help, "%s, %s\n%s", v.at(), theme, strings.Join(nodes, "\n"))
	}
}

// requireNoScrolling fails the test for a page that is wider than its window, and names what is too wide.
func (b *tab) requireNoScrolling(v *view) {
	b.t.Helper()
	wide := eval[string](b, `(() => {
		const root = document.documentElement;
		if (root.scrollWidth <= root.clientWidth) return "";
		return [...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1 &&
			!e.closest(".card, .visually-hidden, details:not([open]) > div")).slice(0, 3).map(e => e.outerHTML.slice(0,
				200)).join("\n") || "?";
	})()`)
	assert.Empty(b.t, wide, "%s is wider than 320 pixels", v.at())
}

// requireWholeWords fails the test for a page with a button that is so narrow that its words are broken into letters.
func (b *tab) requireWholeWords(v *view) {
	b.t.Helper()
	broken := eval[string](b, `[...document.querySelectorAll("main button, main .button")].filter(e => {
		const style = getComputedStyle(e), line = parseFloat(style.lineHeight) || 1.5 * parseFloat(style.fontSize);
		return e.checkVisibility() && e.clientHeight > (e.innerText.trim().split(/\s+/).length + 2) * line;
	}).slice(0, 3).map(e => e.outerHTML.slice(0, 200)).join("\n")`)
	assert.Empty(b.t, broken, "%s breaks words at 320 pixels", v.at())
}

// TestWithoutScript: a page is complete without its script, as far as a reader sees.
func TestWithoutScript(t *testing.T) {
	s := newSite(t, demosite.Full)
	b := newTab(t)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	for _, v := range chosen(s.crawl(t, demosite.Ann), 1) {
		b.open(s.urls[v.caller], v.path)
		require.NotEmpty(t, strings.TrimSpace(read(b, chromedp.TextContent(chromedp.CSS("main")))), v.at())
		require.Empty(t, b.noted(), v.at())
	}
}

// TestValidator: the validator of the W3C finds no error in any view. It is slow to start, so it
// gets all pages at once.
func TestValidator(t *testing.T) {
	if !*full {
		return
	}
	java, err := harness.Tool("java")
	require.NoError(t, err)
	jar, err := harness.Tool("vnu.jar")
	require.NoError(t, err)
	dir := t.TempDir()
	args := []string{"-jar", jar, "--errors-only", "--no-langdetect"}
	for _, data := range demosite.Sets() {
		for i, v := range chosen(newSite(t, data).all(t), 2) {
			file := filepath.Join(dir, fmt.Sprintf("%s-%d-%s.html", data, i, v.name))
			require.NoError(t, os.WriteFile(file, v.body, 0o600))
			args = append(args, file)
		}
	}
	out, err := exec.CommandContext(t.Context(), java, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
