package web

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/registrykit/registry/api/types"
)

// maxGrantRows is the maximum number of rows that a form of grants sends. The API permits 100 grants.
const maxGrantRows = 120

// grantForm is what the template part "grants" shows: one row for each grant, and an empty one.
type grantForm struct {
	Form *entry
	Rows []grantRow
	// Roles are the roles, in their order.
	Roles []option
	// Hint says what the patterns are relative to.
	Hint string
}

// grantRow is a row of the form. N is its number.
type grantRow struct {
	N             int
	Pattern, Role string
	Error         string
	Removed       bool
}

// roles returns the roles of grants.
func (q *request) roles() []option {
	t := q.language.Text
	return []option{{"read", t("read: pull")}, {"write", t("write: pull and push")},
		{"maintain", t("maintain: also delete and restore")}, {"admin", t("admin: also settings")}}
}

// grantForm returns the rows of grants, or those that the request has sent. more is the number of empty rows.
func (q *request) grantForm(e *entry, grants []types.Grant, more int, hint string) *grantForm {
	g := &grantForm{Form: e, Roles: q.roles(), Hint: hint}
	if q.entries[e.ID] == e {
		for _, row := range q.grantRows() {
			row.Error = e.Error(fmt.Sprint("pattern-", row.N))
			g.Rows = append(g.Rows, row)
		}
		return g
	}
	for _, one := range grants {
		g.Rows = append(g.Rows, grantRow{N: len(g.Rows), Pattern: one.Repositories, Role: one.Role})
	}
	for range more {
		g.Rows = append(g.Rows, grantRow{N: len(g.Rows), Role: "read"})
	}
	return g
}

// grantRows returns the rows that the request has sent.
func (q *request) grantRows() (rows []grantRow) {
	for n := range maxGrantRows {
		pattern := fmt.Sprint("pattern-", n)
		if !q.PostForm.Has(pattern) {
			break
		}
		rows = append(rows, grantRow{N: n, Pattern: strings.TrimSpace(q.PostForm.Get(pattern)),
			Role: q.PostForm.Get(fmt.Sprint("role-", n)), Removed: q.PostForm.Has(fmt.Sprint("remove-", n))})
	}
	return rows
}

// grants returns the grants that the request has sent: those of all rows that have a pattern and are not
// to be removed. It is never nil.
func (q *request) grants() []types.Grant {
	grants := []types.Grant{}
	for _, row := range q.grantRows() {
		if row.Pattern != "" && !row.Removed {
			grants = append(grants, types.Grant{Repositories: row.Pattern, Role: row.Role})
		}
	}
	return grants
}

// grantField returns the field of the grant with an index in what request.grants has returned. Rows without
// a pattern are no grants.
func (q *request) grantField(index string) string {
	left, _ := strconv.Atoi(index)
	for _, row := range q.grantRows() {
		if row.Pattern == "" || row.Removed {
			continue
		}
		if left == 0 {
			return fmt.Sprint("pattern-", row.N)
		}
		left--
	}
	return ""
}

// Number returns the number of the row for people.
func (r grantRow) Number() int { return r.N + 1 }
