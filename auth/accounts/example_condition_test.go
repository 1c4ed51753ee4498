package accounts_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// A management API makes a change only if the account is still as its client has seen it.
func ExampleActor() {
	ctx := context.Background()
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	seen, err := people.CreateUser(ctx, accounts.Actor{Name: "ada"}, "bert", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	by := accounts.Actor{Name: "ada", Reason: "left", If: func(current *accounts.Account) error {
		if current.Email != seen.Email {
			return errors.New("the email was changed meanwhile")
		}
		return nil
	}}
	if _, err := people.Update(ctx, accounts.Actor{Name: "bert"}, seen.ID, func(p *accounts.Profile) error {
		p.Email = "bert@example.com"
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	_, err = people.Disable(ctx, by, seen.ID)
	fmt.Println(err)
	// Output:
	// the email was changed meanwhile
}

// A page for sign-up creates accounts at a limited rate.
func ExampleSignUps() {
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	door, err := accounts.NewSignUps(people, &accounts.SignUpOptions{Attempts: 1})
	if err != nil {
		log.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := door.SignUp(r, r.FormValue("name"), r.FormValue("password"), nil)
		switch {
		case errors.As(err, new(*auth.LimitError)):
			w.WriteHeader(http.StatusTooManyRequests)
		case err != nil:
			w.WriteHeader(http.StatusConflict)
		}
	})
	for _, name := range []string{"bert", "carl"} {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/?password=seven+violet+teapots&name="+name, nil))
		fmt.Println(name, w.Code)
	}
	// Output:
	// bert 200
	// carl 429
}
