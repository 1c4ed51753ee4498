package web

import (
	"io"
	"net/http"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/plan"
)

// planLines is the maximum number of lines of a plan on a page.
const planLines = 200

// retentionViews are the views of retention.
//
// A plan is never stored between two requests. The page that shows it contains all of what goes, packed, in the fields
// of its forms: so exactly the plan that a person has seen is rehearsed, applied and undone, on any replica. The API
// refuses each line of it that has changed since. A plan that is too large for a form is only shown in parts, and can
// be downloaded; a program applies it.
func retentionViews() []view {
	return []view{
		{name: "retention", method: "GET", path: "/retention", part: "retention", handle: showRetention},
		{name: "retention", method: "POST", path: "/retention/plan", part: "retention", handle: makePlan},
		{name: "retention", method: "POST", path: "/retention/plan.json", part: "retention", handle: downloadPlan},
		{name: "retention", method: "POST", path: "/retention/rehearse", part: "retention", handle: rehearsePlan},
		{name: "retention", method: "POST", path: "/retention/apply", part: "retention", handle: applyPlan},
		{name: "retention", method: "POST", path: "/retention/undo", part: "retention", handle: undoPlan},
	}
}

// retentionPage is what the template "retention" shows.
type retentionPage struct {
	Rules     types.RetentionRules
	Words     []ruleWords
	MayManage bool
	// Problem is what is wrong with the pasted plan, or "".
	Problem, Pasted string
}

// ruleWords is a rule in words.
type ruleWords struct {
	Name string
	// Covers says what the rule covers, and Keeps what stays of it.
	Covers, Keeps []string
}

// showRetention shows the rules.
func showRetention(q *request) (*answer, error) { return q.retentionPage("", "", http.StatusOK) }

// retentionPage shows the rules, and the form to undo a plan with what was typed.
func (q *request) retentionPage(pasted, problem string, status int) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameRetention, auth.Read)); err != nil {
		return nil, err
	}
	rules, err := q.visitor.RetentionRules(q.Context())
	if err != nil {
		return nil, err
	}
	page := retentionPage{Rules: rules, Pasted: pasted, Problem: problem,
		MayManage: q.mayRegistry(auth.NameRetention, auth.Manage)}
	for _, r := range rules.Details {
		page.Words = append(page.Words, q.ruleWords(r))
	}
	a := q.show(q.language.Text("Retention"), page)
	a.status = status
	return a, nil
}

// planPage is what the template "retention-plan" shows.
type planPage struct {
	*plan.Plan
	MayManage bool
	// Hidden is the number of lines that are not shown.
	Hidden int64
}

// makePlan evaluates the rules, and shows what goes.
func makePlan(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameRetention, auth.Read)); err != nil {
		return nil, err
	}
	stream, err := q.visitor.RetentionPlan(q.Context())
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	p, err := plan.Read(stream, planLines)
	if err != nil {
		return nil, err
	}
	for i, l := range p.Lines {
		if with, ok := strings.CutPrefix(l.Why, "goes with "); ok {
			p.Lines[i].Why = q.language.Text("goes with %s", with)
		}
	}
	p.SortRules()
	page := planPage{Plan: p, MayManage: q.mayRegistry(auth.NameRetention, auth.Manage),
		Hidden: p.Going - int64(len(p.Lines))}
	a := q.show(q.language.Text("Plan of retention"), page)
	a.template = "retention-plan"
	return a, nil
}

// downloadPlan sends a plan as a file: that of the form, or without one a new plan.
func downloadPlan(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameRetention, auth.Read)); err != nil {
		return nil, err
	}
	if packed := q.value("plan"); packed != "" {
		content, err := plan.Unpack(packed)
		if err != nil {
			return nil, errPlan
		}
		return q.download("application/json", "plan.json", io.NopCloser(content)), nil
	}
	stream, err := q.visitor.RetentionPlan(q.Context())
	if err != nil {
		return nil, err
	}
	return q.download("application/json", "plan.json", stream), nil
}

var errPlan = &failure{http.StatusBadRequest, "This is no plan that the page has made. Make the plan again."}

// retentionResult is what the template "retention-result" shows.
type retentionResult struct {
	types.RetentionResult
	// Step is "rehearse", "apply" or "undo".
	Step string
	// Packed is the plan, for the next step.
	Packed string
	// Hidden is the number of refusals that are not shown.
	Hidden int64
}

// maxRefused is the maximum number of refusals on a page.
const maxRefused = 200

// rehearsePlan shows what applying the plan of the form would do now.
func rehearsePlan(q *request) (*answer, error) { return q.executePlan("rehearse", q.value("plan")) }

// applyPlan removes what the plan of the form lets go.
func applyPlan(q *request) (*answer, error) { return q.executePlan("apply", q.value("plan")) }

// undoPlan restores what the plan of the form has removed. A person can also paste the file of a plan.
func undoPlan(q *request) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameRetention, auth.Manage)); err != nil {
		return nil, err
	}
	pasted := q.value("pasted")
	if pasted == "" {
		return q.executePlan("undo", q.value("plan"))
	}
	a, err := q.execute("undo", strings.NewReader(pasted), "")
	if status, _, detail := describe(err); err != nil && status == http.StatusBadRequest {
		return q.retentionPage(pasted, detail, http.StatusUnprocessableEntity)
	}
	return a, err
}

// executePlan executes a packed plan.
func (q *request) executePlan(step, packed string) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameRetention, auth.Manage)); err != nil {
		return nil, err
	}
	content, err := plan.Unpack(packed)
	if err != nil {
		return nil, errPlan
	}
	return q.execute(step, content, packed)
}

// execute rehearses, applies or undoes a plan, and shows the result. The result is the response to the POST itself,
// because only the form has the plan.
func (q *request) execute(step string, content io.Reader, packed string) (*answer, error) {
	do, dryRun := q.visitor.ApplyRetention, step == "rehearse"
	if step == "undo" {
		do = q.visitor.UndoRetention
	}
	result, err := do(q.Context(), content, dryRun)
	if err != nil {
		return nil, err
	}
	page := retentionResult{RetentionResult: result, Step: step, Packed: packed}
	if len(result.Refusals) > maxRefused {
		page.Refusals = result.Refusals[:maxRefused]
	}
	page.Hidden = max(0, result.Refused-int64(len(page.Refusals)))
	title := map[string]string{"rehearse": "Rehearsal", "apply": "What was removed", "undo": "What was restored"}[step]
	a := q.show(q.language.Text(title), page)
	a.template = "retention-result"
	return a, nil
}
