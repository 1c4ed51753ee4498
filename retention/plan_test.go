package retention_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
)

// planLine returns the line of a plan about a tag.
func planLine(t *testing.T, plan []byte, tag string) retention.Line {
	t.Helper()
	p, err := retention.ReadPlan(bytes.NewReader(plan))
	require.NoError(t, err)
	for lines, err := range p.Repositories() {
		require.NoError(t, err)
		for _, l := range lines {
			if l.Tag == tag {
				return l
			}
		}
	}
	require.Fail(t, "no line", tag)
	return retention.Line{}
}

const planRules = `rules:
- name: "versions <&>"
  tags: [v*]
  keep: {newest: 1}
- {name: untagged, untagged: true, keep: none}
`

// TestPlan: a plan has a line for each tag and for each manifest that goes, and is read back as it
// was written.
func TestPlan(t *testing.T) {
	w := newWorld(t, &storage.Options{History: 30 * day})
	old, lone := w.image("v1"), w.image()
	w.image("v2")
	w.image("latest")
	layer, err := registry.PushBlob(t.Context(), w.store, "a/other", "", strings.NewReader("layer"))
	require.NoError(t, err)
	_, err = w.store.PutManifest(t.Context(), "a/other", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,`+
		`"mediaType":"`+ocispec.MediaTypeImageManifest+`","config":{"mediaType":"a/b","digest":"`+string(layer.Digest)+
		`","size":5},"layers":[]}`), &registry.PutOptions{Tags: []registry.TagPut{{Name: "x"}}})
	require.NoError(t, err)
	var plan bytes.Buffer
	totals, err := w.planner(planRules).Plan(t.Context(), &plan)
	require.NoError(t, err)
	require.Positive(t, totals.Bytes)
	require.Equal(t, retention.Totals{
		Repositories: 2, Tags: 4, Untagged: 1, RemovedTags: 1, RemovedManifests: 2, Bytes: totals.Bytes,
	}, totals)
	require.True(t, json.Valid(plan.Bytes()))
	for _, text := range strings.Split(plan.String(), "\n") {
		require.LessOrEqual(t, strings.Count(text, `"repository"`), 1, "one line for each")
	}
	header, found, err := retention.CheckPlan(bytes.NewReader(plan.Bytes()))
	require.NoError(t, err)
	require.Equal(t, totals, found)
	id, err := w.store.ID(t.Context())
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), header.Made, time.Minute)
	header.Made = time.Time{}
	require.Equal(t, retention.Header{
		Format: retention.PlanFormat, Version: retention.PlanVersion, Storage: id, History: 30 * 24 * 3600,
		RulesName: "rules.yaml", Rules: planRules,
	}, header)
	p, err := retention.ReadPlan(bytes.NewReader(plan.Bytes()))
	require.NoError(t, err)
	var all [][]retention.Line
	for lines, err := range p.Repositories() {
		require.NoError(t, err)
		all = append(all, lines)
	}
	require.Len(t, all, 2)
	require.Equal(t, "a/other", all[0][0].Repository)
	require.Equal(t, "no rule covers it", all[0][0].Why)
	require.Equal(t, w.evaluateAt(planRules, p.Header().Made).Lines, all[1])
	require.Len(t, all[1], 5)
	require.Equal(t, old.Digest, all[1][1].Digest)
	require.NotEqual(t, lone.Digest, old.Digest)
	require.Equal(t, totals, p.Totals())
	for _, err := range p.Repositories() {
		require.ErrorContains(t, err, "read already")
	}
}

