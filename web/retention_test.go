package web_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/web"
)

const someRules = `rules:
- name: five builds
  repositories: [acme/**, "!acme/archive"]
  tags: [b*]
  if: {olderThan: 1ms, signed: false}
  keep: {newest: 5, group: '^(b)', pulledWithin: 30d, labels: {stage: prod*}}
- name: versions
  tags: ["[0-9]*"]
  keep: {versions: 3, per: minor, platforms: [linux/arm64]}
- name: untagged
  untagged: true
  keep: none
- name: the rest
  if: {notPulledWithin: 7d, annotations: {"a.b": x}, artifactTypes: [application/*], referenced: true}
  keep: all
`

// fiveBuilds lets all but five builds go.
const fiveBuilds = "rules: [{name: five builds, tags: [b*], keep: {newest: 5}}]"

// withRetention adds a Planner to a site.
func withRetention(t *testing.T, s *site, manage *api.Options, text string) {
	t.Helper()
	rules, err := retention.Parse("retain.yaml", []byte(text))
	require.NoError(t, err)
	pulls, err := pulltime.New(s.driver, nil)
	require.NoError(t, err)
	manage.Retention, err = retention.New(s.store, s.driver, rules, &retention.Options{MinAge: -1, Pulls: pulls})
	require.NoError(t, err)
}

// newRetentionSite starts a site with n tags that the first rule covers.
func newRetentionSite(t *testing.T, rules string, n int) *site {
	t.Helper()
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) { withRetention(t, s, manage, rules) })
	for i := range n {
		image := registrytest.RandomImage(uint64(i), 1, 100)
		require.NoError(t, image.Push(t.Context(), s.store, "acme/app", fmt.Sprintf("b%03d", i)))
	}
	return s
}

// tags returns the number of tags of acme/app.
func (s *site) tags(t *testing.T) (n int) {
	t.Helper()
	for _, err := range s.store.Tags(t.Context(), "acme/app", nil) {
		require.NoError(t, err)
		n++
	}
	return n
}

// TestRetentionPlanInChinese: the plan says in the language of the reader with which tag an image goes.
func TestRetentionPlanInChinese(t *testing.T) {
	s := newRetentionSite(t, fiveBuilds, 7)
	r := s.raw(t, "boss", http.MethodPost, "/retention/plan", "", "Accept-Language", "zh-CN")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, string(r.body), "随 b000 一起移除")
	require.NotContains(t, string(r.body), "goes with")
}

// TestRetentionRules: the rules are shown in words.
func TestRetentionRules(t *testing.T) {
	s := newRetentionSite(t, someRules, 0)
	text := s.get(t, "boss", "/retention").text
	for _, words := range []string{"tags like b*", "in repositories like acme/**, !acme/archive", "not signed",
		"the newest 5, counted for each group that ^(b) names", "or pulled within the last 30 days",
		"or with the labels stage=prod*", "the 3 highest versions, counted for each minor version", "or for linux/arm64",
		"untagged images", "nothing stays", "all tags", "not pulled for 7 days", "with the annotations a.b=x",
		"of the type application/*", "named by another image", "everything stays", "set more than 1ms ago"} {
		require.Contains(t, text, words)
	}
}

