package quota_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everything limits all resources to so much that nothing is refused.
var everything = quota.Amounts{Bytes: 1 << 50, Repositories: 1 << 30, Manifests: 1 << 30, Tags: 1 << 30}

// newStore returns a Store that keeps a history.
func newStore(t testing.TB, d driver.Driver) *storage.Store {
	s, err := storage.New(t.Context(), d, &storage.Options{History: time.Hour})
	require.NoError(t, err)
	return s
}

// newQuotas returns Quotas of a driver.
func newQuotas(t testing.TB, d driver.Driver, opts *quota.Options, limits ...quota.Limit) *quota.Quotas {
	s := newStore(t, d)
	return quotasAround(t, s, s, d, opts, limits...)
}

func quotasAround(t testing.TB, next registry.Backend, s *storage.Store, d driver.Driver, opts *quota.Options,
	limits ...quota.Limit) *quota.Quotas {
	l, err := quota.NewLimits(limits)
	require.NoError(t, err)
	q, err := quota.New(next, s, d, l, opts)
	require.NoError(t, err)
	return q
}

// TestBackend: below its limits, a Quotas is a whole Backend.
func TestBackend(t *testing.T) {
	limits := map[string]quota.Limit{"all": {Max: everything}}
	if !testing.Short() {
		// Resources that are not limited cost nothing, and must not be missed.
		limits["tags"] = quota.Limit{Max: quota.Amounts{Tags: 1 << 30}}
	}
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
				return newQuotas(t, memory.New(nil), nil, limit)
			}, &registrytest.Options{History: true, LargeSize: 1 << 20, Appends: 50})
		})
	}
}

// random returns n bytes that are the same for the same seed.
func random(seed, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(fmt.Sprint(seed)))).Read(b)
	return b
}

// pushBlob pushes a blob.
func pushBlob(ctx context.Context, b registry.Backend, repo string, content []byte) (digest.Digest, error) {
	d := digest.FromBytes(content)
	_, err := registry.PushBlob(ctx, b, repo, d, bytes.NewReader(content))
	return d, err
}

// requireExceeded checks a refusal, and returns its detail.
func requireExceeded(t testing.TB, err error) quota.Excess {
	t.Helper()
	require.ErrorIs(t, err, quota.ErrExceeded)
	var e *registry.Error
	require.True(t, errors.As(err, &e))
	excess, ok := e.Detail().(quota.Excess)
	require.True(t, ok)
	return excess
}

// used returns what the prefix of a repository has.
func used(t testing.TB, q *quota.Quotas, repo string) quota.Amounts {
	t.Helper()
	s, err := q.State(t.Context(), repo)
	require.NoError(t, err)
	return s.Used
}

func tagRef(tag string) reference.Ref { return reference.Ref{Tag: tag} }
