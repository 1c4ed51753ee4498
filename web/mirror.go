package web

import (
	"maps"
	"net/http"
	"slices"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/plot"
)

// mirrorViews are the views of the mirror.
func mirrorViews() []view {
	return []view{
		{name: "mirror", method: "GET", path: "/mirror", part: "mirror", handle: showMirror},
		{name: "mirror", method: "POST", path: "/mirror/refresh", part: "mirror", handle: refreshMirror},
		{name: "mirror", method: "POST", path: "/mirror/pin", part: "mirror", handle: pinImage},
		{name: "mirror", method: "POST", path: "/mirror/unpin", part: "mirror", handle: unpinImage},
	}
}

// mirrorPage is what the template "mirror" shows.
type mirrorPage struct {
	Notice    *notice
	Mirror    types.Mirror
	HitRatio  int // per cent, or -1 if nothing was asked for
	Upstreams []upstreamRow
	Pins      []types.Pin
	Next      string
	MayManage bool
	// Refresh and Pin are the forms.
	Refresh, Pin mirrorForm
}

// mirrorForm is a form about an image, with what was typed.
type mirrorForm struct{ Repository, Reference, Problem string }

// upstreamRow is an upstream with its counters in words.
type upstreamRow struct {
	types.Upstream
	// State is "down", "waiting" or "".
	State string
	// Requests is the number of requests, and Errors are the failures by their kind.
	Requests int64
	Errors   []string
	// LimitPercent is how much is left of the limit of pulls.
	LimitPercent int
}

// showMirror shows the state of the mirror.
func showMirror(q *request) (*answer, error) {
	return q.mirrorPage(mirrorForm{}, mirrorForm{}, http.StatusOK)
}

// mirrorPage shows the state of the mirror, and the forms with what was typed.
func (q *request) mirrorPage(refresh, pin mirrorForm, status int) (*answer, error) {
	if err := q.need(q.mayRegistry(auth.NameMirror, auth.Read)); err != nil {
		return nil, err
	}
	m, err := q.visitor.Mirror(q.Context())
	if err != nil {
		return nil, err
	}
	list := q.listPage()
	pins, err := collect(q.visitor.OnPage(list).Pins(q.Context()))
	if err != nil {
		return nil, err
	}
	page := mirrorPage{Mirror: m, HitRatio: -1, Pins: pins, Refresh: refresh, Pin: pin,
		MayManage: q.mayRegistry(auth.NameMirror, auth.Manage), Notice: q.notice(map[string]string{
			"same": "The upstream has the same. Nothing has changed.", "changed": "The mirror has the newest image now.",
			"pinned": "The mirror keeps the image.", "unpinned": "The image may be evicted again."})}
	page.Next = q.next(list)
	if asked := m.Hits + m.Misses; asked > 0 {
		page.HitRatio = plot.Percent(m.Hits, asked)
	}
	for _, u := range m.Upstreams {
		page.Upstreams = append(page.Upstreams, q.upstreamRow(u))
	}
	a := q.show(q.language.Text("Mirror"), page)
	a.status = status
	return a, nil
}

// upstreamRow returns an upstream in words.
func (q *request) upstreamRow(u types.Upstream) upstreamRow {
	row := upstreamRow{Upstream: u}
	switch {
	case u.Down:
		row.State = "down"
	case u.Until.After(q.now):
		row.State = "waiting"
	}
	for _, n := range u.Requests {
		row.Requests += n
	}
	for _, kind := range slices.Sorted(maps.Keys(u.Errors)) {
		if n := u.Errors[kind]; n > 0 {
			row.Errors = append(row.Errors, kind+": "+lang.Number(n))
		}
	}
	if u.Limit != nil && u.Remaining != nil {
		row.LimitPercent = plot.Percent(*u.Remaining, *u.Limit)
	}
	return row
}

// refreshMirror asks the upstream for a tag, or for all tags of a repository.
func refreshMirror(q *request) (*answer, error) {
	f := mirrorForm{Repository: q.value("repository"), Reference: q.value("reference")}
	done, err := q.visitor.RefreshMirror(q.Context(), types.Refresh{Repository: f.Repository, Tag: f.Reference})
	if problem, status := q.formProblem(err); problem != "" {
		f.Problem = problem
		return q.mirrorPage(f, mirrorForm{}, status)
	}
	if err != nil {
		return nil, err
	}
	result := "same"
	if done.Changed > 0 {
		result = "changed"
	}
	return q.to(q.page.path("mirror"), "done", result), nil
}

// pinImage keeps an image from eviction.
func pinImage(q *request) (*answer, error) {
	f := mirrorForm{Repository: q.value("repository"), Reference: q.value("reference")}
	if f.Repository == "" || f.Reference == "" {
		f.Problem = q.language.Text("Enter a repository, and a tag or a digest.")
		return q.mirrorPage(mirrorForm{}, f, http.StatusUnprocessableEntity)
	}
	err := q.visitor.Pin(q.Context(), f.Repository, f.Reference)
	if problem, status := q.formProblem(err); problem != "" {
		f.Problem = problem
		return q.mirrorPage(mirrorForm{}, f, status)
	}
	if err != nil {
		return nil, err
	}
	return q.to(q.page.path("mirror"), "done", "pinned"), nil
}

// unpinImage ends the protection of an image.
func unpinImage(q *request) (*answer, error) {
	if err := q.visitor.Unpin(q.Context(), q.value("repository"), q.value("reference")); err != nil {
		return nil, err
	}
	return q.to(q.page.path("mirror"), "done", "unpinned"), nil
}

// formProblem returns what the API says against the content of a form, and the status of the page with the form. An
// error of another kind is "".
func (q *request) formProblem(err error) (text string, status int) {
	if err == nil {
		return "", 0
	}
	status, _, detail := describe(err)
	switch status {
	case http.StatusNotFound:
		return q.language.Text("No upstream of the mirror has this repository."), http.StatusUnprocessableEntity
	case http.StatusBadRequest:
		return detail, http.StatusUnprocessableEntity
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway:
		return q.language.Text("The upstream does not respond. Try again later."), status
	}
	return "", status
}
