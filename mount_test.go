package registry_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// mayUse allows all callers everything in repositories with some prefixes. Each decision takes some
// time.
type mayUse struct {
	prefixes []string
	takes    time.Duration
}

func (w mayUse) Authorize(_ context.Context, _ auth.Identity, accesses []auth.Access) error {
	time.Sleep(w.takes)
	for _, a := range accesses {
		if !slices.ContainsFunc(w.prefixes, func(p string) bool { return strings.HasPrefix(a.Name, p) }) {
			return auth.ErrDenied
		}
	}
	return nil
}

// prefixer is a mayUse that implements Prefixes.
type prefixer struct{ mayUse }

func (p prefixer) Prefixes(context.Context, auth.Identity) []string { return p.prefixes }

// searched is a memory driver with a blob in n repositories below others/. It records the calls of
// its methods.
type searched struct {
	t      *testing.T
	store  *storage.Store
	digest digest.Digest

	mu    sync.Mutex
	calls []string // without the digest
}

func newSearched(t *testing.T, n int) *searched {
	d := memory.New(nil)
	content := registrytest.RandomBytes(1, 10)
	s := &searched{t: t, digest: digest.FromBytes(content)}
	var err error
	s.store, err = storage.New(t.Context(), drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.calls = append(s.calls, c.Op+" "+c.Key)
			return nil
		},
	}), nil)
	require.NoError(t, err)
	for i := range n {
		s.push(fmt.Sprintf("others/%04d", i), content)
	}
	return s
}

func (s *searched) push(repo string, content []byte) {
	u, err := s.store.CreateUpload(s.t.Context(), repo, nil)
	require.NoError(s.t, err)
	_, err = u.Commit(s.t.Context(), digest.FromBytes(content),
		&registry.Chunk{Length: int64(len(content)), Body: strings.NewReader(string(content))})
	require.NoError(s.t, err)
}

// search mounts the blob into a repository and returns the driver calls of the mount.
func (s *searched) search(repo string, opts *registry.Options) (calls []string, err error) {
	r, err := registry.New(s.store, opts)
	require.NoError(s.t, err)
	s.calls = nil
	_, err = r.Backend(anybody).MountBlob(s.t.Context(), repo, s.digest, nil)
	return s.calls, err
}

// TestMountSearchDoesTheSameWhateverOthersHave: the storage requests, the duration and the audit
// records do not depend on repositories that the caller cannot pull from.
func TestMountSearchDoesTheSameWhateverOthersHave(t *testing.T) {
	own := mayUse{prefixes: []string{"own", "team/"}, takes: 100 * time.Microsecond}
	for name, authorizer := range map[string]auth.Authorizer{"prefixes": prefixer{own}, "no prefixes": own} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var want []string
				for _, n := range []int{0, 1, 2, 70} {
					s := newSearched(t, n)
					var audited []auth.Decision
					started := time.Now()
					calls, err := s.search("own/a", &registry.Options{
						Authorizer: authorizer, Audit: func(_ context.Context, d auth.Decision) { audited = append(audited, d) },
					})
					require.ErrorIs(t, err, registry.ErrBlobUnknown)
					if want == nil {
						want = calls
					}
					require.Equal(t, want, calls, "%d others", n)
					// The push is authorized before the search.
					require.Equal(t, 10*time.Millisecond+own.takes, time.Since(started), "%d others", n)
					require.Len(t, audited, 2, "the push and the search")
					require.Equal(t, []bool{true, false}, []bool{audited[0].Allowed, audited[1].Allowed})
					require.Empty(t, audited[1].Accesses[0].Name)
				}
			})
		})
	}
}

// TestMountSearchFindsWhatTheCallerMayPull: the search finds the blob after a thousand repositories
// that the caller cannot pull from.
func TestMountSearchFindsWhatTheCallerMayPull(t *testing.T) {
	s := newSearched(t, 1000)
	content := registrytest.RandomBytes(1, 10)
	for _, source := range []string{"own", "team/z/deep", "zz", "team.z"} {
		s.push(source, content)
		for _, prefixes := range [][]string{
			{source, "to"}, {source[:2], "to"}, {"nothing/a", source[:len(source)-1], "nothing/", "to"},
			{"a", "b", "c", "d", "e", "f", "g", "h", source, "to"},
		} {
			for _, authorizer := range []auth.Authorizer{mayUse{prefixes: prefixes}, prefixer{mayUse{prefixes: prefixes}}} {
				var audited []auth.Decision
				_, err := s.search("to", &registry.Options{
					Authorizer: authorizer, Audit: func(_ context.Context, d auth.Decision) { audited = append(audited, d) },
				})
				require.NoError(t, err, "%s by %q", source, prefixes)
				require.Len(t, audited, 2)
				require.Equal(t, source, audited[1].Accesses[0].Name)
				require.True(t, audited[1].Allowed)
				require.NoError(t, s.store.DeleteBlob(t.Context(), "to", s.digest, nil))
			}
		}
		require.NoError(t, s.store.DeleteBlob(t.Context(), source, s.digest, nil))
	}
}

// TestMountSearchAsksAboutBoundedRepositories: the number of decisions is bounded, even for a
// caller without pull access to any repository.
func TestMountSearchAsksAboutBoundedRepositories(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSearched(t, 1000)
		started := time.Now()
		_, err := s.search("to", &registry.Options{Authorizer: mayUse{prefixes: []string{"to"}, takes: 5 * time.Millisecond}})
		require.ErrorIs(t, err, registry.ErrBlobUnknown)
		require.Less(t, time.Since(started), 2*time.Second)
	})
}
