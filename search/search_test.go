package search_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// names are repositories in ascending order. It is safe for concurrent use.
type names struct {
	mu   sync.Mutex
	list []string
	err  error
}

func (n *names) set(list ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = list
	slices.Sort(n.list)
}

func (n *names) Repositories(context.Context, *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, name := range n.list {
			if !yield(name, nil) {
				return
			}
		}
		if n.err != nil {
			yield("", n.err)
		}
	}
}

// everything is a viewer who sees all.
var everything = search.Viewer{AllAccounts: true,
	Repository: func(context.Context, string) (bool, error) { return true, nil }}

// find returns the names of the results.
func find(t testing.TB, x *search.Index, query string, v search.Viewer, opts *search.QueryOptions) []string {
	t.Helper()
	found, err := x.Search(t.Context(), query, v, opts)
	require.NoError(t, err)
	list := []string{}
	for _, r := range found.Results {
		list = append(list, r.Name)
	}
	return list
}

// newIndex returns an index that was refreshed.
func newIndex(t testing.TB, n search.Lister, opts *search.Options) *search.Index {
	t.Helper()
	x, err := search.New(n, opts)
	require.NoError(t, err)
	require.NoError(t, x.Refresh(t.Context()))
	return x
}

func newPeople(t testing.TB) *accounts.Accounts {
	t.Helper()
	people, err := accounts.New(memory.New(nil), nil)
	require.NoError(t, err)
	return people
}

func describe(t testing.TB, people *accounts.Accounts, name, text string) {
	t.Helper()
	_, err := people.UpdateRepository(t.Context(), accounts.Actor{}, name, func(r *accounts.Repository) error {
		r.Description = text
		return nil
	})
	require.NoError(t, err)
}

func TestNew(t *testing.T) {
	_, err := search.New(nil, nil)
	require.Error(t, err)
	for _, o := range []search.Options{{Every: -1}, {Reads: -1}, {MaxBytes: -1}} {
		_, err = search.New(&names{}, &o)
		require.Error(t, err)
	}
	x, err := search.New(&names{}, nil)
	require.NoError(t, err)
	require.Equal(t, search.State{}, x.State())
	found, err := x.Search(t.Context(), "a", everything, nil)
	require.NoError(t, err)
	require.Equal(t, search.Found{}, found)
}

