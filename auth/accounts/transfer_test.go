package accounts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// world makes accounts of all kinds by the Go API, with everything that an account can have and has lost.
func world(t testing.TB) *accounts.Accounts {
	t.Helper()
	ctx, by := t.Context(), accounts.Actor{Name: "test"}
	a, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	user := func(name string) accounts.ID {
		u, err := a.CreateUser(ctx, by, name, "",
			&accounts.UserOptions{Profile: accounts.Profile{FullName: "<" + name + ">"}})
		require.NoError(t, err)
		return u.ID
	}
	ann, bob, carol, dave := user("ann"), user("bob"), user("carol"), user("dave")
	require.NoError(t, a.SetPassword(ctx, by, ann, password))
	require.NoError(t, a.AddAdmin(ctx, by, ann))
	acme, err := a.CreateOrganisation(ctx, by, "acme", bob, &accounts.UserOptions{
		Profile: accounts.Profile{Visibility: accounts.Public}})
	require.NoError(t, err)
	_, err = a.CreateTeam(ctx, by, acme.ID, "dev", nil)
	require.NoError(t, err)
	grants := []accounts.Grant{{Repositories: "app/**", Role: accounts.Write}}
	_, err = a.UpdateTeam(ctx, by, acme.ID, "dev", func(t *accounts.Team) error { t.Grants = grants; return nil })
	require.NoError(t, err)
	require.NoError(t, a.JoinTeam(ctx, by, acme.ID, "dev", carol))
	require.NoError(t, a.AddMember(ctx, by, acme.ID, dave))
	robot, err := a.CreateRobot(ctx, by, acme.ID, "deploy", grants)
	require.NoError(t, err)
	for _, owner := range []accounts.ID{robot.ID, carol} {
		_, err = a.CreateSecret(ctx, by, owner, "laptop", &accounts.SecretOptions{Expires: time.Now().Add(time.Hour),
			Scopes: []accounts.Grant{{Repositories: "acme/**", Role: accounts.Read}}})
		require.NoError(t, err)
	}
	_, err = a.UpdateRepository(ctx, by, "acme/app", func(r *accounts.Repository) error {
		r.Visibility, r.Description = accounts.Private, "an app\n& more"
		return nil
	})
	require.NoError(t, err)
	_, err = a.Disable(ctx, by, dave)
	require.NoError(t, err)
	// Names that were given up: robert still belongs to bob, bert is in quarantine, erin was removed.
	for _, name := range []string{"bert", "robert"} {
		_, err = a.Rename(ctx, by, bob, name)
		require.NoError(t, err)
	}
	_, err = a.Release(ctx, by, bob, "bert")
	require.NoError(t, err)
	require.NoError(t, a.Remove(ctx, by, user("erin")))
	return a
}

func export(t testing.TB, a *accounts.Accounts) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, a.Export(t.Context(), &b))
	return b.String()
}

// times are the times of an export that differ between exports of the same facts.
var times = regexp.MustCompile(`"at":"[^"]*"}}\n`)

func sameExport(t testing.TB, want, got string) {
	t.Helper()
	require.Equal(t, times.ReplaceAllString(want, ""), times.ReplaceAllString(got, ""))
}

// TestExportAndImport: everything comes back, with IDs, former names and quarantines, and another import of the same
// file changes nothing.
func TestExportAndImport(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	from := world(t)
	file := export(t, from)
	for kind, n := range map[string]int{"export": 1, "account": 7, "name": 2, "password": 1, "secret": 2, "team": 1,
		"repository": 1, "admin": 1, "end": 1} {
		require.Equal(t, n, strings.Count(file, `{"type":"`+kind+`"`), kind)
	}
	to, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	facts := int64(strings.Count(file, "\n") - 2)

	res, err := to.Import(ctx, by, strings.NewReader(file), &accounts.ImportOptions{DryRun: true})
	require.NoError(t, err)
	require.Equal(t, accounts.ImportResult{Added: facts}, res)
	require.Equal(t, 2, strings.Count(export(t, to), "\n"), "a dry run has changed something")

	res, err = to.Import(ctx, by, strings.NewReader(file), nil)
	require.NoError(t, err)
	require.Equal(t, accounts.ImportResult{Added: facts}, res)
	sameExport(t, file, export(t, to))
	for _, opts := range []*accounts.ImportOptions{nil, {Replace: true}, {DryRun: true}} {
		res, err = to.Import(ctx, by, strings.NewReader(file), opts)
		require.NoError(t, err)
		require.Equal(t, accounts.ImportResult{Same: facts}, res)
	}
	sameExport(t, file, export(t, to))

	bob, err := to.Lookup(ctx, "robert")
	require.NoError(t, err)
	former, err := to.Lookup(ctx, "bob")
	require.NoError(t, err)
	require.Equal(t, bob.ID, former.ID)
	ann, err := to.Lookup(ctx, "ann")
	require.NoError(t, err)
	_, err = to.CheckPassword(ctx, ann.ID, password)
	require.NoError(t, err)
	groups, err := to.Groups(ctx, bob.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "acme/owners"}, groups)
	for name, want := range map[string]error{"bert": accounts.ErrTaken, "erin": accounts.ErrTaken,
		"er-in": accounts.ErrTaken, "bob": accounts.ErrTaken, "frank": nil} {
		_, err := to.CreateUser(ctx, by, name, "", nil)
		require.ErrorIs(t, err, want, name)
	}
}

