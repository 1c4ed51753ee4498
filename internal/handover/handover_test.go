package handover

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClaimReleasesOnce(t *testing.T) {
	c := new(Claim)
	ctx := NewContext(t.Context(), c)
	require.Same(t, c, FromContext(context.WithoutCancel(ctx)))
	released := [4]int{}
	release := func(i int) func() { return func() { released[i]++ } }

	require.True(t, c.Keep(release(0)))
	require.True(t, c.Keep(release(1)))
	require.Equal(t, [4]int{1}, released, "a claim holds one manifest")
	c.Release()
	c.Release()
	require.Equal(t, [4]int{1, 1}, released)
	require.True(t, c.Keep(release(2)))
	c.Close()
	c.Close()
	require.Equal(t, [4]int{1, 1, 1}, released)
	require.False(t, c.Keep(release(3)), "the handler has returned: nobody would call release")
	require.Equal(t, [4]int{1, 1, 1, 0}, released)
}

func TestNilClaimKeepsNothing(t *testing.T) {
	c := FromContext(t.Context())
	require.Nil(t, c)
	require.False(t, c.Keep(func() { t.Error("called") }))
	c.Release()
	c.Close()
}
