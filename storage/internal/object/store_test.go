package object

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/internal/handover"
)

// TestReserveLarge: memory for large records is given back with the record, or with the claim of
// the request.
func TestReserveLarge(t *testing.T) {
	s := &Store{large: semaphore.NewWeighted(largeMemory)}
	ctx, cancel := context.WithCancel(t.Context())
	claim := new(handover.Claim)
	request := handover.NewContext(ctx, claim)

	done, err := s.reserveLarge(request, largeMemory)
	require.NoError(t, err)
	done()
	require.False(t, s.large.TryAcquire(1), "the request still has the record")
	done, err = s.reserveLarge(request, 1<<40)
	require.NoError(t, err, "a request that reads again does not wait for itself, nor for more than there is")
	done()
	claim.Close()

	done, err = s.reserveLarge(request, largeMemory)
	require.NoError(t, err)
	require.False(t, s.large.TryAcquire(1))
	done()
	done, err = s.reserveLarge(ctx, largeMemory)
	require.NoError(t, err)
	cancel()
	_, err = s.reserveLarge(ctx, 1)
	require.ErrorIs(t, err, context.Canceled, "a request whose client has gone does not wait")
	done()
	require.True(t, s.large.TryAcquire(largeMemory), "everything has been given back")
}