// TestImportOfARemovedNameThatIsInUse: the name of a removed account that another one has got since belongs to that
// one, and is in quarantine as long as if nothing had been copied.
func TestImportOfARemovedNameThatIsInUse(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{Force: true}
	from, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	for range 4 { // the IDs are random, and so is their order
		for _, name := range []string{"ann", "bob"} {
			old, err := from.CreateUser(ctx, by, name, "", nil)
			require.NoError(t, err)
			require.NoError(t, from.Remove(ctx, by, old.ID))
		}
	}
	now, err := from.CreateUser(ctx, by, "ann", "", nil)
	require.NoError(t, err)
	file := export(t, from)
	to, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	_, err = to.Import(ctx, accounts.Actor{}, strings.NewReader(file), nil)
	require.NoError(t, err)
	got, err := to.Lookup(ctx, "ann")
	require.NoError(t, err)
	require.Equal(t, now.ID, got.ID)
	sameExport(t, file, export(t, to))
}

// TestImportContinues: after a failure at any write, a second import completes the first.
func TestImportOfNothing(t *testing.T) {
	_, err := newAccounts(t, memory.New(nil), nil).Import(t.Context(), accounts.Actor{}, strings.NewReader(""), nil)
	require.ErrorIs(t, err, accounts.ErrInvalid)
}

// Removed robots come after their removed owners, whatever their IDs are.
func TestExportOfARemovedOwnerOfRobots(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	a := newAccounts(t, memory.New(nil), nil)
	ann := newUser(t, a, "ann").ID
	for _, name := range []string{"r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"} {
		_, err := a.CreateRobot(ctx, by, ann, name, nil)
		require.NoError(t, err)
	}
	require.NoError(t, a.Remove(ctx, by, ann))
	file := export(t, a)
	to := newAccounts(t, memory.New(nil), nil)
	_, err := to.Import(ctx, by, strings.NewReader(file), nil)
	require.NoError(t, err)
	sameExport(t, file, export(t, to))
}

// A name that was given up, and that the account has again or in another spelling, is its name.
func TestExportOfANameThatWasGivenUp(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	a := newAccounts(t, memory.New(nil), nil)
	ann, bob := newUser(t, a, "ann").ID, newUser(t, a, "bob").ID
	for _, name := range []string{"anna", "ann"} {
		_, err := a.Rename(ctx, by, ann, name)
		require.NoError(t, err)
		former := map[string]string{"anna": "ann", "ann": "anna"}[name]
		_, err = a.Release(ctx, by, ann, former)
		require.NoError(t, err)
	}
	for _, name := range []string{"bo-b", "bob"} {
		_, err := a.Rename(ctx, by, bob, name)
		require.NoError(t, err)
	}
	_, err := a.Release(ctx, by, bob, "bo-b")
	require.NoError(t, err)

	file := export(t, a)
	to := newAccounts(t, memory.New(nil), nil)
	_, err = to.Import(ctx, by, strings.NewReader(file), nil)
	require.NoError(t, err)
	sameExport(t, file, export(t, to))
	for name, id := range map[string]accounts.ID{"ann": ann, "bob": bob} {
		found, err := to.Lookup(ctx, name)
		require.NoError(t, err)
		require.Equal(t, id, found.ID)
	}
	_, err = to.CreateUser(ctx, by, "anna", "", nil)
	require.ErrorIs(t, err, accounts.ErrTaken, "in quarantine")
}

