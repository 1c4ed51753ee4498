package web

import (
	"context"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// memberList is what the template "organisation" shows.
type memberList struct {
	*organisationPage
	Members []types.Member
	Next    string
	// Add is the form that adds a member, and Rows the state of the forms in the rows.
	Add, Rows *entry
}

// showMembers shows the members of an organisation.
func showMembers(q *request) (*answer, error) {
	p, err := q.organisationPage("")
	if err != nil {
		return nil, err
	}
	list := memberList{organisationPage: p, Add: q.entry("add", ""), Rows: q.entry("rows", "")}
	page := q.listPage()
	list.Members, err = collect(q.visitor.OnPage(page).Members(q.Context(), p.Organisation.Name))
	if err != nil {
		return nil, err
	}
	list.Next = q.next(page)
	return q.show(p.Organisation.Name, list), nil
}

func addMember(q *request) (*answer, error) {
	e, done := q.typed("add"), "added"
	name, user := q.param("organisation"), q.value("user")
	if !q.userTyped(e, user) {
		return q.again(e, showMembers)
	}
	add := q.visitor.AddMember
	if q.value("owner") == "true" {
		add, done = q.visitor.AddOwner, "owner"
	}
	if err := add(q.Context(), name, user, q.changeOptions()); err != nil {
		return q.refuse(e, err, showMembers, "user")
	}
	return q.toOrganisation("", done), nil
}

// userTyped reports whether a form has the name of a user, which is part of the path of a request to the API.
func (q *request) userTyped(e *entry, user string) bool {
	if user != "" && user != "." && user != ".." {
		return true
	}
	e.fail("user", q.language.Text("There is no user of this name."))
	return false
}

func addOwner(q *request) (*answer, error) { return changeOwner(q, q.visitor.AddOwner, "owner") }

func removeOwner(q *request) (*answer, error) {
	return changeOwner(q, q.visitor.RemoveOwner, "no-owner")
}

// changeOwner changes whether a member is an owner.
func changeOwner(q *request, change func(context.Context, string, string, *client.ChangeOptions) error,
	done string) (*answer, error) {
	e := q.typed("rows")
	if !q.userTyped(e, q.value("user")) {
		return nil, errNotFound
	}
	if err := change(q.Context(), q.param("organisation"), q.value("user"), q.changeOptions()); err != nil {
		if q.last(e, err, "An organisation needs an owner. Make somebody else an owner first.") {
			return q.again(e, showMembers)
		}
		return q.refuse(e, err, showMembers)
	}
	return q.toOrganisation("", done), nil
}

// last reports whether an error is about the last one of a kind, and puts a text into a form if so.
func (q *request) last(e *entry, err error, text string) bool {
	answered := answeredWith(err, "LAST")
	if answered == nil {
		return false
	}
	e.status = answered.Status
	e.fail("", q.language.Text(text))
	return true
}

// askRemoveMember returns the confirmation for the removal of a member, or for leaving.
func askRemoveMember(q *request) (*confirmation, error) {
	name, user := q.param("organisation"), q.param("user")
	own := user == q.visitor.Identity().Name
	if err := q.need(q.mayAccount(name, auth.Manage) || own && q.mayAccount(name, auth.Read)); err != nil {
		return nil, err
	}
	member, err := q.visitor.Member(q.Context(), name, user)
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c := &confirmation{Title: t("Remove %s from %s", user, name), Button: t("Remove the member"),
		Form: q.reasoned(q.asked("")), Cancel: q.page.path("organisations", name)}
	if own {
		c.Title, c.Button = t("Leave %s", name), t("Leave the organisation")
	}
	c.Points = []string{t("What the organisation and its teams permit ends at once.")}
	if n := int64(len(member.Teams)); n > 0 {
		c.Points = append(c.Points, q.language.Count(n, "The membership in %s team ends, too.",
			"The memberships in %s teams end, too."))
	}
	return c, nil
}

func doRemoveMember(q *request) (*answer, error) {
	name, user := q.param("organisation"), q.param("user")
	if err := q.visitor.RemoveMember(q.Context(), name, user, q.changeOptions()); err != nil {
		return nil, err
	}
	if user == q.visitor.Identity().Name && !q.admin() {
		return q.to(q.page.path("organisations"), "done", "left"), nil
	}
	return q.toOrganisation("", "removed"), nil
}
