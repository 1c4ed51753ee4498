package accounts_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/storage/memory"
)

// A member of a team pushes, and a rule keeps releases from being overwritten.
func ExampleAuthorizer_Refine() {
	ctx, by := context.Background(), accounts.Actor{Name: "example"}
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ann, err := people.CreateUser(ctx, by, "ann", "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := people.CreateOrganisation(ctx, by, "acme", ann.ID, nil); err != nil {
		fmt.Println(err)
		return
	}
	list, err := rules.Parse([]byte(`
rules:
  - {name: releases stay, who: everyone, repositories: "**", actions: [overwrite, delete], tags: "v*", effect: deny}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	access := accounts.NewAuthorizer(people).Refine(list)
	// An Authenticator of this package returns this identity after a login of ann.
	who := auth.Identity{Name: "ann", Claims: map[string]any{accounts.AccountClaim: string(ann.ID)}}
	for _, tag := range []string{"latest", "v1"} {
		fmt.Println(access.Explain(ctx, who, []auth.Access{{Type: auth.TypeRepository, Name: "acme/app",
			Action: auth.Overwrite, Tag: tag}}))
	}
	// Output:
	// accounts: an owner of acme <nil>
	// line 3: releases stay auth: access denied
}

// A host that keeps its users elsewhere implements Directory, as accountstest.Memory does. It then has the roles,
// grants, secrets and limits of this package over its own users.
func ExampleNewAuthorizer_ownDirectory() {
	host := accountstest.NewMemory(accountstest.Sample(time.Now()))
	access := accounts.NewAuthorizer(host)
	pull := []auth.Access{{Type: auth.TypeRepository, Name: "acme/app", Action: auth.Pull}}
	for _, name := range []string{"anonymous", "bob", "carol", "dave"} {
		fmt.Println(access.Explain(context.Background(), accountstest.Identity(name), pull))
	}
	// Output:
	//  auth: access denied
	// accounts: an owner of acme <nil>
	// accounts: a team of acme grants write in app/** <nil>
	// accounts: dave is disabled auth: access denied
}

// A copy of all accounts, for a backup or another registry.
func ExampleAccounts_Export() {
	ctx, by := context.Background(), accounts.Actor{Name: "example"}
	from, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := from.CreateUser(ctx, by, "ann", "", nil); err != nil {
		fmt.Println(err)
		return
	}
	var file bytes.Buffer // usually an os.File of mode 0600: it has the hashes of passwords
	if err := from.Export(ctx, &file); err != nil {
		fmt.Println(err)
		return
	}
	to, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(to.Import(ctx, by, bytes.NewReader(file.Bytes()), &accounts.ImportOptions{DryRun: true}))
	fmt.Println(to.Import(ctx, by, bytes.NewReader(file.Bytes()), nil))
	fmt.Println(to.Import(ctx, by, bytes.NewReader(file.Bytes()), nil))
	// Output:
	// {1 0 0} <nil>
	// {1 0 0} <nil>
	// {0 0 1} <nil>
}
