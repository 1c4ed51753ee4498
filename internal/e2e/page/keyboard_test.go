package page

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/demosite"
)

// reachable numbers the elements of a page that the keyboard should reach, in their order, and
// returns how many there are.
const reachable = `(() => {
	const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")].filter(e =>
		!e.disabled && e.type !== "hidden" && e.tabIndex >= 0 && e.checkVisibility({visibilityProperty: true}) &&
		!(e.type === "radio" && e.name && e !== (document.querySelector('input[name="' + e.name + '"]:checked') ||
			document.querySelector('input[name="' + e.name + '"]'))));
	all.forEach((e, i) => e.dataset.order = i);
	document.body.tabIndex = -1; // where Tab begins, also on pages that focus a field
	document.body.focus();
	document.body.removeAttribute("tabindex");
	return all.length;
})()`

// focused returns the number of the element with the focus, or -1, and 1000000 more if the focus cannot be seen.
const focused = `(() => {
	const e = document.activeElement;
	if (!e || e === document.body) return -1;
	const style = getComputedStyle(e);
	const box = e.getBoundingClientRect();
	const seen = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0) && box.width > 0 && box.top > -5;
	return Number(e.dataset.order ?? -1) + (seen ? 0 : 1000000);
})()`

// maxStops is the maximum number of elements of a page that the test walks through.
const maxStops = 150

// TestKeyboard: the tab key reaches each link, button and field of each view once, in their order, and the focus can be
// seen.
func TestKeyboard(t *testing.T) {
	perView := 1
	if *full {
		perView = 3
	}
	s := newSite(t, demosite.Full)
	b := newTab(t)
	b.colours("light")
	b.size(1280, 900, 1)
	for _, v := range chosen(s.all(t), perView) {
		b.open(s.urls[v.caller], v.path)
		if eval[bool](b, `!!document.querySelector("[data-module]")`) {
			time.Sleep(300 * time.Millisecond) // a module may add buttons
		}
		n := eval[int](b, reachable)
		require.NotZero(t, n, v.at())
		for i := range min(n, maxStops) {
			b.do(chromedp.KeyEvent(kb.Tab))
			if !assert.Equal(t, i, eval[int](b, focused), "%s: the element %s", v.at(),
				eval[string](b, `document.activeElement?.outerHTML.slice(0, 200) ?? ""`)) {
				break
			}
		}
	}
}

// TestMenusByKeyboard: Enter opens a menu of the header, Tab goes through it, and Escape closes it. The slash goes to
// the search.
func TestMenusByKeyboard(t *testing.T) {
	s := newSite(t, demosite.Full)
	b := newTab(t)
	b.size(320, 640, 1)
	b.open(s.urls[demosite.Boss], "/")
	b.do(chromedp.Focus(chromedp.CSS(".top nav details:last-of-type summary")), chromedp.KeyEvent(kb.Enter))
	require.True(t, eval[bool](b, `document.querySelector(".top nav details:last-of-type").open`))
	b.do(chromedp.KeyEvent(kb.Tab))
	inMenu := `!!document.activeElement.closest("details > div")`
	if eval[int](b, `document.querySelectorAll(".top nav details:last-of-type > div a").length`) > 0 {
		require.True(t, eval[bool](b, inMenu))
		require.True(t,
			eval[bool](b, `(r => r.left >= 0 && r.right <= innerWidth)(document.activeElement.getBoundingClientRect())`))
	}
	b.do(chromedp.KeyEvent(kb.Escape))
	require.False(t, eval[bool](b, `document.querySelector(".top nav details:last-of-type").open`))
	if eval[bool](b, `!!document.querySelector(".search")`) {
		b.do(chromedp.KeyEvent("/"))
		require.Equal(t, "q", eval[string](b, `document.activeElement.name`))
	}
	require.Empty(t, b.noted())
}

// TestSkipLink: the first element of a page leads to its content.
func TestSkipLink(t *testing.T) {
	s := newSite(t, demosite.Full)
	b := newTab(t)
	b.open(s.urls[demosite.Ann], "/")
	b.do(chromedp.KeyEvent(kb.Tab), chromedp.KeyEvent(kb.Enter))
	require.Equal(t, "#main", eval[string](b, `location.hash`))
	b.do(chromedp.KeyEvent(kb.Tab))
	require.True(t, eval[bool](b, `!!document.activeElement.closest("main")`))
}
