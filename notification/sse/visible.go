package sse

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
)

// viewer decides what one caller sees. Its decisions are asked again after a time.
type viewer struct {
	authorizer auth.Authorizer // nil: everything is allowed
	identity   auth.Identity
	recheck    time.Duration
	decided    map[auth.Access]bool
	since      time.Time // when the first of them was made
}

// maxDecisions is the maximum number of decisions that are remembered.
const maxDecisions = 10_000

// allowed reports whether the caller may do something.
//
// Errors: any error of the Authorizer but a denial.
func (v *viewer) allowed(ctx context.Context, a auth.Access) (bool, error) {
	if v.authorizer == nil {
		return true, nil
	}
	if now := time.Now(); v.decided == nil || now.Sub(v.since) >= v.recheck || len(v.decided) >= maxDecisions {
		v.decided, v.since = map[auth.Access]bool{}, now
	}
	if ok, known := v.decided[a]; known {
		return ok, nil
	}
	err := v.authorizer.Authorize(ctx, v.identity, []auth.Access{a})
	if err != nil && !errors.Is(err, auth.ErrDenied) && !errors.Is(err, auth.ErrScope) {
		return false, err
	}
	v.decided[a] = err == nil
	return err == nil, nil
}

// in returns the access to a repository, or to a tag.
func in(repo string, action auth.Action, tag string) auth.Access {
	return auth.Access{Type: auth.TypeRepository, Name: repo, Action: action, Tag: tag}
}

// see returns an event as the caller may see it, and whether the caller may see it at all. It makes
// the decisions that the registry makes for the history of a repository.
//
// Errors: any error of the Authorizer but a denial.
func (v *viewer) see(ctx context.Context, e notification.Event) (notification.Event, bool, error) {
	switch {
	case e.Action == notification.Account:
		return e, v.authorizer == nil, nil // an Authorizer does not know who may see accounts
	case e.Repository == "":
		return v.seeOther(ctx, e)
	}
	whole, err := v.allowed(ctx, in(e.Repository, auth.Pull, ""))
	if err != nil {
		return e, false, err
	}
	var tags []string
	for _, tag := range e.Tags {
		ok, err := v.allowed(ctx, in(e.Repository, auth.Pull, tag))
		if err != nil {
			return e, false, err
		}
		if ok {
			tags = append(tags, tag)
		}
	}
	if len(tags) == 0 && (!whole || e.Kind == notification.Tag) {
		return e, false, nil
	}
	e.Tags = tags
	if e.From != "" {
		ok, err := v.allowed(ctx, in(e.From, auth.Pull, ""))
		if err != nil {
			return e, false, err
		}
		if !ok {
			e.From = ""
		}
	}
	writes, err := v.pushes(ctx, e.Repository, tags)
	if err != nil {
		return e, false, err
	}
	if !writes {
		e.Actor, e.Request, e.Previous, e.Instance = "", nil, "", ""
	}
	return e, true, nil
}

// seeOther is see for an event that is not about one repository. Everyone hears that events are
// missing, but not whose.
func (v *viewer) seeOther(ctx context.Context, e notification.Event) (notification.Event, bool, error) {
	all, err := v.allowed(ctx, auth.Access{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All})
	if err != nil || all || e.Action != notification.Missing {
		return e, all, err
	}
	return notification.Event{ID: e.ID, Time: e.Time, Action: e.Action}, true, nil
}

// pushes reports whether the caller may push what an event is about.
func (v *viewer) pushes(ctx context.Context, repo string, tags []string) (bool, error) {
	for _, tag := range slices.Concat([]string{""}, tags) {
		if ok, err := v.allowed(ctx, in(repo, auth.Push, tag)); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}