func TestImportContinues(t *testing.T) {
	file := export(t, world(t))
	for n := 1; ; n++ {
		for _, arrange := range []func(*drivertest.Faulty, int){(*drivertest.Faulty).FailWrite,
			(*drivertest.Faulty).LoseResponse, (*drivertest.Faulty).CutAfter} {
			f := drivertest.NewFaulty(memory.New(nil), nil)
			a, err := accounts.New(f, nil)
			require.NoError(t, err)
			arrange(f, n)
			_, err = a.Import(t.Context(), accounts.Actor{}, strings.NewReader(file), nil)
			if err == nil && f.Writes() < n {
				require.Greater(t, n, 20, "there must be some writes")
				return
			}
			f.Heal()
			_, err = a.Import(t.Context(), accounts.Actor{}, strings.NewReader(file), nil)
			require.NoError(t, err, n)
			sameExport(t, file, export(t, a))
		}
	}
}

// TestImportReplaces only if it is told to, and never what must stay.
func TestImportReplaces(t *testing.T) {
	ctx, by := t.Context(), accounts.Actor{}
	a := sample(t, memory.New(nil), nil)
	importLine := func(line string, replace bool) error {
		_, err := a.Import(ctx, by, strings.NewReader(line), &accounts.ImportOptions{Replace: replace})
		return err
	}
	account := func(id accounts.ID, kind, name, more string) string {
		return line("account", "", fmt.Sprintf(`"id":%q,"kind":%q,"name":%q,%s%s`, id, kind, name, created, more))
	}
	carol := account(accountstest.Carol, "user", "carol", `,"fullName":"Carol"`)
	require.ErrorIs(t, importLine(carol, false), accounts.ErrTaken)
	require.NoError(t, importLine(carol, true))
	got, err := a.Account(ctx, accountstest.Carol)
	require.NoError(t, err)
	require.Equal(t, "Carol", got.FullName)

	for line, want := range map[string]error{
		account("newaaaaaaaaaaaaa", "user", "carol", ""):                                         accounts.ErrTaken,
		account("newaaaaaaaaaaaaa", "user", "car0l", ""):                                         accounts.ErrTaken,
		account("newaaaaaaaaaaaaa", "user", "francis", ""):                                       accounts.ErrTaken,
		account(accountstest.Carol, "user", "bob", ""):                                           accounts.ErrTaken,
		account(accountstest.Carol, "organisation", "carol", `,"owners":["bobaaaaaaaaaaaaa"]`):   accounts.ErrTaken,
		account(accountstest.Deploy, "robot", "other+deploy", `,"namespace":"otheraaaaaaaaaaa"`): accounts.ErrTaken,
		account("newaaaaaaaaaaaaa", "robot", "acme+deploy", `,"namespace":"acmeaaaaaaaaaaaa"`):   accounts.ErrTaken,
		// an admin
		account(accountstest.Ann, "user", "ann", `,"disabled":{"at":"2026-01-01T00:00:00Z"}`): accounts.ErrInUse,
		`{"type":"name","fact":{"name":"carol","id":"zzzzzzzzzzzzzzzz","at":"2026-01-01T00:00:00Z",` +
			`"released":"2026-01-01T00:00:00Z"}}`: accounts.ErrTaken,
	} {
		require.ErrorIs(t, importLine(line, true), want, line)
	}
	for _, name := range []string{"ann", "bob", "carol", "frank", "acme+deploy"} {
		got, err := a.Lookup(ctx, name)
		require.NoError(t, err, name)
		require.True(t, got.Active())
		require.Equal(t, name, got.Name)
	}
}

// TestImportRefuses: each line that breaks a rule is an error with its number, and what was before it is imported.
func TestImportRefuses(t *testing.T) {
	const user = `{"type":"account","fact":{"id":"newaaaaaaaaaaaaa","kind":"user","name":"new",` + created + "}}\n"
	for bad, want := range refusedLines() {
		for _, dry := range []bool{true, false} {
			d := memory.New(nil)
			a, err := accounts.New(d, nil)
			require.NoError(t, err)
			res, err := a.Import(t.Context(), accounts.Actor{}, strings.NewReader("\n"+user+bad),
				&accounts.ImportOptions{DryRun: dry})
			require.Error(t, err, "%.300s", bad)
			require.ErrorContains(t, err, want, "%.300s", bad)
			require.Contains(t, []bool{errors.Is(err, accounts.ErrInvalid), errors.Is(err, accounts.ErrUnknown)}, true)
			number := 3
			if strings.Contains(bad, "\n") {
				number = 4
			}
			require.Regexp(t, fmt.Sprintf(`^line %d: `, number), err.Error())
			require.Less(t, len(err.Error()), 500)
			require.Equal(t, accounts.ImportResult{Added: 1}, res, "%.300s", bad)
			if !dry {
				_, err = a.Lookup(t.Context(), "new")
				require.NoError(t, err)
				_, err = a.Lookup(t.Context(), "eve")
				require.ErrorIs(t, err, accounts.ErrUnknown)
			}
		}
	}
}