// TestRefusedPlans: what is no whole plan is refused, with a *PlanError, and its last repository is
// not yielded.
func TestRefusedPlans(t *testing.T) {
	w := newWorld(t, nil)
	w.image("v1")
	w.image("v2")
	var out bytes.Buffer
	_, err := w.planner(planRules).Plan(t.Context(), &out)
	require.NoError(t, err)
	plan := out.String()
	refused := func(content, want string) {
		t.Helper()
		p, err := retention.ReadPlan(strings.NewReader(content))
		if err == nil {
			for lines, e := range p.Repositories() {
				if err = e; err == nil {
					require.NotEqual(t, app, lines[0].Repository)
				}
			}
		}
		var planError *retention.PlanError
		require.ErrorAs(t, err, &planError)
		require.ErrorContains(t, err, want)
		_, _, err = retention.CheckPlan(strings.NewReader(content))
		require.ErrorAs(t, err, &planError)
	}
	for n := range len(plan) - 1 {
		refused(plan[:n], "")
	}
	refused(plan[:len(plan)-3], "ends early")
	for old, c := range map[string]struct{ replacement, want string }{
		`"retention plan"`:  {`"other"`, `the format is "other", not "retention plan"`},
		`"version": 1`:      {`"version": 2`, "it has version 2, and this program reads versions up to 1"},
		`"storage": "`:      {`"x": 1, "storage": "`, `unknown field "x"`},
		`"history": 0`:      {`"history": -1`, "negative history"},
		`"history": 0,`:     {`"history": 0, "history": 1,`, `"history" occurs twice`},
		`"rules": `:         {`"rulesName": `, "occurs twice"},
		`"decision":"goes"`: {`"decision":"maybe"`, "invalid decision"},
		`"tag":"v1"`:        {`"tag":"v 1"`, "invalid tag"},
		`"repository":"`:    {`"repository":"A`, "invalid repository"},
		`"digest":"sha256:`: {`"digest":"sha256:x`, "invalid digest"},
		`"set":"`:           {`"set":"x`, "line: "},
		`"rule":"`:          {`"other":"x","rule":"`, `unknown field "other"`},
		`"lines": [`:        {`"lines": [1,`, "line: "},
		`"totals"`:          {`"other"`, `"other" follows the lines, not the totals`},
		"\n],":              {"\n}", "invalid character '}'"},
		"}\n}\n":            {"}\n} {}", "something follows its end"},
		`"bytes":`:          {`"bytes":-`, "invalid bytes"},
	} {
		require.Contains(t, plan, old)
		refused(strings.Replace(plan, old, c.replacement, 1), c.want)
	}
	refused("{}", "a field is missing")
	refused(`{"format":"`+strings.Repeat("x", 9<<20)+`"}`, "a value is too long")
	line := `{"repository":"team/app","tag":"v0","digest":"` + string(w.image().Digest) + `","decision":"stays"}`
	refused(strings.Replace(plan, "\n],", ",\n"+strings.Replace(line, "team/app", "a", 1)+"\n],", 1), "not in order")
	_, err = retention.ReadPlan(iotest.ErrReader(errors.New("broken")))
	require.EqualError(t, err, "retention: reading a plan: broken")
}

// TestEditedPlan: a person may change a decision, and reformat the document.
func TestEditedPlan(t *testing.T) {
	w := newWorld(t, nil)
	w.image("v1")
	w.image("v2")
	var plan, compact bytes.Buffer
	_, err := w.planner(planRules).Plan(t.Context(), &plan)
	require.NoError(t, err)
	edited := strings.ReplaceAll(plan.String(), `"decision":"goes"`, `"decision":"stays"`)
	require.NoError(t, json.Compact(&compact, []byte(edited)))
	require.Equal(t, retention.Stays, planLine(t, compact.Bytes(), "v1").Decision)
}

// TestPlanFails: a plan that could not be written to its end is not one.
func TestPlanFails(t *testing.T) {
	w := newWorld(t, nil)
	for range 100 {
		w.image(fmt.Sprint("v", w.number))
	}
	_, err := w.planner(planRules).Plan(t.Context(), failing{})
	require.ErrorContains(t, err, "no space")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.planner(planRules).Plan(ctx, io.Discard)
	require.ErrorIs(t, err, context.Canceled)
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }
