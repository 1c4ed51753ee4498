package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"regexp"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/chain"
	"github.com/registrykit/registry/auth/htpasswd"
	"github.com/registrykit/registry/auth/oidc"
	"github.com/registrykit/registry/auth/token"
	"github.com/registrykit/registry/examples/internal/process"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

// identities holds the flags for logins.
type identities struct {
	htpasswd, groups string
	accounts         bool
	setup            string   // file for the setup token
	issuers          []string // files
	tokenKeys        []string // names

	people *accounts.Accounts   // set by open, or nil
	logins *token.RefreshTokens // set by open, or nil
}

func (i *identities) flags() {
	flag.StringVar(&i.htpasswd, "htpasswd", "",
		"Authenticate users with this `file` of names and bcrypt hashes. Without -rules, each user may do everything. "+
			"Default: no logins.")
	flag.StringVar(&i.groups, "groups", "",
		"Read the groups of the users of -htpasswd from this `file` of lines \"GROUP: USER USER\". Default: no groups.")
	flag.BoolVar(&i.accounts, "accounts", false,
		"Keep users, organisations, teams and robots in the storage, and authorize by their roles; see docs/identity.md. "+
			"The rules of -rules then refine these. Without an admin, print a setup token. Default: false.")
	flag.StringVar(&i.setup, "accounts-setup", "",
		"Write the setup token to this `file`, with the mode 0600, instead of printing it. Default: it is printed.")
	flag.Func("oidc-issuer", "Accept the ID tokens of CI jobs by the YAML in this `file`; see docs/identity.md. It needs "+
		"-rules or -accounts. May be repeated. Default: none.", func(file string) error {
		i.issuers = append(i.issuers, file)
		return nil
	})
	flag.Func("token-key", "Sign access tokens with the key of this `name`. May be repeated: tokens of the further keys "+
		"are accepted, too. The key is made when it is first used. Default: token.", i.addTokenKey)
}

// addTokenKey adds the name of a key for tokens. The shared secret of the key has the prefix "token-", so that no name
// is that of a secret for another purpose.
func (i *identities) addTokenKey(name string) error {
	if !keyName.MatchString(name) {
		return errors.New("must have 1 to 32 lower-case letters, digits and hyphens")
	}
	if name != "token" {
		name = "token-" + name
	}
	i.tokenKeys = append(i.tokenKeys, name)
	return nil
}

// keyName is the form of names of -token-key.
var keyName = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// any reports whether anyone can log in.
func (i *identities) any() bool { return i.htpasswd != "" || i.accounts || len(i.issuers) > 0 }

// check rejects contradictory flags, and reads the files of issuers. rules reports whether there are rules.
func (i *identities) check(rules bool) error {
	switch {
	case i.groups != "" && i.htpasswd == "":
		return errors.New("-groups needs -htpasswd")
	case i.setup != "" && !i.accounts:
		return errors.New("-accounts-setup needs -accounts")
	case len(i.issuers) > 0 && !i.accounts && !rules:
		return errors.New("-oidc-issuer needs -rules or -accounts: otherwise each job could do everything")
	case i.htpasswd != "" && i.accounts && !rules:
		return errors.New("-htpasswd with -accounts needs -rules: its users have no account, and otherwise no rights")
	}
	if len(i.issuers) == 0 {
		return nil
	}
	if _, err := oidc.Open(i.issuers, nil); err != nil {
		return fmt.Errorf("-oidc-issuer: %w", err)
	}
	return nil
}

// open opens the accounts of -accounts. Nobody can take a name below which b has repositories.
func (i *identities) open(d driver.Driver, b registry.Backend, sink notification.Sink, audit bool,
	log *slog.Logger) (err error) {
	if !i.accounts {
		return nil
	}
	opts := &accounts.Options{Sink: sink, Instance: process.Instance(), InUse: accounts.RepositoriesOf(b)}
	if audit {
		opts.Audit = func(ctx context.Context, c accounts.Change) { log.InfoContext(ctx, "accounts", "change", c) }
	}
	if i.people, err = accounts.New(d, opts); err != nil {
		return err
	}
	i.logins, err = token.NewRefreshTokens(d, &token.RefreshOptions{Subject: accounts.Subject,
		Error: func(ctx context.Context, err error) { log.WarnContext(ctx, "refresh tokens", "error", err) }})
	return err
}

// authenticator returns the Authenticator of the flags. ID tokens come first, because they are recognised
// by their form and cost no hash. Accounts come before -htpasswd, which counts a failure for each password
// that it does not know.
func (a *access) authenticator(report func(context.Context, error)) (auth.Authenticator, error) {
	var links []auth.Authenticator
	if len(a.issuers) > 0 {
		jobs, err := oidc.Open(a.issuers, &oidc.Options{Error: report})
		if err != nil {
			return nil, err
		}
		if a.people == nil {
			links = append(links, jobs)
		} else {
			links = append(links, accounts.Federate(a.people, jobs))
		}
	}
	if a.people != nil {
		people, err := accounts.NewAuthenticator(a.people, &accounts.AuthenticatorOptions{TrustedProxies: a.proxies})
		if err != nil {
			return nil, err
		}
		links = append(links, people)
	}
	if a.htpasswd != "" {
		file, err := htpasswd.New(a.htpasswd, &htpasswd.Options{Groups: a.groups, TrustedProxies: a.proxies, Error: report})
		if err != nil {
			return nil, err
		}
		links = append(links, file)
	}
	switch len(links) {
	case 0:
		return auth.AuthenticatorFunc(nobody), nil
	case 1:
		return links[0], nil
	}
	return chain.New(links...)
}

// run stores the times of the last uses of secrets, and removes expired refresh tokens, until ctx ends.
func (i *identities) run(ctx context.Context, log *slog.Logger) {
	if i.people == nil {
		return
	}
	process.Together([]func(context.Context){
		func(ctx context.Context) {
			process.Ends(ctx, "storing the last uses of secrets", i.people.Run(ctx), log)
		},
		func(ctx context.Context) {
			process.Ends(ctx, "removing expired refresh tokens", i.logins.Run(ctx), log)
		},
	})(ctx)
}

// greet prints a setup token, or writes it to a file, if there are accounts and no admin. page is the URL of the page,
// or "".
func (i *identities) greet(ctx context.Context, w io.Writer, storage, page string) error {
	if i.people == nil {
		return nil
	}
	token, err := i.people.SetupToken(ctx)
	if err != nil {
		return fmt.Errorf("accounts: %w", err)
	}
	if token == "" {
		return nil
	}
	file := "-"
	if i.setup != "" {
		file = i.setup
		if err := process.WritePrivate(file, token.Value()+"\n"); err != nil {
			return fmt.Errorf("-accounts-setup: %w", err)
		}
		fmt.Fprintf(w, "There is no admin yet. The setup token is in %s. ", file)
	} else {
		fmt.Fprintf(w, "There is no admin yet. The setup token is shown only now: %s\n", token.Value())
	}
	if page != "" && i.setup == "" {
		fmt.Fprintf(w, "Make the first admin at:\n\n  %ssetup?token=%s\n\nOr", page, token.Value())
	} else if page != "" {
		fmt.Fprintf(w, "Make the first admin at %ssetup, or", page)
	} else {
		fmt.Fprint(w, "Make the first admin")
	}
	fmt.Fprintf(w, " with:\n\n  go run ./examples/maintenance accounts setup -storage %s -token-file %s NAME\n\n", storage,
		file)
	return nil
}
