package web

import (
	"errors"
	"slices"
	"strings"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
)

// robotViews are the views of robots.
func robotViews() []view {
	const all, part = "/robots/{namespace}", "robots"
	const one = all + "/{robot}"
	return slices.Concat([]view{
		{name: "robots", method: "GET", path: all, part: part, handle: showRobots},
		{name: "robots", method: "GET", path: all + "/-/new", part: part, handle: showNewRobot},
		{name: "robots", method: "POST", path: all + "/-/new", part: part, handle: createRobot},
		{name: "robot", method: "GET", path: one, part: part, handle: showRobot},
		{name: "robot", method: "POST", path: one + "/grants", part: part, handle: changeRobotGrants},
		{name: "robot", method: "POST", path: one + "/enable", part: part, handle: enableRobot},
	}, tokenActions(robotTokens()), stepViews(
		step{view: "robot", part: part, path: one + "/disable", ask: askDisableRobot, do: disableRobot},
		step{view: "robot", part: part, path: one + "/delete", ask: askDeleteRobot, do: deleteRobot}))
}

// robotList is what the template "robots" shows.
type robotList struct {
	Namespace string
	Robots    []robotRow
	Next      string
	Tabs      []menuItem
	Notice    *notice
}

// robotRow is a robot of the list. Short is its name within the namespace.
type robotRow struct {
	types.Robot
	Short string
}

// shortName returns the name of a robot within its namespace.
func shortName(name string) string {
	_, short, _ := strings.Cut(name, "+")
	return short
}

// showRobots shows the robots of a user or organisation.
func showRobots(q *request) (*answer, error) {
	list := robotList{Namespace: q.param("namespace"), Notice: q.notice(map[string]string{
		"robot-deleted": "The robot was deleted."})}
	if err := q.need(q.mayAccount(list.Namespace, auth.Manage)); err != nil { // members do not see robots
		return nil, err
	}
	page := q.listPage()
	robots, err := collect(q.visitor.OnPage(page).Robots(q.Context(), list.Namespace))
	if err != nil {
		return nil, err
	}
	for _, robot := range robots {
		list.Robots = append(list.Robots, robotRow{robot, shortName(robot.Name)})
	}
	list.Next = q.next(page)
	if list.Tabs, err = q.namespaceTabs(list.Namespace); err != nil {
		return nil, err
	}
	return q.show(q.language.Text("Robots of %s", list.Namespace), list), nil
}

// namespaceTabs returns the links to the views of the user or organisation that robots belong to.
func (q *request) namespaceTabs(namespace string) ([]menuItem, error) {
	if !q.has("organisation") || !q.has("user") {
		return nil, nil
	}
	_, _, err := q.visitor.Organisation(q.Context(), namespace)
	switch {
	case err == nil:
		return q.organisationTabs(namespace, "robots"), nil
	case errors.Is(err, client.ErrNotFound):
		return q.userTabs(namespace, "robots"), nil
	}
	return nil, err
}

// robotForm is what the template "robot-new" shows.
type robotForm struct {
	Namespace string
	Form      *entry
	Grants    *grantForm
}

// showNewRobot shows the form for a new robot.
func showNewRobot(q *request) (*answer, error) {
	namespace := q.param("namespace")
	if err := q.need(q.mayAccount(namespace, auth.Manage)); err != nil {
		return nil, err
	}
	e := q.entry("robot", "")
	return &answer{title: q.language.Text("New robot"), template: "robot-new",
		data: robotForm{namespace, e, q.grantForm(e, nil, 3, q.teamHint(namespace))}}, nil
}

func createRobot(q *request) (*answer, error) {
	e, namespace := q.typed("robot"), q.param("namespace")
	robot, _, err := q.visitor.CreateRobot(q.Context(), namespace,
		types.NewRobot{Name: q.value("name"), Grants: q.grants()}, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showNewRobot, "name", "pattern")
	}
	return q.to(q.page.path("robots", namespace, shortName(robot.Name)), "done", "created"), nil
}

// robotPage is what the template "robot" shows.
type robotPage struct {
	Namespace, Short, Host string
	Robot                  types.Robot
	Version                client.Version
	// May reports whether the sender may change the robot.
	May    bool
	Grants *grantForm
	Tokens *tokenTable
	Notice *notice
}

