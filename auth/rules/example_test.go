package rules_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
)

// access is one access to a repository.
func access(action auth.Action, repo, tag string) []auth.Access {
	return []auth.Access{{Type: auth.TypeRepository, Name: repo, Action: action, Tag: tag}}
}

// A team pushes, and everybody pulls.
func ExampleParse() {
	r, err := rules.Parse([]byte(`
rules:
  - name: the team pushes
    who: {group: team}
    repositories: "**"
    actions: [pull, push, overwrite]
  - name: everybody pulls
    who: everyone
    repositories: "apps/**"
    actions: pull
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, ann := context.Background(), auth.Identity{Name: "ann", Groups: []string{"team"}}
	fmt.Println(r.Explain(ctx, ann, access(auth.Push, "apps/shop", "v1")))
	fmt.Println(r.Explain(ctx, auth.Identity{}, access(auth.Pull, "apps/shop", "v1")))
	fmt.Println(r.Explain(ctx, auth.Identity{}, access(auth.Push, "apps/shop", "v1")))
	fmt.Println(r.GrantsAnonymous())
	// Output:
	// line 3: the team pushes <nil>
	// line 7: everybody pulls <nil>
	//  auth: access denied
	// true
}

// An error contains the line of the mistake.
func ExampleParse_errors() {
	_, err := rules.Parse([]byte("rules:\n  - who: everyone\n    repositories: [apps/**, Tools/**]\n    actions: pull\n"))
	fmt.Println(err)
	// Output:
	// rules: line 3: repositories: pattern "Tools/**": 'T' cannot be in such a name
}

// Each user has a namespace of their own, but nobody may overwrite releases.
func ExampleNew() {
	r, err := rules.New([]rules.Rule{
		{Who: rules.Who{Everyone: true}, Repositories: []string{"**"}, Actions: []auth.Action{auth.Overwrite},
			Tags: []string{"v*"}, Effect: rules.Deny},
		{Name: "own", Who: rules.Who{Authenticated: true}, Repositories: []string{"users/{user}/**"},
			Actions: []auth.Action{auth.All}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, ann := context.Background(), auth.Identity{Name: "ann"}
	fmt.Println(r.Explain(ctx, ann, access(auth.Push, "users/ann/app", "v1")))
	fmt.Println(r.Explain(ctx, ann, access(auth.Overwrite, "users/ann/app", "v1")))
	fmt.Println(r.Explain(ctx, ann, access(auth.Pull, "users/bob/app", "v1")))
	fmt.Printf("%q\n", r.Prefixes(ctx, ann))
	// Output:
	// rule 1: own <nil>
	// rule 0 auth: access denied
	//  auth: access denied
	// ["users/ann"]
}

// Rules from a file, which may change while the registry runs.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rules.yaml")
	content := "rules:\n  - {name: admins, who: {user: ann}, repositories: '**', actions: '*'}\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	r, err := rules.Load(path, &rules.Options{Error: func(_ context.Context, err error) {
		fmt.Println("the previous rules stay in force:", err)
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Explain(context.Background(), auth.Identity{Name: "ann"}, access(auth.Delete, "app", "")))
	// Output:
	// rules.yaml:2: admins <nil>
}

// The scopes of a token contain no tags. So Scope also allows the delete scope to a caller with
// permission to delete only some tags.
func ExampleRules_Scope() {
	r, err := rules.New([]rules.Rule{
		{Who: rules.Who{Users: []string{"janitor"}}, Repositories: []string{"**"}, Actions: []auth.Action{auth.Delete},
			Tags: []string{"nightly-*"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, janitor := context.Background(), auth.Identity{Name: "janitor"}
	fmt.Println(r.Scope(ctx, janitor, access(auth.Delete, "app", "")))
	fmt.Println(r.Explain(ctx, janitor, access(auth.Delete, "app", "")))
	fmt.Println(r.Explain(ctx, janitor, access(auth.Delete, "app", "nightly-1")))
	// Output:
	// rule 0 <nil>
	//  auth: access denied
	// rule 0 <nil>
}
