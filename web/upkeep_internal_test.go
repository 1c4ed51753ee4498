package web

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/plan"
)

// draw executes the template of a view in each language, and returns the result in English. It is for states that take
// days or gigabytes to reach.
func draw(t *testing.T, name string, data any) *goquery.Document {
	t.Helper()
	p := &Page{}
	require.NoError(t, p.opts.complete())
	var err error
	p.assets, err = newAssets(&p.opts.Look, p.opts.Path)
	require.NoError(t, err)
	p.languages, err = lang.NewChooser(p.opts.Languages)
	require.NoError(t, err)
	p.templates = p.parseTemplates()
	var doc *goquery.Document
	for _, l := range p.languages.All() {
		var b bytes.Buffer
		set, err := p.templates[l.Code]()
		require.NoError(t, err)
		require.NoError(t, set.execute(&b, name, data))
		require.NotContains(t, b.String(), "%!")
		require.NotContains(t, b.String(), "ZgotmplZ")
		if l.Code == "en" {
			doc, err = goquery.NewDocumentFromReader(&b)
			require.NoError(t, err)
		}
	}
	return doc
}

// TestPlotOfAMonth: the sizes of a month are a plot with a table.
func TestPlotOfAMonth(t *testing.T) {
	exclusive := int64(40)
	page := usagePage{Counted: true, Usage: types.Usage{Figures: types.Figures{Physical: 100, Exclusive: &exclusive}}}
	for i := range 31 {
		page.Days = append(page.Days, types.UsageDay{Counted: time.Date(2026, 10, 1+i, 3, 0, 0, 0, time.UTC),
			Figures: types.Figures{Physical: int64(i) * 1e9, Logical: int64(i) * 11e8}})
	}
	page.Plot = sizes(page.Days)
	doc := draw(t, "usage", page)
	require.Equal(t, 2, doc.Find("svg.plot path.line").Length())
	require.Equal(t, "40.0 GB20.0 GB0", doc.Find(".chart-values").Text())
	require.Equal(t, "2026-10-012026-10-31", doc.Find(".chart-days").Text())
	require.Equal(t, 31, doc.Find("details tbody tr").Length())
	require.Equal(t, "true", doc.Find(".chart").AttrOr("aria-hidden", ""), "the table is the text of the plot")
}

// TestLargePlan: a plan that does not fit into a form can only be downloaded.
func TestLargePlan(t *testing.T) {
	p := &plan.Plan{Made: time.Now(), Going: 100_000, Lines: []plan.Line{{Repository: "a", Tag: "v1", Why: "<b>why</b>"}},
		Alone: []plan.Line{{Repository: "b/c", Why: "left alone: damaged"}}}
	for i := range 60 {
		p.Rules = append(p.Rules, plan.Rule{Name: fmt.Sprint("rule ", i)})
	}
	doc := draw(t, "retention-plan", planPage{Plan: p, MayManage: true, Hidden: 99_999})
	require.Zero(t, doc.Find(`form[action$="rehearse"]`).Length())
	require.Equal(t, 1, doc.Find(`form[action$="plan.json"]`).Length())
	require.Equal(t, 50, doc.Find("table[aria-labelledby=by-rule] tbody tr").Length())
	text := doc.Find("main").Text()
	for _, words := range []string{"too large for the page", "99,999 further lines", "keeps no history", "<b>why</b>",
		"left alone"} {
		require.Contains(t, text, words)
	}
	p.Packed = "x"
	doc = draw(t, "retention-plan", planPage{Plan: p})
	require.Equal(t, "Download plan.json", strings.TrimSpace(doc.Find("main form").Text()), "for a reader")
	require.Contains(t, draw(t, "retention-plan", planPage{Plan: &plan.Plan{}}).Text(), "Nothing goes at present.")
}

// TestRefusalsInWords: each reason of the API has a sentence.
func TestRefusalsInWords(t *testing.T) {
	r := retentionResult{Step: "undo", Hidden: 5}
	reasons := []string{"moved", "set-again", "kept", "in-use", "denied", "left-alone", "changed", "lost", "<b>new</b>"}
	for _, reason := range reasons {
		r.Refusals = append(r.Refusals, types.RetentionRefusal{Repository: "a", Digest: "sha256:1", Reason: reason})
	}
	doc := draw(t, "retention-result", r)
	for i, reason := range reasons {
		text := doc.Find("tbody tr").Eq(i).Find("td").Last().Text()
		require.Equal(t, reason == "<b>new</b>", text == reason, text)
	}
}

// TestUpstreamStates: an upstream that is down, and one that refuses requests for some time.
func TestUpstreamStates(t *testing.T) {
	left, limit := int64(0), int64(100)
	q := &request{now: time.Now()}
	page := mirrorPage{HitRatio: 100, MayManage: true}
	for _, u := range []types.Upstream{
		{Name: "<b>down</b>", Down: true, URLs: []string{"javascript:alert(1)"},
			Errors: map[string]int64{"connect": 3, "401": 0}},
		{Name: "waiting", Until: q.now.Add(time.Hour), Limit: &limit, Remaining: &left,
			Requests: map[string]int64{"GET blob": 4}},
	} {
		page.Upstreams = append(page.Upstreams, q.upstreamRow(u))
	}
	text := draw(t, "mirror", page).Find("main").Text()
	for _, words := range []string{"<b>down</b>", "offline", "connect: 3", "refuses requests for now", "0 of 100"} {
		require.Contains(t, text, words)
	}
	require.NotContains(t, text, "401")
}
