package accounts_test

import (
	"context"
	"fmt"
	"log"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/memory"
)

// The first admin is made with a token that the program has printed, and makes other users.
func ExampleAccounts_SetUp() {
	ctx := context.Background()
	people, err := accounts.New(memory.New(nil), nil) // usually the Driver of the registry
	if err != nil {
		log.Fatal(err)
	}
	token, err := people.SetupToken(ctx) // print it once, or write it to a file of mode 0600
	if err != nil {
		log.Fatal(err)
	}
	root, err := people.SetUp(ctx, token, "ada", "seven violet teapots")
	if err != nil {
		log.Fatal(err)
	}
	by := accounts.Actor{Name: root.Name, Reason: "new colleague"}
	if _, err := people.CreateUser(ctx, by, "bert", "eleven green hammers", nil); err != nil {
		log.Fatal(err)
	}
	for account, err := range people.List(ctx, "") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(account.Kind, account.Name)
	}
	_, err = people.SetUp(ctx, token, "eve", "nine yellow lanterns")
	fmt.Println(err)
	// Output:
	// user ada
	// user bert
	// accounts: wrong setup token: it was used
}

// A renamed account keeps its former name, because its repositories stay where they are.
func ExampleAccounts_Rename() {
	ctx := context.Background()
	people, err := accounts.New(memory.New(nil), nil)
	if err != nil {
		log.Fatal(err)
	}
	by := accounts.Actor{Name: "ada"}
	account, err := people.CreateUser(ctx, by, "bert", "", nil)
	if err != nil {
		log.Fatal(err)
	}
	if account, err = people.Rename(ctx, by, account.ID, "bertram"); err != nil {
		log.Fatal(err)
	}
	fmt.Println(account.Name, account.Former)
	_, err = people.CreateUser(ctx, by, "bert", "", nil)
	fmt.Println(err)
	// Output:
	// bertram [bert]
	// accounts: the name is taken: an account has it, or a name that looks like it
}
