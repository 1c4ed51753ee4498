package accountstest

import (
	"context"
	"crypto/subtle"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"github.com/registrykit/registry/auth/accounts"
)

// Memory is a Directory in memory, for tests and as an example. It stores passwords in plain text, so do not use it in
// a product. It is safe for concurrent use.
type Memory struct {
	mu    sync.RWMutex
	facts Facts
}

var _ accounts.Directory = (*Memory)(nil)

// NewMemory returns a Directory with facts. The caller must not change them afterwards; use [Memory.Change].
func NewMemory(facts Facts) *Memory { return &Memory{facts: facts} }

// Change changes the facts. Requests may still use what they have read, so change must replace accounts and lists, and
// not modify them.
func (m *Memory) Change(change func(*Facts)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.facts)
}

// Lookup implements [accounts.Directory].
func (m *Memory) Lookup(_ context.Context, name string) (*accounts.Account, error) {
	return m.find(func(a *accounts.Account) bool {
		return a.Removed == nil && (a.Name == name || slices.Contains(a.Former, name))
	})
}

// Account implements [accounts.Directory].
func (m *Memory) Account(_ context.Context, id accounts.ID) (*accounts.Account, error) {
	return m.find(func(a *accounts.Account) bool { return a.ID == id })
}

func (m *Memory) find(wanted func(*accounts.Account) bool) (*accounts.Account, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.facts.Accounts {
		if wanted(&m.facts.Accounts[i]) {
			found := m.facts.Accounts[i]
			return &found, nil
		}
	}
	return nil, accounts.ErrUnknown
}

// IsAdmin implements [accounts.Directory].
func (m *Memory) IsAdmin(_ context.Context, id accounts.ID) (bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Contains(m.facts.Admins, id), nil
}

// CheckPassword implements [accounts.Directory].
func (m *Memory) CheckPassword(ctx context.Context, id accounts.ID, password string) (string, error) {
	m.mu.RLock()
	want, known := m.facts.Passwords[id]
	m.mu.RUnlock()
	if same := subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1; !same || !known {
		return "", accounts.ErrUnknown
	}
	return m.PasswordVersion(ctx, id)
}

// PasswordVersion implements [accounts.Directory]. A host would count the changes of the password instead.
func (m *Memory) PasswordVersion(_ context.Context, id accounts.ID) (string, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	password, known := m.facts.Passwords[id]
	if !known {
		return "", accounts.ErrUnknown
	}
	h := fnv.New64()
	h.Write([]byte(password))
	return fmt.Sprintf("%x", h.Sum64()), nil
}

// Secret implements [accounts.Directory].
func (m *Memory) Secret(_ context.Context, owner accounts.ID, id string) (*accounts.Secret, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.facts.Secrets {
		if s := m.facts.Secrets[i]; s.Owner == owner && s.ID == id {
			return &s, nil
		}
	}
	return nil, accounts.ErrUnknown
}

// Grants implements [accounts.Directory].
func (m *Memory) Grants(ctx context.Context, organisation, user accounts.ID) ([]accounts.Grant, error) {
	var all []accounts.Grant
	err := m.teams(ctx, user, func(org *accounts.Account, t *Team) {
		if org.ID == organisation && t != nil {
			all = append(all, t.Grants...)
		}
	})
	return all, err
}

// Groups implements [accounts.Directory].
func (m *Memory) Groups(ctx context.Context, user accounts.ID) ([]string, error) {
	var all []string
	err := m.teams(ctx, user, func(org *accounts.Account, t *Team) {
		if t != nil {
			all = append(all, org.Name+"/"+t.Name)
			return
		}
		all = append(all, org.Name)
		if slices.Contains(org.Owners, user) {
			all = append(all, org.Name+"/owners")
		}
	})
	slices.Sort(all)
	return all, err
}

// teams calls yield for each organisation of an active user, with a nil Team, and for each of the user's teams there.
func (m *Memory) teams(ctx context.Context, user accounts.ID, yield func(*accounts.Account, *Team)) error {
	u, err := m.Account(ctx, user)
	if err != nil || !u.Active() {
		return nil // somebody else has no teams
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := range m.facts.Accounts {
		org := &m.facts.Accounts[i]
		owner, member := slices.Contains(org.Owners, user), slices.Contains(m.facts.Members[org.ID], user)
		if org.Removed != nil || !owner && !member {
			continue
		}
		yield(org, nil)
		for j := range m.facts.Teams {
			if t := &m.facts.Teams[j]; t.Organisation == org.ID && slices.Contains(t.Members, user) {
				yield(org, t)
			}
		}
	}
	return nil
}

// Visibility implements [accounts.Directory].
func (m *Memory) Visibility(_ context.Context, repository string) (accounts.Visibility, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.facts.Visibility[repository], nil
}
