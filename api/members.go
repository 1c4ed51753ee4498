package api

import (
	"errors"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// leavesOrganisation lets owners remove every member, and users remove themselves.
func leavesOrganisation(q *request) ([]auth.Access, error) {
	if name := q.caller.Identity().Name; name != "" && name == q.param("user") {
		return []auth.Access{{Type: auth.TypeAccount, Name: name, Action: auth.Manage}}, nil
	}
	return manageOrganisation(q)
}

// memberships returns the names of the organisations that the caller is a member of, sorted. They come from the cache
// of the Authorizer.
func (q *request) memberships() ([]string, error) {
	identity := q.caller.Identity()
	id := accountID(&identity)
	if id == "" {
		return nil, nil
	}
	groups, err := q.api.opts.Accounts.Groups(q.Context(), id)
	if err != nil {
		return nil, unlessUnknown(err)
	}
	names := slices.DeleteFunc(slices.Clone(groups), func(group string) bool { return strings.Contains(group, "/") })
	slices.Sort(names)
	return names, nil
}

// leaving returns an error unless the caller manages the organisation in the path, or is a member of it. A caller who
// removes the own membership has not shown access to the organisation, and must not find out whether it exists.
//
// Errors: 404.
func (q *request) leaving() error {
	if q.caller.Identity().Name != q.param("user") {
		return nil
	}
	manages, err := q.caller.Allows(q.Context(),
		auth.Access{Type: auth.TypeAccount, Name: q.param("organisation"), Action: auth.Manage})
	if err != nil || manages {
		return err
	}
	names, err := q.memberships()
	if err == nil && !slices.Contains(names, q.param("organisation")) {
		err = errNotFound.WithMessage("there is no such membership")
	}
	return err
}

// memberOf returns a member as the API shows it.
func memberOf(name string, m *accounts.Member) types.Member {
	return types.Member{User: name, Owner: m.Owner, Teams: append([]string{}, m.Teams...), Since: m.Since.UTC()}
}

func listOwners(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	list := types.OwnerList{Items: []string{}}
	for _, id := range org.Owners {
		name, err := q.nameOf(id)
		if err != nil {
			return nil, err
		}
		if name != "" {
			list.Items = append(list.Items, name)
		}
	}
	slices.Sort(list.Items)
	return &response{body: list}, nil
}

// memberChange makes a change of the membership of the user in the path in the organisation in the path.
func memberChange(q *request, change func(by accounts.Actor, organisation, user accounts.ID) error) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	user, err := q.accountAt("user", accounts.User)
	if err == nil {
		err = change(by, org.ID, user.ID)
	}
	if err != nil {
		return nil, err
	}
	return done(), nil
}

func addOwner(q *request) (*response, error) {
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return q.api.opts.Accounts.AddOwner(q.Context(), by, organisation, user)
	})
}

func removeOwner(q *request) (*response, error) {
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return q.api.opts.Accounts.RemoveOwner(q.Context(), by, organisation, user)
	})
}

func addMember(q *request) (*response, error) {
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return q.api.opts.Accounts.AddMember(q.Context(), by, organisation, user)
	})
}

func removeMember(q *request) (*response, error) {
	if err := q.leaving(); err != nil {
		return nil, err
	}
	return memberChange(q, func(by accounts.Actor, organisation, user accounts.ID) error {
		return q.api.opts.Accounts.RemoveMember(q.Context(), by, organisation, user)
	})
}

func listMembers(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	return q.memberPage(org.ID, func(*accounts.Member) bool { return true })
}

// memberPage returns a page of the members of an organisation that match. It stops after maxExamined members.
func (q *request) memberPage(organisation accounts.ID, match func(*accounts.Member) bool) (*response, error) {
	after, limit, err := q.page()
	if err == nil {
		err = checkCursor(after)
	}
	if err != nil {
		return nil, err
	}
	list, examined := types.MemberList{Items: []types.Member{}}, 0
	for m, err := range q.api.opts.Accounts.Members(q.Context(), organisation, accounts.ID(after)) {
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit || examined >= max(limit, maxExamined) {
			return &response{body: list, next: after}, nil
		}
		examined++
		after = string(m.User)
		if !match(m) {
			continue
		}
		name, err := q.nameOf(m.User)
		if err != nil {
			return nil, err
		}
		if name != "" {
			list.Items = append(list.Items, memberOf(name, m))
		}
	}
	return &response{body: list}, nil
}

func getMember(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	org, err := q.organisation()
	if err != nil {
		return nil, err
	}
	user, err := q.accountAt("user", accounts.User)
	if err != nil {
		return nil, err
	}
	m, err := q.api.opts.Accounts.Member(q.Context(), org.ID, user.ID)
	if errors.Is(err, accounts.ErrUnknown) {
		return nil, errNotFound.WithMessage("the user is not a member")
	}
	if err != nil {
		return nil, err
	}
	return found(memberOf(user.Name, m)), nil
}