func TestRanks(t *testing.T) {
	n, people := &names{}, newPeople(t)
	n.set("web", "web-old", "website", "acme/web", "acme/my-web", "acme/cobweb", "b/described", "b/mentions", "b/other")
	describe(t, people, "b/described", "# A Web server\nfor all")
	describe(t, people, "b/mentions", "a cobweb")
	describe(t, people, "b/other", "nothing")
	x := newIndex(t, n, &search.Options{Accounts: people})
	require.Equal(t, []string{"web", "web-old", "website", "acme/web", "acme/my-web", "acme/cobweb", "b/described",
		"b/mentions"}, find(t, x, "WEB", everything, nil))
	require.Equal(t, []string{"acme/web", "acme/my-web", "acme/cobweb"}, find(t, x, "web acme", everything, nil))
	require.Equal(t, []string{"b/described"}, find(t, x, "b server", everything, nil))
	require.Equal(t, []string{"acme/my-web"}, find(t, x, "my-web", everything, nil))
	require.Empty(t, find(t, x, "web zzz", everything, nil))
	found, err := x.Search(t.Context(), "server", everything, &search.QueryOptions{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, []search.Result{{Kind: search.Repository, Name: "b/described", Summary: "A Web server"}},
		found.Results)
	require.False(t, found.More)
	found, err = x.Search(t.Context(), "web", everything, &search.QueryOptions{Limit: 7})
	require.NoError(t, err)
	require.True(t, found.More)
	for _, wrong := range []string{"", " ", "\t\n", strings.Repeat("a", search.MaxQuery+1)} {
		_, err = x.Search(t.Context(), wrong, everything, nil)
		require.ErrorIs(t, err, search.ErrQuery)
	}
	_, err = x.Search(t.Context(), "a", everything, &search.QueryOptions{Limit: -1})
	require.Error(t, err)
}

func TestAccounts(t *testing.T) {
	people := newPeople(t)
	ann, err := people.CreateUser(t.Context(), accounts.Actor{}, "ann", "", &accounts.UserOptions{
		Profile: accounts.Profile{FullName: "Ann Archer", Email: "hidden@example.com"}})
	require.NoError(t, err)
	_, err = people.CreateOrganisation(t.Context(), accounts.Actor{}, "archers", ann.ID, nil)
	require.NoError(t, err)
	x := newIndex(t, &names{}, &search.Options{Accounts: people})
	require.Equal(t, []string{"archers", "ann"}, find(t, x, "archer", everything, nil))
	require.Empty(t, find(t, x, "hidden", everything, nil), "the address is not searched")
	require.Equal(t, []string{"ann"}, find(t, x, "archer", everything, &search.QueryOptions{Kind: search.User}))
	require.Equal(t, []string{"archers"},
		find(t, x, "archer", everything, &search.QueryOptions{Kind: search.Organisation}))
	require.Empty(t, find(t, x, "archer", everything, &search.QueryOptions{Kind: search.Repository}))
	require.Empty(t, find(t, x, "archer", search.Viewer{}, nil))
	require.Equal(t, []string{"ann"}, find(t, x, "archer", search.Viewer{Accounts: []string{"ann", "ann", "none"}}, nil))
	_, err = people.Rename(t.Context(), accounts.Actor{}, ann.ID, "anna")
	require.NoError(t, err)
	require.NoError(t, x.Refresh(t.Context()))
	require.Equal(t, []string{"anna"}, find(t, x, "ann", everything, nil))
}

// TestHidden: what the viewer may not see changes nothing in a result, and the questions do not
// depend on the query.
func TestHidden(t *testing.T) {
	n := &names{}
	n.set("open/app", "secret/app", "secret/app-two")
	x := newIndex(t, n, nil)
	var asked []string
	v := search.Viewer{Repository: func(_ context.Context, name string) (bool, error) {
		asked = append(asked, name)
		return strings.HasPrefix(name, "open/"), nil
	}}
	for _, query := range []string{"app", "secret", "none"} {
		asked = nil
		found, err := x.Search(t.Context(), query, v, &search.QueryOptions{Limit: 1})
		require.NoError(t, err)
		require.False(t, found.More)
		require.Len(t, asked, 3, query)
	}
	v.Prefixes = []string{"open/"}
	asked = nil
	require.Equal(t, []string{"open/app"}, find(t, x, "app", v, nil))
	require.Equal(t, []string{"open/app"}, asked)
	v.Prefixes = []string{}
	require.Empty(t, find(t, x, "app", v, nil))
	broken := errors.New("broken")
	_, err := x.Search(t.Context(), "app", search.Viewer{Repository: func(context.Context, string) (bool, error) {
		return false, broken
	}}, nil)
	require.ErrorIs(t, err, broken)
}

func TestRefresh(t *testing.T) {
	n := &names{}
	n.set("a", "b")
	x := newIndex(t, n, nil)
	require.Equal(t, 2, x.State().Repositories)
	built := x.State().Built
	n.set("b", "c")
	require.NoError(t, x.Refresh(t.Context()))
	require.Equal(t, []string{"c"}, find(t, x, "c", everything, nil))
	require.Empty(t, find(t, x, "a", everything, nil))
	require.False(t, x.State().Built.Before(built))
	n.err = errors.New("broken")
	n.list = nil
	require.ErrorIs(t, x.Refresh(t.Context()), n.err)
	require.Equal(t, []string{"c"}, find(t, x, "c", everything, nil), "the index stays as it was")
}

// TestReads: a refresh after the first one reads a limited number of descriptions and accounts,
// each in its turn.
func TestReads(t *testing.T) {
	d := drivertest.NewFaulty(memory.New(nil), nil)
	people, err := accounts.New(d, nil)
	require.NoError(t, err)
	n := &names{}
	var list []string
	for i := range 20 {
		list = append(list, fmt.Sprintf("r%02d", i))
		_, err := people.CreateUser(t.Context(), accounts.Actor{}, fmt.Sprintf("maker%c", 'a'+i), "", nil)
		require.NoError(t, err)
	}
	n.set(list...)
	x := newIndex(t, n, &search.Options{Accounts: people, Reads: 5})
	require.Len(t, find(t, x, "maker", everything, nil), 20, "the first refresh reads all")
	for i := range 20 {
		describe(t, people, list[i], "described")
	}
	n.set(append(list, "new")...)
	describe(t, people, "new", "described")
	described := func() int { return len(find(t, x, "described", everything, nil)) }
	for _, want := range []int{5, 10, 15, 20, 21} {
		require.NoError(t, x.Refresh(t.Context()))
		require.Equal(t, want, described())
		if want == 5 {
			require.Contains(t, find(t, x, "described", everything, nil), "new", "new names come first")
		}
	}
	user, err := people.Lookup(t.Context(), "makerb")
	require.NoError(t, err)
	require.NoError(t, people.Remove(t.Context(), accounts.Actor{}, user.ID))
	_, err = people.CreateUser(t.Context(), accounts.Actor{}, "makerz", "", nil)
	require.NoError(t, err)
	for range 10 {
		require.NoError(t, x.Refresh(t.Context()))
	}
	require.Len(t, find(t, x, "maker", everything, nil), 20)
	require.Empty(t, find(t, x, "makerb", everything, nil))
	require.Len(t, find(t, x, "makerz", everything, nil), 1)
	reads := d.Count("Open")
	require.NoError(t, x.Refresh(t.Context()))
	require.LessOrEqual(t, d.Count("Open")-reads, 5+3*5)
}

func TestMaxBytes(t *testing.T) {
	people := newPeople(t)
	n := &names{}
	var list []string
	for i := range 100 {
		list = append(list, fmt.Sprintf("r%03d", i))
		describe(t, people, list[i], strings.Repeat("long ", 1000))
	}
	n.set(list...)
	x := newIndex(t, n, &search.Options{Accounts: people, MaxBytes: 10_000})
	state := x.State()
	require.Equal(t, 100, state.Repositories+state.LeftOut)
	require.Less(t, state.Repositories, 70)
	require.Greater(t, state.Repositories, 30)
	x = newIndex(t, n, &search.Options{Accounts: people, MaxBytes: 1 << 20})
	require.Len(t, find(t, x, "long", everything, nil), 100)
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &names{}
		n.set("a")
		var failed atomic.Int32
		x, err := search.New(n, &search.Options{Every: time.Minute,
			Failed: func(context.Context, error) { failed.Add(1) }})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- x.Run(ctx) }()
		synctest.Wait()
		require.Equal(t, 1, x.State().Repositories)
		n.set("a", "b")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, x.State().Repositories)
		n.mu.Lock()
		n.err = errors.New("broken")
		n.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, int32(1), failed.Load())
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// TestManyGoroutines searches while the index changes.
func TestManyGoroutines(t *testing.T) {
	n, people := &names{}, newPeople(t)
	n.set("a/app")
	x := newIndex(t, n, &search.Options{Accounts: people, Reads: 1})
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				if i%4 == 0 {
					n.set("a/app", fmt.Sprintf("b%d/app", j))
					if err := x.Refresh(t.Context()); err != nil {
						t.Error(err)
					}
					continue
				}
				found, err := x.Search(t.Context(), "app", everything, nil)
				if err != nil || len(found.Results) == 0 || found.Results[0].Name != "a/app" {
					t.Error(found, err)
				}
			}
		})
	}
	all.Wait()
}