// showRobot shows a robot with its grants and tokens.
func showRobot(q *request) (*answer, error) {
	p := robotPage{Namespace: q.param("namespace"), Short: q.param("robot"), Host: q.registryHost(),
		Notice: q.notice(map[string]string{"created": "The robot was created. Create a token with which it logs in.",
			"changed": "The permissions were changed.", "disabled": "The robot was disabled. Its tokens no longer work.",
			"enabled": "The robot was enabled.", "token-revoked": "The token was revoked."})}
	full := p.Namespace + "+" + p.Short
	if err := q.need(q.mayAccount(full, auth.Read)); err != nil {
		return nil, err
	}
	var err error
	if p.Robot, p.Version, err = q.visitor.Robot(q.Context(), p.Namespace, p.Short); err != nil {
		return nil, unlessDenied(err)
	}
	p.May = q.mayAccount(full, auth.Manage)
	p.Grants = q.grantForm(q.entry("grants", p.Version), p.Robot.Grants, 1, q.teamHint(p.Namespace))
	if q.page.api.Has("tokens") {
		place := robotTokens()
		if p.Tokens, err = q.tokenTable(&place, p.May); err != nil {
			return nil, err
		}
	}
	return q.show(q.language.Text("Robot %s", p.Robot.Name), p), nil
}

// robotTokens is the place of the tokens of a robot.
func robotTokens() tokenPlace {
	list := func(q *request) string { return q.page.path("robots", q.param("namespace"), q.param("robot")) }
	return tokenPlace{view: "robot", path: "/robots/{namespace}/{robot}/tokens", list: list,
		account: func(q *request) string { return q.param("namespace") + "+" + q.param("robot") },
		actions: func(q *request) string { return list(q) + "/tokens" }}
}

func changeRobotGrants(q *request) (*answer, error) {
	e, grants := q.typed("grants"), q.grants()
	_, _, err := q.visitor.UpdateRobot(q.Context(), q.param("namespace"), q.param("robot"), q.version(),
		types.RobotChange{Grants: &grants}, q.changeOptions())
	if err != nil {
		return q.refuse(e, err, showRobot, "pattern")
	}
	return q.toRobot("changed"), nil
}

// toRobot returns the redirect to the robot in the path after a change.
func (q *request) toRobot(done string) *answer {
	return q.to(q.page.path("robots", q.param("namespace"), q.param("robot")), "done", done)
}

func enableRobot(q *request) (*answer, error) {
	_, _, err := q.visitor.EnableRobot(q.Context(), q.param("namespace"), q.param("robot"), q.version(),
		q.changeOptions())
	return q.toRobot("enabled"), err
}

// askRobot returns the confirmation of a change of the robot in the path.
func (q *request) askRobot(title, button string, points ...string) (*confirmation, error) {
	namespace, short := q.param("namespace"), q.param("robot")
	if err := q.need(q.mayAccount(namespace+"+"+short, auth.Manage)); err != nil {
		return nil, err
	}
	robot, version, err := q.visitor.Robot(q.Context(), namespace, short)
	if err != nil {
		return nil, err
	}
	t := q.language.Text
	c := &confirmation{Title: t(title, robot.Name), Button: t(button), Form: q.reasoned(q.asked(version)),
		Cancel: q.page.path("robots", namespace, short)}
	c.Points = q.texts(points)
	return c, nil
}

func askDisableRobot(q *request) (*confirmation, error) {
	return q.askRobot("Disable %s", "Disable the robot", "Its tokens no longer work at once.",
		"Nothing is deleted. You can enable it again.")
}

func disableRobot(q *request) (*answer, error) {
	_, _, err := q.visitor.DisableRobot(q.Context(), q.param("namespace"), q.param("robot"), q.version(),
		q.changeOptions())
	return q.toRobot("disabled"), err
}

func askDeleteRobot(q *request) (*confirmation, error) {
	return q.askRobot("Delete the robot %s", "Delete the robot", "Its tokens end for good.",
		"What it has pushed stays. This cannot be undone.")
}

func deleteRobot(q *request) (*answer, error) {
	err := q.visitor.DeleteRobot(q.Context(), q.param("namespace"), q.param("robot"), q.version(), q.changeOptions())
	return q.to(q.page.path("robots", q.param("namespace")), "done", "robot-deleted"), err
}
