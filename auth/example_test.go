package auth_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/registry/auth"
)

// An Authorizer that lets everybody pull. All other actions are for the user whose name is the first
// component of the repository name.
func ExampleAuthorizerFunc() {
	var authorizer auth.Authorizer = auth.AuthorizerFunc(func(_ context.Context, who auth.Identity,
		accesses []auth.Access) error {
		for _, a := range accesses {
			own := a.Type == auth.TypeRepository && !who.Anonymous() && strings.HasPrefix(a.Name, who.Name+"/")
			if a.Action != auth.Pull && !own {
				return fmt.Errorf("%s: %w", a, auth.ErrDenied)
			}
		}
		return nil
	})
	push := []auth.Access{{Type: auth.TypeRepository, Name: "ann/app", Action: auth.Push}}
	fmt.Println(authorizer.Authorize(context.Background(), auth.Identity{Name: "ann"}, push))
	fmt.Println(authorizer.Authorize(context.Background(), auth.Identity{Name: "bob"}, push))
	// Output:
	// <nil>
	// repository:ann/app:push: auth: access denied
}

// noisy wraps an Authorizer and prints its decisions. It implements the optional interfaces, so that
// the abilities of the wrapped Authorizer remain.
type noisy struct{ next auth.Authorizer }

func (n noisy) Authorize(ctx context.Context, who auth.Identity, accesses []auth.Access) error {
	_, err := n.Explain(ctx, who, accesses)
	return err
}

func (n noisy) Explain(ctx context.Context, who auth.Identity, accesses []auth.Access) (string, error) {
	rule, err := auth.Explain(ctx, n.next, who, accesses)
	fmt.Printf("%q %v %q %v\n", who.Name, accesses, rule, err)
	return rule, err
}

func (n noisy) Scope(ctx context.Context, who auth.Identity, accesses []auth.Access) (string, error) {
	return auth.Scope(ctx, n.next, who, accesses)
}

func (n noisy) Prefixes(ctx context.Context, who auth.Identity) []string {
	return auth.Prefixes(ctx, n.next, who)
}

// An Authorizer that wraps another one should implement Explainer, Scoper and Prefixer, too.
func ExampleExplain() {
	var a auth.Authorizer = noisy{auth.AuthorizerFunc(func(context.Context, auth.Identity,
		[]auth.Access) error {
		return auth.ErrDenied
	})}
	pull := []auth.Access{{Type: auth.TypeRepository, Name: "app", Action: auth.Pull}}
	_ = a.Authorize(context.Background(), auth.Identity{Name: "ann"}, pull)
	fmt.Printf("%q\n", auth.Prefixes(context.Background(), a, auth.Identity{}))
	// Output:
	// "ann" [repository:app:pull] "" auth: access denied
	// [""]
}
