package accounts

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// The types of the lines of an export, in their order. A line may refer to the accounts of earlier lines.
const (
	lineExport     = "export"     // the first line: an exportHeader
	lineAccount    = "account"    // users, organisations, removed ones of both, robots, removed robots
	lineName       = "name"       // a released name, or the name of a removed account, with its quarantine
	linePassword   = "password"   // the hash of the password of a user
	lineSecret     = "secret"     // a secret, with its hash
	lineUses       = "uses"       // when the secrets of an account were used last
	lineTeam       = "team"       // a team of an organisation
	lineMember     = "member"     // a membership in an organisation
	lineRepository = "repository" // the settings of a repository
	lineLink       = "link"       // a link of a person at a provider to a user
	lineAdmin      = "admin"      // an admin of the registry
	lineEnd        = "end"        // the last line: an exportEnd
)

// exportVersion is the version of the format. Import rejects other versions.
const exportVersion = 1

// line is a line of an export.
type line struct {
	Type string `json:"type"`
	// Of is the account that the fact belongs to, unless the fact itself contains that.
	Of   ID  `json:"of,omitempty"`
	Fact any `json:"fact"`
}

// exportHeader is the fact of the first line.
type exportHeader struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
}

// exportEnd is the fact of the last line. An export without it was cut off.
type exportEnd struct {
	Lines int64 `json:"lines"` // including the first and the last one
}

// adminLine is the fact of an admin.
type adminLine struct {
	ID ID `json:"id"`
}

// Export writes all facts as JSON lines (RFC 8259, one object in each line) in the order that Import needs: accounts,
// names in quarantine, passwords and secrets as hashes, teams, members, repositories, links, admins. It does not write
// the token for [Accounts.SetUp].
//
// The file contains hashes of passwords, which an attacker can use to guess them offline, so give it the mode 0600.
// Export is not a snapshot: it may or may not contain a concurrent change, and it leaves out everything of an account
// that was not created completely. It keeps the IDs of all accounts in memory.
//
// Errors: those of w and of the Driver. After an error, the last line is missing, and Import rejects the file.
func (a *Accounts) Export(ctx context.Context, w io.Writer) error {
	buffered := bufio.NewWriter(w)
	e := &exporter{a: a, json: json.NewEncoder(buffered), written: map[ID]bool{}}
	e.json.SetEscapeHTML(false)
	if err := e.write(lineExport, "", &exportHeader{exportVersion, a.now().UTC()}); err != nil {
		return err
	}
	for _, part := range []func(context.Context) error{
		e.accounts, e.names, e.passwords, e.secrets, e.uses, e.teams, e.members, e.repositories, e.links,
		e.admins,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	if err := e.write(lineEnd, "", &exportEnd{e.lines + 1}); err != nil {
		return err
	}
	return buffered.Flush()
}

// exporter writes an export.
type exporter struct {
	a       *Accounts
	json    *json.Encoder
	lines   int64
	removed []ID // removed accounts, sorted
	// written are the accounts that have a line. Import refuses a line about any other one.
	written map[ID]bool
}

func (e *exporter) write(kind string, of ID, fact any) error {
	e.lines++
	return e.json.Encode(&line{Type: kind, Of: of, Fact: fact})
}

// exportBatch is the maximum number of facts in memory.
const exportBatch = 64

// facts calls emit with each fact whose key begins with prefix, in the order of the keys.
func facts[T any](ctx context.Context, e *exporter, prefix string, emit func(key string, fact *T) error) error {
	var keys []string
	for info, err := range e.a.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		if keys = append(keys, info.Key); len(keys) == exportBatch {
			if err := readAll(ctx, e, keys, emit); err != nil {
				return err
			}
			keys = keys[:0]
		}
	}
	return readAll(ctx, e, keys, emit)
}

// readAll is facts for a list of keys. It skips facts that do not exist.
func readAll[T any](ctx context.Context, e *exporter, keys []string, emit func(key string, fact *T) error) error {
	read := make([]*T, len(keys))
	err := parallel.Each(parallelRequests, len(keys), func(i int) error {
		fact, _, err := get[T](ctx, e.a, keys[i])
		read[i] = fact
		return ignore(err, ErrUnknown)
	})
	if err != nil {
		return err
	}
	for i, fact := range read {
		if fact == nil {
			continue
		}
		if err := emit(keys[i], fact); err != nil {
			return err
		}
	}
	return nil
}

