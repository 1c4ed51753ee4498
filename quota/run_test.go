package quota_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/storage/memory"
)

// TestRunCountsAfterDeletesAndRefusals: without a call of Recount, the figures follow deletes, those of
// others after a refusal, and what Changed announces.
func TestRunCountsAfterDeletesAndRefusals(t *testing.T) {
	d := memory.New(nil)
	counted := make(chan string)
	opts := &quota.Options{Counted: func(prefix string, err error) {
		if err == nil {
			counted <- prefix
		}
	}}
	s := newStore(t, d)
	q := quotasAround(t, s, s, d, opts, quota.Limit{Prefix: "team", Max: quota.Amounts{Bytes: 1000}})
	quota.CountAtOnce(q)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- q.Run(ctx) }()

	blob, err := pushBlob(t.Context(), q, "team/app", random(1, 900))
	require.NoError(t, err)
	require.NoError(t, q.DeleteBlob(t.Context(), "team/app", blob, nil))
	require.Equal(t, "team", <-counted)
	require.Zero(t, used(t, q, "team"))

	_, err = pushBlob(t.Context(), q, "team/app", random(1, 900))
	require.NoError(t, err)
	require.NoError(t, s.DeleteBlob(t.Context(), "team/app", blob, nil)) // not by way of the quota
	_, err = pushBlob(t.Context(), q, "team/app", random(2, 900))
	requireExceeded(t, err)
	require.Equal(t, "team", <-counted)
	_, err = pushBlob(t.Context(), q, "team/app", random(2, 900))
	require.NoError(t, err)

	for _, prefix := range []string{"", "team"} {
		q.Changed(prefix)
		require.Equal(t, "team", <-counted)
	}
	q.Changed("tea")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	state, err := q.State(t.Context(), "team")
	require.NoError(t, err)
	require.Zero(t, state.Pending, "Run writes what has ended at last")
}

// TestRunCountsOldFigures: one of two replicas counts what neither has changed.
func TestRunCountsOldFigures(t *testing.T) {
	d := memory.New(nil)
	limit := quota.Limit{Prefix: "users/*", Max: everything}
	_, err := pushBlob(t.Context(), newQuotas(t, d, nil, limit), "users/ann/app", random(1, 900))
	require.NoError(t, err)
	counted := make(chan string, 100)
	opts := &quota.Options{Every: 1, Counted: func(prefix string, _ error) { counted <- prefix }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- newQuotas(t, d, opts, limit).Run(ctx) }()
	require.Equal(t, "users/ann", <-counted)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// TestUnknownMethodUnsupported: a method added to Backend later is that of Unimplemented, because Quotas
// does not embed the Backend that it wraps.
func TestUnknownMethodUnsupported(t *testing.T) {
	typ := reflect.TypeFor[quota.Quotas]()
	var embedded []reflect.Type
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Anonymous {
			embedded = append(embedded, f.Type)
		}
	}
	require.Equal(t, []reflect.Type{reflect.TypeFor[registry.Unimplemented]()}, embedded)
}

func TestNewRefusesBadArguments(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d)
	l, err := quota.NewLimits(nil)
	require.NoError(t, err)
	for _, opts := range []*quota.Options{{Every: -1}, {Hold: 1}} {
		_, err = quota.New(s, s, d, l, opts)
		require.Error(t, err)
	}
	_, err = quota.New(nil, s, d, l, nil)
	require.Error(t, err)
	_, err = quota.New(s, s, d, nil, nil)
	require.Error(t, err)
}