// TestRetention: a plan is made, rehearsed, applied as it was shown, and undone.
func TestRetention(t *testing.T) {
	s := newRetentionSite(t, fiveBuilds, 12)
	plan := s.submit(t, "boss", s.get(t, "boss", "/retention"), `form[action="/ui/retention/plan"]`)
	require.Equal(t, http.StatusOK, plan.StatusCode, plan.text)
	require.Contains(t, plan.text, "7 tags go")
	require.Contains(t, plan.text, "of 12 tags in 1 repository")
	require.Equal(t, 12, s.tags(t))
	require.Equal(t, "five builds", plan.doc.Find("table[aria-labelledby=by-rule] tbody td").First().Text())

	// What is pushed after the plan stays, and what goes by the rules only now, too.
	require.NoError(t, registrytest.RandomImage(99, 1, 10).Push(t.Context(), s.store, "acme/app", "b000"))
	for i := range 3 {
		require.NoError(t, registrytest.RandomImage(200+uint64(i), 1, 10).Push(t.Context(), s.store, "acme/app",
			fmt.Sprintf("bnew%d", i)))
	}
	rehearsal := s.submit(t, "boss", plan, `form[action="/ui/retention/rehearse"]`)
	require.Equal(t, http.StatusOK, rehearsal.StatusCode, rehearsal.text)
	require.Contains(t, rehearsal.text, "Remove 6 tags and 7 images")
	require.Contains(t, rehearsal.text, "The tag points at another image now.")
	require.Equal(t, 15, s.tags(t))
	applied := s.submit(t, "boss", rehearsal, `form[action="/ui/retention/apply"]`)
	require.Contains(t, applied.text, "Removed 6 tags and 7 images.")
	require.Equal(t, 9, s.tags(t))
	_, err := s.store.StatManifest(t.Context(), "acme/app", reference.Ref{Tag: "b000"}, nil)
	require.NoError(t, err)

	file := s.submit(t, "boss", applied, `form[action="/ui/retention/plan.json"]`)
	require.Equal(t, `attachment; filename="plan.json"`, file.Header.Get("Content-Disposition"))
	_, _, err = retention.CheckPlan(strings.NewReader(string(file.body)))
	require.NoError(t, err, "the file is a plan")

	undone := s.submit(t, "boss", applied, `.undo form`)
	require.Equal(t, http.StatusOK, undone.StatusCode, undone.text)
	require.Equal(t, 15, s.tags(t))
	s.submit(t, "boss", rehearsal, `form[action="/ui/retention/apply"]`)
	require.Equal(t, 9, s.tags(t))
	undone = s.post(t, "boss", "/retention/undo", "pasted", string(file.body))
	require.Equal(t, http.StatusOK, undone.StatusCode, undone.text)
	require.Equal(t, 15, s.tags(t), "by the file")
}

// TestRetentionRefusals: malformed plans change nothing, and what was pasted stays in the form.
func TestRetentionRefusals(t *testing.T) {
	s := newRetentionSite(t, fiveBuilds, 12)
	for _, path := range []string{"rehearse", "apply", "undo"} {
		for _, plan := range append([]string{"", "x", "H4sIAAAAAAAA", strings.Repeat("A", 1000)}, hostile...) {
			r := s.post(t, "boss", "/retention/"+path, "plan", plan)
			require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s %q: %s", path, plan, r.text)
		}
	}
	r := s.post(t, "boss", "/retention/undo", "pasted", `</textarea><script>alert(1)</script>`)
	require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode)
	require.Equal(t, `</textarea><script>alert(1)</script>`, r.doc.Find("textarea").Text())
	require.Equal(t, "pasted-problem", r.doc.Find("textarea").AttrOr("aria-describedby", ""))
	require.Equal(t, http.StatusRequestEntityTooLarge,
		s.post(t, "boss", "/retention/undo", "pasted", strings.Repeat("x", 1<<20)).StatusCode)
	require.Equal(t, 12, s.tags(t))
	file := s.post(t, "boss", "/retention/plan.json")
	_, totals, err := retention.CheckPlan(strings.NewReader(string(file.body)))
	require.NoError(t, err)
	require.Equal(t, int64(7), totals.RemovedTags)
}

// TestRetentionOfMany: the page of a plan shows its first lines, and the form contains all.
func TestRetentionOfMany(t *testing.T) {
	s := newRetentionSite(t, fiveBuilds, 505)
	s.calls.Store(0)
	plan := s.post(t, "boss", "/retention/plan")
	require.Zero(t, s.calls.Load())
	require.Equal(t, 200, plan.doc.Find("table[aria-labelledby=goes] tbody tr").Length())
	require.Contains(t, plan.text, "800 further lines are in the file.")
	rehearsal := s.submit(t, "boss", plan, `form[action="/ui/retention/rehearse"]`)
	applied := s.submit(t, "boss", rehearsal, `form[action="/ui/retention/apply"]`)
	require.Contains(t, applied.text, "Removed 500 tags and 500 images.")
	require.Equal(t, 5, s.tags(t))
}
