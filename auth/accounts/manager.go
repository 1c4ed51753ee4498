package accounts

import (
	"context"
	"io"
	"iter"
	"time"
)

// Manager has all operations on accounts. [Accounts] implements it. A management API that is written over
// Manager also works for the accounts of another system.
//
// A list is in ascending order of names without hyphens, in which look-alike characters are equal. It begins after
// the given name. It reads only the elements that its consumer takes, and a few ahead. If an error occurs, it is
// the last element.
type Manager interface {
	Directory

	// Accounts.
	Find(ctx context.Context, name string) (*Account, error)
	List(ctx context.Context, after string) iter.Seq2[*Account, error]
	ListOrganisations(ctx context.Context, after string) iter.Seq2[*Account, error]
	ListPrefix(ctx context.Context, prefix, after string) iter.Seq2[*Account, error]
	CreateUser(ctx context.Context, by Actor, name, password string, opts *UserOptions) (*Account, error)
	CreateOrganisation(ctx context.Context, by Actor, name string, owner ID, opts *UserOptions) (*Account, error)
	Update(ctx context.Context, by Actor, id ID, change func(*Profile) error) (*Account, error)
	Rename(ctx context.Context, by Actor, id ID, name string) (*Account, error)
	Release(ctx context.Context, by Actor, id ID, former string) (*Account, error)
	Disable(ctx context.Context, by Actor, id ID) (*Account, error)
	Enable(ctx context.Context, by Actor, id ID) (*Account, error)
	Remove(ctx context.Context, by Actor, id ID) error
	SetPassword(ctx context.Context, by Actor, id ID, password string) error

	// Admins and owners.
	Admins(ctx context.Context) ([]ID, error)
	AddAdmin(ctx context.Context, by Actor, id ID) error
	RemoveAdmin(ctx context.Context, by Actor, id ID) error
	AddOwner(ctx context.Context, by Actor, organisation, user ID) error
	RemoveOwner(ctx context.Context, by Actor, organisation, user ID) error

	// Members and teams.
	Members(ctx context.Context, organisation ID, after ID) iter.Seq2[*Member, error]
	Memberships(ctx context.Context, user, after ID) iter.Seq2[*Member, error]
	Member(ctx context.Context, organisation, user ID) (*Member, error)
	AddMember(ctx context.Context, by Actor, organisation, user ID) error
	RemoveMember(ctx context.Context, by Actor, organisation, user ID) error
	Team(ctx context.Context, organisation ID, name string) (*Team, error)
	Teams(ctx context.Context, organisation ID) ([]Team, error)
	TeamsAfter(ctx context.Context, organisation ID, after string) iter.Seq2[*Team, error]
	CreateTeam(ctx context.Context, by Actor, organisation ID, name string, opts *TeamOptions) (*Team, error)
	UpdateTeam(ctx context.Context, by Actor, organisation ID, name string, change func(*Team) error) (*Team, error)
	RemoveTeam(ctx context.Context, by Actor, organisation ID, name string) error
	JoinTeam(ctx context.Context, by Actor, organisation ID, team string, user ID) error
	LeaveTeam(ctx context.Context, by Actor, organisation ID, team string, user ID) error

	// Robots.
	Robots(ctx context.Context, namespace ID, after string) iter.Seq2[*Account, error]
	CreateRobot(ctx context.Context, by Actor, namespace ID, name string, grants []Grant) (*Account, error)
	UpdateRobot(ctx context.Context, by Actor, id ID, grants []Grant) (*Account, error)

	// Secrets.
	Secrets(ctx context.Context, owner ID) iter.Seq2[*Secret, error]
	CreateSecret(ctx context.Context, by Actor, owner ID, name string, opts *SecretOptions) (NewSecret, error)
	RotateSecret(ctx context.Context, by Actor, owner ID, id string, grace time.Duration) (NewSecret, error)
	RevokeSecret(ctx context.Context, by Actor, owner ID, id string) error

	// Repositories.
	Repository(ctx context.Context, name string) (*Repository, error)
	UpdateRepository(ctx context.Context, by Actor, name string, change func(*Repository) error) (*Repository, error)

	// Backup.
	Export(ctx context.Context, w io.Writer) error
	Import(ctx context.Context, by Actor, r io.Reader, opts *ImportOptions) (ImportResult, error)
}
