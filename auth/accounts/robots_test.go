package accounts_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

func robotNames(t *testing.T, a *accounts.Accounts, namespace accounts.ID, after string) (names []string) {
	for r, err := range a.Robots(t.Context(), namespace, after) {
		require.NoError(t, err)
		names = append(names, r.Name)
	}
	return names
}

func TestRobots(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	ids := newUsers(t, a, "ann")
	org := newOrganisation(t, a, "acme", ids[0])
	for _, name := range []string{"deploy", "build", "scan"} {
		robot, err := a.CreateRobot(ctx, operator, org, name, []accounts.Grant{writeApp})
		require.NoError(t, err)
		require.Equal(t, "acme+"+name, robot.Name)
		require.Equal(t, accounts.Robot, robot.Kind)
		require.Equal(t, org, robot.Namespace)
		found, err := a.Lookup(ctx, "acme+"+name)
		require.NoError(t, err)
		require.Equal(t, robot, found)
	}
	_, err := a.CreateRobot(ctx, operator, ids[0], "deploy", nil)
	require.NoError(t, err, "of a user")
	_, err = a.CreateRobot(ctx, operator, org, "deploy", nil)
	require.ErrorIs(t, err, accounts.ErrTaken)
	require.Equal(t, []string{"acme+build", "acme+deploy", "acme+scan"}, robotNames(t, a, org, ""))
	require.Equal(t, []string{"acme+scan"}, robotNames(t, a, org, "acme+deploy"))
	require.Equal(t, []string{"acme+scan"}, robotNames(t, a, org, "eploy"))

	robot, err := a.Lookup(ctx, "acme+deploy")
	require.NoError(t, err)
	updated, err := a.UpdateRobot(ctx, operator, robot.ID, nil)
	require.NoError(t, err)
	require.Empty(t, updated.Grants)
	found, err := a.Account(ctx, robot.ID)
	require.NoError(t, err)
	require.Empty(t, found.Grants)

	require.NoError(t, a.Remove(ctx, operator, robot.ID))
	_, err = a.UpdateRobot(ctx, operator, robot.ID, []accounts.Grant{writeApp})
	require.ErrorIs(t, err, accounts.ErrUnknown)
	again, err := a.CreateRobot(ctx, operator, org, "deploy", nil)
	require.NoError(t, err)
	require.NotEqual(t, robot.ID, again.ID, "secrets of the removed robot are not those of the new one")

	require.NoError(t, a.Remove(ctx, operator, org))
	found, err = a.Account(ctx, again.ID)
	require.NoError(t, err)
	require.NotNil(t, found.Removed, "with its namespace")
	_, err = a.CreateRobot(ctx, operator, org, "more", nil)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	for _, err := range a.Robots(ctx, org, "") {
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
}

func TestRobotsArguments(t *testing.T) {
	ctx := t.Context()
	a := open(t, memory.New(nil), nil)
	org := newOrganisation(t, a, "acme", newUsers(t, a, "ann")[0])
	robot, err := a.CreateRobot(ctx, operator, org, "deploy", nil)
	require.NoError(t, err)
	for _, bad := range []accounts.ID{robot.ID, "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		_, err := a.CreateRobot(ctx, operator, bad, "build", nil)
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
	for _, bad := range []accounts.ID{org, "", "x/../y", "aaaaaaaaaaaaaaaa"} {
		_, err := a.UpdateRobot(ctx, operator, bad, nil)
		require.ErrorIs(t, err, accounts.ErrUnknown)
	}
	for _, bad := range []string{"", "x", "A-robot", "a+b", "../b"} {
		_, err := a.CreateRobot(ctx, operator, org, bad, nil)
		require.ErrorIs(t, err, accounts.ErrInvalid)
	}
	tooMany := slices.Repeat([]accounts.Grant{writeApp}, 101)
	_, err = a.CreateRobot(ctx, operator, org, "build", tooMany)
	require.ErrorIs(t, err, accounts.ErrInvalid)
	_, err = a.UpdateRobot(ctx, operator, robot.ID, tooMany)
	require.ErrorIs(t, err, accounts.ErrInvalid)
	for i := range 99 {
		_, err := a.CreateRobot(ctx, operator, org, fmt.Sprintf("robot-%02d", i+200), nil)
		require.NoError(t, err)
	}
	_, err = a.CreateRobot(ctx, operator, org, "more", nil)
	require.ErrorIs(t, err, accounts.ErrLimit)
	require.Len(t, robotNames(t, a, org, ""), 100)
}

// The removal of a robot may stop after each of its writes: the name can be used again.
func TestANameOfARemovedRobotIsFree(t *testing.T) {
	ctx := t.Context()
	for n := 1; ; n++ {
		below := memory.New(nil)
		d := drivertest.NewFaulty(below, nil)
		a := open(t, d, nil)
		org := newOrganisation(t, a, "acme", newUsers(t, a, "ann")[0])
		robot, err := a.CreateRobot(ctx, operator, org, "deploy", nil)
		require.NoError(t, err)
		d.CutAfter(n)
		err = a.Remove(ctx, operator, robot.ID)
		again, cerr := open(t, below, nil).CreateRobot(ctx, operator, org, "deploy", nil)
		require.NoError(t, cerr)
		found, lerr := open(t, below, nil).Lookup(ctx, "acme+deploy")
		require.NoError(t, lerr)
		require.Equal(t, again.ID, found.ID)
		if !d.Cut() {
			require.NoError(t, err)
			return
		}
	}
}
