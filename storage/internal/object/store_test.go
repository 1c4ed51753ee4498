package object

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/internal/handover"
)

// TestReserveLarge checks that memory for a large record is released with the record, or with the
// claim of the request.
func TestReserveLarge(t *testing.T) {
	s := &Store{large: semaphore.NewWeighted(largeMemory)}
	ctx, cancel := context.WithCancel(t.Context())
	claim := new(handover.Claim)
	request := handover.NewContext(ctx, claim)

	done, err := s.acquireLarge(request, largeMemory)
	require.NoError(t, err)
	done()
	require.False(t, s.large.TryAcquire(1), "the request still has the record")
	done, err = s.acquireLarge(request, 1<<40)
	require.NoError(t, err, "a request that reads again waits neither for itself nor for more than the maximum")
	done()
	claim.Close()

	done, err = s.acquireLarge(request, largeMemory)
	require.NoError(t, err)
	require.False(t, s.large.TryAcquire(1))
	done()
	done, err = s.acquireLarge(ctx, largeMemory)
	require.NoError(t, err)
	cancel()
	_, err = s.acquireLarge(ctx, 1)
	require.ErrorIs(t, err, context.Canceled, "a request without a client does not wait")
	done()
	require.True(t, s.large.TryAcquire(largeMemory), "everything was released")
}