// TestImportOfAPart: an export that was cut off is imported up to there, and reported.
func TestImportOfAPart(t *testing.T) {
	file := export(t, world(t))
	whole := strings.SplitAfter(strings.TrimSuffix(file, "\n"), "\n")
	for n := 1; n < len(whole); n++ {
		a, err := accounts.New(memory.New(nil), nil)
		require.NoError(t, err)
		res, err := a.Import(t.Context(), accounts.Actor{}, strings.NewReader(strings.Join(whole[:n], "")), nil)
		require.ErrorIs(t, err, accounts.ErrInvalid)
		require.ErrorContains(t, err, fmt.Sprintf("line %d: the file was cut off", n+1))
		require.Equal(t, int64(n-1), res.Added)
	}
	a, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	_, err = a.Import(t.Context(), accounts.Actor{}, strings.NewReader(`{"type":"export","fact":{"version":2}}`), nil)
	require.ErrorContains(t, err, "line 1: accounts: invalid: version 2")
}

// TestImportIsAudited: each fact has a record and an event, and a refusal a record. None has a hash.
func TestImportIsAudited(t *testing.T) {
	file := export(t, world(t))
	d := memory.New(nil)
	recorded := &changes{}
	a, err := accounts.New(d, &accounts.Options{Audit: recorded.add})
	require.NoError(t, err)
	res, err := a.Import(t.Context(), accounts.Actor{Name: "root", Reason: "restore"}, strings.NewReader(file), nil)
	require.NoError(t, err)
	all := recorded.take()
	require.GreaterOrEqual(t, int64(len(all)), res.Added)
	seen := make(map[string]int)
	for _, c := range all {
		require.Equal(t, "root", c.By)
		require.Equal(t, "restore", c.Reason)
		require.NotContains(t, fmt.Sprintf("%+v", c), "argon2")
		seen[c.Action]++
	}
	require.Equal(t, 7, seen["import.account"])
	require.Equal(t, 2, seen["import.secret"])
	require.Equal(t, 1, seen["admin.add"])
	_, err = a.Import(t.Context(), accounts.Actor{}, strings.NewReader(file), nil)
	require.NoError(t, err)
	require.Empty(t, recorded.take(), "nothing was changed")
	_, err = a.Import(t.Context(), accounts.Actor{}, strings.NewReader(line("admin", "", `"id":"zzzzzzzzzzzzzzzz"`)), nil)
	require.ErrorIs(t, err, accounts.ErrUnknown)
	refused := recorded.take()
	require.Len(t, refused, 1)
	require.Equal(t, "import.admin", refused[0].Action)
	require.NotEmpty(t, refused[0].Refused)
}

// FuzzImport: whatever a file says beside what is there, an import ends without a panic, and what it has imported can
// be exported and imported elsewhere.
func FuzzImport(f *testing.F) {
	for line := range strings.Lines(export(f, world(f))) {
		f.Add(line)
	}
	facts := accountstest.Sample(time.Now())
	facts.Passwords = nil
	base := string(lines(f, facts))
	for line := range strings.Lines(base) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, file string) {
		exported := export(t, importFuzzed(t, memory.New(nil), base+file))
		two, err := accounts.New(memory.New(nil), nil)
		require.NoError(t, err)
		_, err = two.Import(t.Context(), accounts.Actor{}, strings.NewReader(exported), nil)
		require.NoError(t, err, "%s", exported)
		sameExport(t, exported, export(t, two))
	})
}

func importFuzzed(t *testing.T, d driver.Driver, file string) *accounts.Accounts {
	t.Helper()
	a, err := accounts.New(d, nil)
	require.NoError(t, err)
	_, err = a.Import(t.Context(), accounts.Actor{Force: true}, strings.NewReader(file),
		&accounts.ImportOptions{Replace: true})
	known := err == nil
	for _, e := range []error{accounts.ErrInvalid, accounts.ErrUnknown, accounts.ErrTaken, accounts.ErrInUse,
		accounts.ErrLimit} {
		known = known || errors.Is(err, e)
	}
	require.True(t, known, "%v", err)
	return a
}

// changes collects the records of the audit.
type changes struct {
	mu  sync.Mutex
	all []accounts.Change
}

func (c *changes) add(_ context.Context, change accounts.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, change)
}

func (c *changes) take() []accounts.Change {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.all
	c.all = nil
	return all
}
