// Package client is a client of the management API of a registry; see package api.
//
//	c, err := client.New("https://hub.example.com/api", &client.Options{Name: "ann", Secret: token})
//	for repo, err := range c.Repositories(ctx, nil) { … }
//
// A method that reads an object also returns its [Version]. A method that changes the object takes this version, and
// fails with [ErrChanged] if the object was changed meanwhile:
//
//	team, version, err := c.Team(ctx, "acme", "dev")
//	team, version, err = c.UpdateTeam(ctx, "acme", "dev", version, types.TeamPatch{…})
//
// [AnyVersion] changes the object whatever its version. Lists read one page after the other while they are consumed. An
// error is the last element.
package client
