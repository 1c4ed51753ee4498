package accounts_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// Each change is audited once, and each refusal with its reason. What changes nothing is not.
func TestChangesOfOrganisationsAreAudited(t *testing.T) {
	actions := map[string]string{
		"AddAdmin": "admin.add cyd", "RemoveAdmin": "admin.remove bob",
		"AddOwner of another": "owner.add acme dee", "AddOwner of a member": "owner.add acme cyd",
		"RemoveOwner": "owner.remove acme bob", "RemoveOwner who made it": "owner.remove acme ann",
		"AddMember": "member.add acme dee", "RemoveMember": "member.remove acme cyd",
		"RemoveMember of an owner": "member.remove acme bob", "RemoveMember who made it": "member.remove acme ann",
		"CreateTeam": "team.create acme new", "UpdateTeam": "team.update acme dev write app/** -> \"new\":",
		"RemoveTeam": "team.remove acme dev", "JoinTeam of another": "team.join acme dev eve",
		"JoinTeam of a member": "team.join acme ops cyd", "LeaveTeam": "team.leave acme dev cyd",
		"CreateRobot": "robot.create acme+new", "UpdateRobot": "robot.update acme+deploy write app/** ->",
		"UpdateRepository":              "repository.update acme/app public -> private",
		"UpdateRepository of a new one": "repository.update acme/new",
	}
	for name, change := range orgChanges() {
		t.Run(name, func(t *testing.T) {
			d := memory.New(nil)
			w := newAcme(t, d)
			var audit []string
			a := open(t, d, &accounts.Options{Audit: func(_ context.Context, c accounts.Change) {
				require.Equal(t, operator.Name, c.By)
				require.False(t, c.At.IsZero())
				var words []string
				for _, word := range []string{c.Action, c.Account, c.Repository, c.Team, c.Member} {
					if word != "" {
						words = append(words, word)
					}
				}
				if c.Before != "" {
					words = append(words, c.Before, "->", c.After)
				}
				if c.Refused != "" {
					words = append(words, "refused")
				}
				audit = append(audit, strings.TrimSpace(strings.Join(words, " ")))
			}})
			require.NoError(t, change(t.Context(), a, w))
			require.Equal(t, []string{actions[name]}, audit)
			audit = nil
			if err := change(t.Context(), a, w); err == nil {
				require.Empty(t, audit, "nothing was changed")
			} else {
				require.Len(t, audit, 1)
				require.Contains(t, audit[0], "refused")
			}
		})
	}
}

func ExampleAccounts_UpdateTeam() {
	ctx := context.Background()
	a, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		panic(err)
	}
	by := accounts.Actor{Name: "ann"}
	ann, err := a.CreateUser(ctx, by, "ann", "", nil)
	if err != nil {
		panic(err)
	}
	acme, err := a.CreateOrganisation(ctx, by, "acme", ann.ID, nil)
	if err != nil {
		panic(err)
	}
	if _, err := a.CreateTeam(ctx, by, acme.ID, "dev", nil); err != nil {
		panic(err)
	}
	_, err = a.UpdateTeam(ctx, by, acme.ID, "dev", func(team *accounts.Team) error {
		team.Grants = append(team.Grants, accounts.Grant{Repositories: "app/**", Role: accounts.Write})
		return nil
	})
	if err != nil {
		panic(err)
	}
	if err := a.JoinTeam(ctx, by, acme.ID, "dev", ann.ID); err != nil {
		panic(err)
	}
	fmt.Println(a.Groups(ctx, ann.ID))
	fmt.Println(a.Grants(ctx, acme.ID, ann.ID))
	// Output:
	// [acme acme/dev acme/owners] <nil>
	// [{app/** write}] <nil>
}
