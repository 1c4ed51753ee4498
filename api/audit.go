package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// maxExport is the maximum time from the first to the last record of an export.
const maxExport = 31 * 24 * time.Hour

const linesType = "application/x-ndjson"

// Limits of filters, in characters.
const (
	maxAuditName   = 255
	maxAuditAction = 64
)

// auditRoutes are the routes of the part audit.
func (a *API) auditRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/audit", access: ownAudit, handle: listAudit},
		{method: "GET", path: "/v1/audit/export", access: ownAudit, handle: exportAudit},
	}
}

var readAudit = auth.Access{Type: auth.TypeRegistry, Name: auth.NameAudit, Action: auth.Read}

// ownAudit lets callers with read access to the audit log read all of it. Managers of a repository read the
// records of that repository, if the query names it.
func ownAudit(q *request) ([]auth.Access, error) {
	repo := q.URL.Query().Get("repository")
	if repo == "" {
		return []auth.Access{readAudit}, nil
	}
	if err := registry.CheckName(repo); err != nil {
		return nil, err
	}
	return q.first(readAudit, auth.Access{Type: auth.TypeRepository, Name: repo, Action: auth.Manage})
}

// auditFilters are the parameters of a query.
func auditFilters() []string {
	return []string{"since", "until", "actor", "repository", "account", "action", "outcome"}
}

func listAudit(q *request) (*response, error) {
	if err := q.only(append(auditFilters(), "after", "limit")...); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err != nil {
		return nil, err
	}
	query, whole, err := q.auditQuery()
	if err != nil {
		return nil, err
	}
	records, next, err := q.api.opts.Audit.Page(q.Context(), query, after, limit)
	if err != nil {
		return nil, err
	}
	list := types.AuditList{Items: []types.AuditRecord{}}
	for _, r := range records {
		list.Items = append(list.Items, recordOf(r, whole))
	}
	return &response{body: list, next: next}, nil
}

func exportAudit(q *request) (*response, error) {
	if err := q.only(auditFilters()...); err != nil {
		return nil, err
	}
	query, whole, err := q.auditQuery()
	if err != nil {
		return nil, err
	}
	if !q.query.Has("since") {
		return nil, errInvalid.WithMessage("since is required")
	}
	until := query.Until
	if until.IsZero() {
		until = time.Now()
		query.Until = until.Add(24 * time.Hour) // another replica may have a clock that is ahead
	}
	if until.Sub(query.Since) > maxExport {
		return nil, errInvalid.WithMessage("an export has at most 31 days: state since and until")
	}
	return &response{contentType: linesType, fileName: "audit.jsonl", stream: func(w http.ResponseWriter) error {
		e := json.NewEncoder(w)
		for r, err := range q.api.opts.Audit.Records(q.Context(), query) {
			if err == nil {
				err = e.Encode(recordOf(r, whole))
			}
			if err != nil {
				return err
			}
		}
		return nil
	}}, nil
}

// auditQuery returns the query of the request. whole reports whether the caller may read the whole log.
//
// Errors: 400.
func (q *request) auditQuery() (query *audit.Query, whole bool, err error) {
	if err := q.filled(auditFilters()...); err != nil {
		return nil, false, err
	}
	query = &audit.Query{Repository: q.query.Get("repository"), Outcome: q.query.Get("outcome")}
	for name, text := range map[string]*string{"actor": &query.Actor, "account": &query.Account, "action": &query.Action} {
		limit := maxAuditName
		if name == "action" {
			limit = maxAuditAction
		}
		if *text, err = q.text(name, limit); err != nil {
			return nil, false, err
		}
	}
	for name, at := range map[string]*time.Time{"since": &query.Since, "until": &query.Until} {
		text := q.query.Get(name)
		if text == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1970 || t.Year() > 9000 {
			return nil, false, errInvalid.WithMessage(name + " must be a time such as 2026-01-31T12:00:00Z")
		}
		*at = t.UTC()
	}
	if o := query.Outcome; o != "" && o != audit.Allowed && o != audit.Denied {
		return nil, false, errInvalid.WithMessage(`outcome must be "allowed" or "denied"`)
	}
	if whole, err = q.caller.Allows(q.Context(), readAudit); err == nil && !whole {
		err = q.sinceOwned(query)
	}
	return query, whole, err
}

// sinceOwned hides what is older than the namespace of the repository from a caller who may not
// read the whole log. The name may have belonged to another account before.
func (q *request) sinceOwned(query *audit.Query) error {
	if q.api.opts.Accounts == nil || query.Repository == "" {
		return nil
	}
	namespace, _, _ := strings.Cut(query.Repository, "/")
	acc, err := q.api.opts.Accounts.Find(q.Context(), namespace)
	switch {
	case errors.Is(err, accounts.ErrUnknown):
		return nil // the rights of the caller do not come from an account
	case err != nil:
		return err
	case acc.Created.After(query.Since):
		query.Since = acc.Created
	}
	return nil
}

// recordOf returns a record of the log. Unless the caller may read the whole log, it leaves out the names of other
// repositories, such as the source of a mount.
func recordOf(r audit.Record, whole bool) types.AuditRecord {
	if !whole {
		if r.From != r.Repository {
			r.From = ""
		}
		other := func(access string) bool { return !strings.HasPrefix(access, "repository:"+r.Repository+":") }
		r.Accesses = slices.DeleteFunc(slices.Clone(r.Accesses), other)
	}
	rec := types.AuditRecord{
		ID: r.ID, Time: r.Time.UTC(), Actor: r.Actor, Action: r.Action, Kind: r.Kind, Outcome: r.Outcome,
		Repository: r.Repository, Tags: r.Tags, Digest: string(r.Digest), Previous: string(r.Previous), From: r.From,
		Name: r.Name, Accesses: r.Accesses, Rule: r.Rule, Reason: r.Reason, Instance: r.Instance, Count: r.Count,
		Last: instant(r.Last),
	}
	if a := r.Account; a != nil {
		rec.Account = &types.AuditChange{Change: a.Change, Name: a.Name, ID: a.ID, Team: a.Team, Member: a.Member,
			Secret: a.Secret, Before: a.Before, After: a.After, Reason: a.Reason}
	}
	if q := r.Request; q != nil {
		rec.Request = &types.AuditRequest{ID: q.ID, Method: q.Method, Path: q.Path, Address: q.Address,
			UserAgent: q.UserAgent}
	}
	return rec
}
