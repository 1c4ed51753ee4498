package search

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/internal/parallel"
)

const (
	// maxSummary is the maximum length of a summary, in bytes, that of accounts.Repository.
	maxSummary = 256
	// maxText is the length of the part of a description that is searched, in bytes.
	maxText = 512
	// entryBytes is about the memory of an entry without its texts.
	entryBytes = 160
	// readsAtOnce is the number of descriptions that are read at the same time.
	readsAtOnce = 8
)

// entry is a repository or an account. It does not change.
type entry struct {
	kind    Kind
	name    string
	summary string // for display
	text    string // what is searched beside the name, in lower case
	// content is what the repository has, or nil if it was not read yet.
	content *content
	// full reports that there was no room for the content.
	full bool
}

// bytes returns about the memory that the entry takes.
func (e *entry) bytes() int {
	n := entryBytes + len(e.name) + len(e.summary) + len(e.text)
	if e.content != nil {
		n += e.content.size
	}
	return n
}

// snapshot is the state of an index. It does not change.
type snapshot struct {
	built        time.Time // zero before the first refresh
	repositories []*entry  // in ascending order of their names
	accounts     []*entry
	byName       map[string]*entry // of accounts
	leftOut      int
	room         int // bytes that are left of Options.MaxBytes
}

// cycle is where the next refresh goes on. A refresh holds Index.refreshing.
type cycle struct {
	repository string // the last repository whose description was read in its turn
	content    string // the last repository whose content was read in its turn
	account    string // the last account that was read
	number     int    // of the current pass over all accounts
	accounts   map[accounts.ID]knownAccount
}

// knownAccount is an account with the number of the last cycle that has found it.
type knownAccount struct {
	entry *entry
	cycle int
}

// Refresh reads the names anew, and then what has changed of the tags and images. See the package
// comment for what it reads. Only one call at a time does so; the others wait.
//
// Errors: those of the Lister and of Options.Accounts, with which the index stays as it was; those of
// Options.Content, with which the repositories that could not be read stay as they were.
func (x *Index) Refresh(ctx context.Context) error {
	x.refreshing.Lock()
	defer x.refreshing.Unlock()
	next := &snapshot{built: time.Now()}
	room := x.opts.MaxBytes
	was := x.current.Load()
	if err := x.refreshRepositories(ctx, was, next, &room); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	if x.opts.Accounts != nil {
		if err := x.refreshAccounts(ctx, was.built.IsZero(), next, &room); err != nil {
			return fmt.Errorf("search: %w", err)
		}
	}
	next.room = room
	x.current.Store(next)
	if x.opts.Content == nil {
		return nil
	}
	if err := x.refreshContents(ctx, was.built.IsZero()); err != nil {
		return fmt.Errorf("search: %w", err)
	}
	return nil
}

// refreshRepositories lists all repositories. It reads the descriptions of new ones, and of others
// in turn.
func (x *Index) refreshRepositories(ctx context.Context, was, next *snapshot, room *int) error {
	old := was.repositories
	var fresh, rest []int // indexes of those without and with an entry
	for name, err := range x.repositories.Repositories(ctx, nil) {
		if err != nil {
			return err
		}
		for len(old) > 0 && old[0].name < name {
			old = old[1:]
		}
		e := &entry{kind: Repository, name: name}
		known := len(old) > 0 && old[0].name == name
		if known {
			e = old[0]
		}
		if size := e.bytes(); size > *room && e.content != nil {
			e = &entry{kind: e.kind, name: e.name, summary: e.summary, text: e.text, full: true}
		}
		if *room -= e.bytes(); *room < 0 {
			next.leftOut++
			continue
		}
		if known {
			rest = append(rest, len(next.repositories))
		} else {
			fresh = append(fresh, len(next.repositories))
		}
		next.repositories = append(next.repositories, e)
	}
	if x.opts.Accounts == nil {
		return nil
	}
	if !was.built.IsZero() {
		fresh = x.turn(next.repositories, fresh, rest)
	}
	return x.describe(ctx, next, fresh, room)
}

// turn returns which descriptions a refresh reads, as indexes of all: of the new repositories, and
// then of those whose turn it is, at most Options.Reads.
func (x *Index) turn(all []*entry, fresh, rest []int) []int {
	n := x.opts.Reads
	if len(fresh) >= n {
		// The other new repositories have their turn later.
		return fresh[:n]
	}
	i, _ := slices.BinarySearchFunc(rest, x.cycle.repository, func(i int, last string) int {
		if all[i].name <= last {
			return -1
		}
		return 1
	})
	in := slices.Concat(rest[i:], rest[:i])
	in = in[:min(len(in), n-len(fresh))]
	if len(in) > 0 {
		x.cycle.repository = all[in[len(in)-1]].name
	}
	return slices.Concat(fresh, in)
}

// describe reads the descriptions of the repositories with the given indexes.
func (x *Index) describe(ctx context.Context, next *snapshot, indexes []int, room *int) error {
	read := make([]*entry, len(indexes))
	err := parallel.Each(readsAtOnce, len(indexes), func(i int) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e := next.repositories[indexes[i]]
		r, err := x.opts.Accounts.Repository(ctx, e.name)
		if err != nil {
			return err
		}
		summary := r.Summary()
		described := *e
		described.summary, described.text = summary, fold(r.Description)
		read[i] = &described
		return nil
	})
	if err != nil {
		return err
	}
	for i, e := range read {
		was := next.repositories[indexes[i]]
		if more := e.bytes() - was.bytes(); more <= max(*room, 0) {
			*room -= more
			next.repositories[indexes[i]] = e
		}
	}
	return nil
}

// fold returns the beginning of a text in lower case.
func fold(text string) string {
	return strings.ToLower(strings.ToValidUTF8(text[:min(len(text), maxText)], ""))
}

// refreshAccounts goes on reading the accounts where the last refresh has stopped. At the end of
// the list, accounts that were not found again are forgotten.
func (x *Index) refreshAccounts(ctx context.Context, whole bool, next *snapshot, room *int) error {
	c := &x.cycle
	if c.accounts == nil {
		c.accounts = map[accounts.ID]knownAccount{}
	}
	n, ended := 0, true
	for a, err := range x.opts.Accounts.List(ctx, c.account) {
		if err != nil {
			return err
		}
		e := &entry{kind: User, name: a.Name, summary: cut(a.FullName), text: fold(a.FullName)}
		if a.Kind == accounts.Organisation {
			e.kind = Organisation
		}
		c.accounts[a.ID] = knownAccount{e, c.number}
		c.account = a.Name
		if n++; n >= x.opts.Reads && !whole {
			ended = false
			break
		}
	}
	if ended {
		for id, a := range c.accounts {
			if a.cycle != c.number {
				delete(c.accounts, id)
			}
		}
		c.account, c.number = "", c.number+1
	}
	next.add(c.accounts, room)
	return nil
}

// add adds accounts to a snapshot, as far as there is room.
func (s *snapshot) add(known map[accounts.ID]knownAccount, room *int) {
	for _, a := range known {
		s.accounts = append(s.accounts, a.entry)
	}
	slices.SortFunc(s.accounts, func(a, b *entry) int { return strings.Compare(a.name, b.name) })
	s.byName = make(map[string]*entry, len(s.accounts))
	for i, e := range s.accounts {
		if *room -= e.bytes(); *room < 0 {
			s.leftOut += len(s.accounts) - i
			s.accounts = s.accounts[:i]
			return
		}
		s.byName[e.name] = e
	}
}

// cut returns the beginning of a text for display.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxSummary)], "") }