// accounts writes users while it reads them, and then the other accounts, which refer to users and to each other.
func (e *exporter) accounts(ctx context.Context) error {
	var organisations, robots, removedRobots []ID
	write := func(_ string, r *accountRecord) error { return e.account(ctx, &r.Account) }
	err := facts(ctx, e, prefix+"u/", func(key string, r *accountRecord) error {
		switch {
		case r.Kind == "": // its creation was given up
		case r.Removed != nil:
			e.removed = append(e.removed, r.ID)
			if r.Kind == Robot {
				removedRobots = append(removedRobots, r.ID)
			}
		case r.Kind == Organisation:
			organisations = append(organisations, r.ID)
		case r.Kind == Robot:
			robots = append(robots, r.ID)
		default:
			return write(key, r)
		}
		return nil
	})
	removed := slices.DeleteFunc(slices.Clone(e.removed), func(id ID) bool {
		_, robot := slices.BinarySearch(removedRobots, id)
		return robot
	})
	for _, ids := range [][]ID{organisations, removed, robots, removedRobots} {
		for len(ids) > 0 && err == nil {
			n := min(len(ids), exportBatch)
			keys := make([]string, n)
			for i, id := range ids[:n] {
				keys[i] = accountKey(id)
			}
			ids = ids[n:]
			err = readAll(ctx, e, keys, write)
		}
	}
	return err
}

// account writes an account. It leaves out a robot whose name is not its own: to be made is to get the name. Owners and
// namespaces that have no line were made meanwhile.
func (e *exporter) account(ctx context.Context, acc *Account) error {
	switch {
	case acc.Removed != nil:
	case acc.Kind == Robot:
		r, _, err := get[nameRecord](ctx, e.a, robotKey(acc.Namespace, robotPart(acc.Name)))
		if err != nil {
			return ignore(err, ErrUnknown)
		}
		if r.ID != acc.ID || !e.written[acc.Namespace] {
			return nil
		}
	case acc.Kind == Organisation:
		acc.Owners = slices.DeleteFunc(acc.Owners, func(id ID) bool { return !e.written[id] })
		if len(acc.Owners) == 0 {
			return nil
		}
	}
	e.written[acc.ID] = true
	return e.write(lineAccount, "", acc)
}

// about writes a fact about an account, if that has a line.
func (e *exporter) about(id ID, kind string, of ID, fact any) error {
	if !e.written[id] {
		return nil
	}
	return e.write(kind, of, fact)
}

// names writes the names that are in quarantine, or were once. The others are in the lines of accounts.
func (e *exporter) names(ctx context.Context) error {
	return facts(ctx, e, prefix+"n/", func(_ string, r *nameRecord) error {
		if _, ofRemoved := slices.BinarySearch(e.removed, r.ID); !ofRemoved && r.Released.IsZero() {
			return nil
		}
		// The account may have it nevertheless: again, in another spelling, or because an interrupted call has not
		// given it up. Then the line of the account says so.
		acc, _, err := get[accountRecord](ctx, e.a, accountKey(r.ID))
		if ignore(err, ErrUnknown) != nil || err == nil && acc.Removed == nil && acc.lists(skeleton(r.Name)) {
			return ignore(err, ErrUnknown)
		}
		return e.write(lineName, "", r)
	})
}

func (e *exporter) passwords(ctx context.Context) error {
	return facts(ctx, e, prefix+"p/", func(key string, r *passwordRecord) error {
		id := ID(strings.TrimPrefix(key, prefix+"p/"))
		return e.about(id, linePassword, id, r)
	})
}

func (e *exporter) secrets(ctx context.Context) error {
	return facts(ctx, e, prefix+"s/", func(_ string, s *Secret) error { return e.about(s.Owner, lineSecret, "", s) })
}

func (e *exporter) uses(ctx context.Context) error {
	return facts(ctx, e, prefix+"l/", func(key string, r *usesRecord) error {
		id := ID(strings.TrimPrefix(key, prefix+"l/"))
		return e.about(id, lineUses, id, r)
	})
}

func (e *exporter) teams(ctx context.Context) error {
	return facts(ctx, e, prefix+"t/", func(key string, t *Team) error {
		of, _, _ := strings.Cut(strings.TrimPrefix(key, prefix+"t/"), "/")
		return e.about(ID(of), lineTeam, ID(of), t)
	})
}

func (e *exporter) members(ctx context.Context) error {
	return facts(ctx, e, prefix+"m/", func(key string, m *membership) error {
		of, _, _ := strings.Cut(strings.TrimPrefix(key, prefix+"m/"), "/")
		if !e.written[m.User] {
			return nil
		}
		return e.about(ID(of), lineMember, ID(of), m)
	})
}

func (e *exporter) repositories(ctx context.Context) error {
	return facts(ctx, e, prefix+"r/", func(_ string, r *repositoryRecord) error {
		return e.write(lineRepository, "", r)
	})
}

func (e *exporter) links(ctx context.Context) error {
	return facts(ctx, e, prefix+"x/", func(_ string, l *linkRecord) error { return e.about(l.Account, lineLink, "", l) })
}

func (e *exporter) admins(ctx context.Context) error {
	admins, err := e.a.Admins(ctx)
	for _, id := range admins {
		if err == nil {
			err = e.about(id, lineAdmin, "", &adminLine{id})
		}
	}
	return err
}
