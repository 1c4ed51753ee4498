package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// robotRoutes are the routes of the part robots. Users have access to their own robots, and owners to those of their
// organisations. Both may disable and enable them.
func (a *API) robotRoutes() []route {
	const (
		robots = "/v1/namespaces/{namespace}/robots"
		robot  = robots + "/{robot}"
	)
	return []route{
		{method: "GET", path: robots, access: needs(auth.TypeAccount, "{namespace}", auth.Read), handle: listRobots},
		{method: "POST", path: robots, access: needs(auth.TypeAccount, "{namespace}", auth.Manage), handle: createRobot},
		{method: "GET", path: robot, access: onRobot(auth.Read), handle: getRobot},
		{method: "PATCH", path: robot, access: onRobot(auth.Manage), conditional: true, handle: updateRobot},
		{method: "DELETE", path: robot, access: onRobot(auth.Manage), conditional: true, handle: deleteRobot},
		{method: "POST", path: robot + "/disable", access: onRobot(auth.Manage), handle: disableRobot},
		{method: "POST", path: robot + "/enable", access: onRobot(auth.Manage), handle: enableRobot},
	}
}

// onRobot lets callers with a permission on the robot in the path use a route.
func onRobot(action auth.Action) access {
	return func(q *request) ([]auth.Access, error) {
		return []auth.Access{{Type: auth.TypeAccount, Name: q.robotName(), Action: action}}, nil
	}
}

// robotName returns the name of the robot in the path, with the namespace.
func (q *request) robotName() string { return q.param("namespace") + "+" + q.param("robot") }

// robotOf returns a robot as the API shows it.
func robotOf(acc *accounts.Account) types.Robot {
	return types.Robot{ID: string(acc.ID), Name: acc.Name, Created: acc.Created.UTC(), Disabled: markOf(acc.Disabled),
		Grants: allGrantsOf(acc.Grants)}
}

// matchRobot is match for Actor.If.
func (q *request) matchRobot(current *accounts.Account) error { return q.match(robotOf(current)) }

// robot returns the robot in the path.
//
// Errors: 404, also for a former name of the namespace.
func (q *request) robot() (*accounts.Account, error) {
	acc, err := q.api.opts.Accounts.Find(q.Context(), q.robotName())
	if errors.Is(err, accounts.ErrUnknown) || err == nil && (acc.Name != q.robotName() || acc.Kind != accounts.Robot) {
		return nil, errNotFound.WithMessage("there is no robot of this name")
	}
	return acc, err
}

func listRobots(q *request) (*response, error) {
	if err := q.only("limit", "after"); err != nil {
		return nil, err
	}
	after, limit, err := q.page()
	if err == nil {
		err = checkCursor(after)
	}
	if err != nil {
		return nil, err
	}
	namespace, err := q.accountAt("namespace", accounts.User, accounts.Organisation)
	if err != nil {
		return nil, err
	}
	list := types.RobotList{Items: []types.Robot{}}
	for robot, err := range q.api.opts.Accounts.Robots(q.Context(), namespace.ID, after) { // at most 100
		if err != nil {
			return nil, err
		}
		if len(list.Items) == limit {
			return &response{body: list, next: after}, nil
		}
		_, after, _ = strings.Cut(robot.Name, "+")
		shown := robotOf(robot)
		shown.Name = namespace.Name + "+" + after
		ok, err := q.caller.Allows(q.Context(), auth.Access{Type: auth.TypeAccount, Name: shown.Name, Action: auth.Read})
		if err != nil {
			return nil, err
		}
		if ok {
			list.Items = append(list.Items, shown)
		}
	}
	return &response{body: list}, nil
}

func createRobot(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	var body types.NewRobot
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	namespace, err := q.accountAt("namespace", accounts.User, accounts.Organisation)
	if err != nil {
		return nil, err
	}
	robot, err := q.api.opts.Accounts.CreateRobot(q.Context(), by, namespace.ID, body.Name, toGrants(body.Grants))
	if err != nil {
		return nil, err
	}
	return created(fmt.Sprintf("/v1/namespaces/%s/robots/%s", namespace.Name, body.Name), robotOf(robot)), nil
}

func getRobot(q *request) (*response, error) {
	if err := q.only(); err != nil {
		return nil, err
	}
	robot, err := q.robot()
	if err != nil {
		return nil, err
	}
	return found(robotOf(robot)), nil
}

// changeRobot makes a change of the robot in the path. The change must use the Actor, which has the condition.
func changeRobot(q *request,
	change func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error)) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	robot, err := q.robot()
	if err != nil {
		return nil, err
	}
	name := robot.Name
	by.If = q.matchRobot
	if robot, err = change(q.Context(), by, robot.ID); err != nil {
		return nil, err
	}
	shown := robotOf(robot)
	shown.Name = name
	return found(shown), nil
}

func updateRobot(q *request) (*response, error) {
	var body types.RobotChange
	if err := q.decode(&body); err != nil {
		return nil, err
	}
	return changeRobot(q, func(ctx context.Context, by accounts.Actor, id accounts.ID) (*accounts.Account, error) {
		if body.Grants != nil {
			return q.api.opts.Accounts.UpdateRobot(ctx, by, id, toGrants(*body.Grants))
		}
		robot, err := q.robot() // nothing to change
		if err == nil {
			err = by.If(robot)
		}
		return robot, err
	})
}

func deleteRobot(q *request) (*response, error) {
	by, err := q.change("reason")
	if err != nil {
		return nil, err
	}
	robot, err := q.robot()
	if err != nil {
		return nil, err
	}
	by.If = q.matchRobot
	if err := q.api.opts.Accounts.Remove(q.Context(), by, robot.ID); err != nil {
		return nil, err
	}
	if !q.matched { // another request has removed the robot meanwhile
		return nil, errNotFound.WithMessage("there is no robot of this name")
	}
	return done(), nil
}

func disableRobot(q *request) (*response, error) { return changeRobot(q, q.api.opts.Accounts.Disable) }

func enableRobot(q *request) (*response, error) { return changeRobot(q, q.api.opts.Accounts.Enable) }
