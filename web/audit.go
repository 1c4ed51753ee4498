package web

import (
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// auditViews are the views of the audit log.
func auditViews() []view {
	return []view{
		{name: "audit", method: "GET", path: "/audit", part: "audit", handle: showAudit},
		{name: "audit", method: "GET", path: "/audit/export", part: "audit", handle: exportAudit},
	}
}

// auditExport is the maximum time that an export covers, and the default.
const auditExport = 31 * 24 * time.Hour

// auditPage is what the template "audit" shows.
type auditPage struct {
	Query   auditForm
	Records []types.AuditRecord
	Next    string
	// Export is the URL of the same records as a file, or "" if the query covers more time than a file may.
	Export string
	// Problem is what is wrong with the times, or "".
	Problem string
	// Whole reports whether the caller may read all records. Others read those of a repository that they manage.
	Whole bool
}

// auditForm is what was typed.
type auditForm struct{ Since, Until, Actor, Repository, Account, Action, Outcome string }

// showAudit shows records of the audit log.
func showAudit(q *request) (*answer, error) {
	page := auditPage{Whole: q.mayRegistry(auth.NameAudit, auth.Read), Query: auditForm{
		Since: q.value("since"), Until: q.value("until"), Actor: q.value("actor"), Repository: q.value("repository"),
		Account: q.value("account"), Action: q.value("action"), Outcome: q.value("outcome")}}
	if err := q.mayAudit(); err != nil {
		return nil, err
	}
	title := q.language.Text("Audit log")
	query, ok := page.Query.query()
	if !ok {
		page.Problem = q.language.Text("Enter a time such as 2026-01-31 12:00.")
		a := q.show(title, page)
		a.status = http.StatusUnprocessableEntity
		return a, nil
	}
	list := q.listPage()
	var err error
	page.Records, err = collect(q.visitor.OnPage(list).Audit(q.Context(), query))
	if err != nil {
		return nil, err
	}
	page.Next = q.next(list)
	page.Export = q.exportURL(query)
	return q.show(title, page), nil
}

// mayAudit hides the audit log from callers who may neither read it, nor manage the repository that the query names.
//
// Errors: 401 for anonymous callers, and 404.
func (q *request) mayAudit() error {
	if repo := q.value("repository"); repo != "" && registry.CheckName(repo) == nil && q.mayRepository(repo, auth.Manage) {
		return nil
	}
	return q.need(q.mayRegistry(auth.NameAudit, auth.Read))
}

// query returns the query of a form. It returns false if a time is malformed.
func (f *auditForm) query() (query client.AuditQuery, ok bool) {
	since, ok := formTime(f.Since)
	until, also := formTime(f.Until)
	return client.AuditQuery{Since: since, Until: until, Actor: f.Actor, Repository: f.Repository, Account: f.Account,
		Action: f.Action, Outcome: f.Outcome}, ok && also
}

// formTime returns a time in UTC that was typed or chosen, or the zero Time for "".
func formTime(text string) (t time.Time, ok bool) {
	if text == "" {
		return t, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05",
		"2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() <= 9000 {
			return t.UTC(), true
		}
	}
	return t, false
}

// exportURL returns the URL of the records of a query as a file. Without a beginning, the file has the last 31 days.
func (q *request) exportURL(query client.AuditQuery) string {
	until := query.Until
	if until.IsZero() {
		until = q.now
	}
	if query.Since.IsZero() {
		query.Since = until.Add(-auditExport + time.Minute)
	}
	if until.Sub(query.Since) > auditExport {
		return ""
	}
	params := url.Values{}
	for name, value := range map[string]string{"actor": query.Actor, "repository": query.Repository,
		"account": query.Account, "action": query.Action, "outcome": query.Outcome} {
		if value != "" {
			params.Set(name, value)
		}
	}
	params.Set("since", query.Since.UTC().Format(time.RFC3339))
	if !query.Until.IsZero() {
		params.Set("until", query.Until.UTC().Format(time.RFC3339))
	}
	return q.page.path("audit", "export") + "?" + params.Encode()
}

// exportAudit sends records of the audit log as a file of JSON lines.
func exportAudit(q *request) (*answer, error) {
	if err := q.mayAudit(); err != nil {
		return nil, err
	}
	f := auditForm{Since: q.value("since"), Until: q.value("until"), Actor: q.value("actor"),
		Repository: q.value("repository"), Account: q.value("account"), Action: q.value("action"),
		Outcome: q.value("outcome")}
	query, ok := f.query()
	if !ok {
		return nil, errInvalid("Enter a time such as 2026-01-31 12:00.")
	}
	stream, err := q.visitor.ExportAudit(q.Context(), query)
	if err != nil {
		return nil, err
	}
	return q.download("application/x-ndjson", "audit.jsonl", stream), nil
}