// FuzzSearch: no query fails but for its length, and a result contains each part of a word.
func FuzzSearch(f *testing.F) {
	for _, q := range []string{"web", "*", "a*b", "a b", "ÄÖ", "\xff", "a/-_.", "\x00"} {
		f.Add(q, "Some text")
	}
	people := newPeople(f)
	f.Fuzz(func(t *testing.T, query, text string) {
		n := &names{}
		n.set("acme/web", "b")
		if _, err := people.UpdateRepository(t.Context(), accounts.Actor{}, "b", func(r *accounts.Repository) error {
			r.Description = text
			return nil
		}); err != nil {
			return
		}
		x := newIndex(t, n, &search.Options{Accounts: people})
		found, err := x.Search(t.Context(), query, everything, nil)
		if err != nil {
			require.ErrorIs(t, err, search.ErrQuery)
			return
		}
		for _, r := range found.Results {
			require.LessOrEqual(t, len(r.Summary), 256)
			if r.Name == "acme/web" {
				word := strings.TrimPrefix(strings.Fields(strings.ToLower(query))[0], "repository:")
				for part := range strings.SplitSeq(word, "*") {
					require.Contains(t, r.Name, part)
				}
			}
		}
	})
}

func BenchmarkSearch(b *testing.B) {
	n := &names{}
	var list []string
	for i := range 10_000 {
		list = append(list, fmt.Sprintf("team%d/app-%d", i%100, i))
	}
	n.set(list...)
	x := newIndex(b, n, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := x.Search(b.Context(), "app", everything, nil); err != nil {
			b.Fatal(err)
		}
	}
}
