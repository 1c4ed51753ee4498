package quota_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestEachBlobCountsOnce: a blob costs nothing in a further repository of the prefix, however it comes.
func TestEachBlobCountsOnce(t *testing.T) {
	q := newQuotas(t, memory.New(nil), nil, quota.Limit{Prefix: "team", Max: quota.Amounts{Bytes: 1500}})
	d, err := pushBlob(t.Context(), q, "team/app", random(1, 1000))
	require.NoError(t, err)
	require.EqualValues(t, 1000, used(t, q, "team").Bytes)

	u, err := q.CreateUpload(t.Context(), "team/web", nil) // as a POST with the digest
	require.NoError(t, err)
	_, err = u.Commit(t.Context(), d, &registry.Chunk{Length: 1000, Body: bytes.NewReader(random(1, 1000))})
	require.NoError(t, err)
	_, err = q.MountBlob(t.Context(), "team/three", d, &registry.MountOptions{From: "team/web"})
	require.NoError(t, err)
	_, err = q.MountBlob(t.Context(), "team", d, &registry.MountOptions{From: "team/web"})
	require.NoError(t, err)
	require.EqualValues(t, 1000, used(t, q, "team").Bytes)
	require.NoError(t, q.Recount(t.Context(), "team"))
	require.EqualValues(t, 1000, used(t, q, "team").Bytes)

	_, err = pushBlob(t.Context(), q, "teams", random(2, 10000)) // no limit
	require.NoError(t, err)
	_, err = pushBlob(t.Context(), q, "team/app", random(3, 501))
	require.Equal(t, quota.Excess{Prefix: "team", Resource: quota.Bytes, Limit: 1500, Used: 1000, Needed: 501},
		requireExceeded(t, err))
	large := digest.FromBytes(random(2, 10000))
	_, err = q.MountBlob(t.Context(), "team/app", large, &registry.MountOptions{From: "teams"})
	require.EqualValues(t, 10000, requireExceeded(t, err).Needed)
	_, err = q.MountBlob(t.Context(), "team/app", large, nil)
	require.EqualValues(t, 10000, requireExceeded(t, err).Needed, "a mount without a source")
	_, err = pushBlob(t.Context(), q, "team/app", random(4, 500))
	require.NoError(t, err)
	require.EqualValues(t, 1500, used(t, q, "team").Bytes)
}

// TestEachPrefixOfAPatternHasItsOwnLimit: and an earlier entry takes repositories out of it.
func TestEachPrefixOfAPatternHasItsOwnLimit(t *testing.T) {
	q := newQuotas(t, memory.New(nil), nil,
		quota.Limit{Prefix: "users/ci", Unlimited: true},
		quota.Limit{Prefix: "users/ann/big", Max: quota.Amounts{Bytes: 10000}},
		quota.Limit{Prefix: "users/*", Max: quota.Amounts{Bytes: 1000}},
		quota.Limit{Prefix: "", Max: quota.Amounts{Bytes: 2000}})
	for repo, size := range map[string]int{
		"users/ci/a": 20000, "users/ann/big": 10000, "users/ann/a": 1000, "users/bob": 1000, "users": 1000, "x/y": 1000,
	} {
		_, err := pushBlob(t.Context(), q, repo, random(size, size))
		require.NoError(t, err, repo)
	}
	require.NoError(t, q.RecountAll(t.Context()))
	for repo, prefix := range map[string]string{
		"users/ann/big": "users/ann/big", "users/ann/a/b": "users/ann", "users/bob/c": "users/bob", "z": "",
	} {
		_, err := pushBlob(t.Context(), q, repo, random(7, 1001))
		e := requireExceeded(t, err)
		require.Equal(t, prefix, e.Prefix)
		require.Equal(t, e.Limit, map[string]int64{"users/ann/big": 10000, "": 2000}[prefix]+
			map[string]int64{"users/ann": 1000, "users/bob": 1000}[prefix])
	}
	var prefixes []string
	for s, err := range q.States(t.Context()) {
		require.NoError(t, err)
		prefixes = append(prefixes, s.Prefix)
	}
	require.ElementsMatch(t, []string{"users/ann", "users/ann/big", "users/bob", ""}, prefixes)
	_, err := q.State(t.Context(), "users/ci")
	require.ErrorIs(t, err, quota.ErrNoLimit)
	require.ErrorIs(t, q.Recount(t.Context(), "users"), quota.ErrNoLimit)
}

// TestCounts: the limits of repositories, manifests and tags.
func TestCounts(t *testing.T) {
	q := newQuotas(t, memory.New(nil), nil,
		quota.Limit{Prefix: "r", Max: quota.Amounts{Repositories: 2}},
		quota.Limit{Prefix: "m", Max: quota.Amounts{Manifests: 2}},
		quota.Limit{Prefix: "t", Max: quota.Amounts{Tags: 2}})
	image := func(seed uint64) *registrytest.Content { return registrytest.RandomImage(seed, 1, 10) }
	for i, repo := range []string{"r/a", "r/b", "r/a", "r/b"} {
		require.NoError(t, image(uint64(i)).Push(t.Context(), q, repo, "v1"))
	}
	_, err := q.CreateUpload(t.Context(), "r/c", nil)
	require.Equal(t, quota.Excess{Prefix: "r", Resource: quota.Repositories, Limit: 2, Used: 2, Needed: 1},
		requireExceeded(t, err))
	require.NoError(t, q.DeleteRepository(t.Context(), "r/a", nil))
	require.NoError(t, q.Recount(t.Context(), "r"))
	require.NoError(t, image(1).Push(t.Context(), q, "r/c", "v1"))

	require.NoError(t, image(1).Push(t.Context(), q, "m/a", "v1"))
	require.NoError(t, image(2).Push(t.Context(), q, "m/a", "v1"))
	require.NoError(t, image(1).Push(t.Context(), q, "m/a", "v2"), "it has that one")
	require.Equal(t, quota.Manifests, requireExceeded(t, image(3).Push(t.Context(), q, "m/a", "v1")).Resource)

	require.NoError(t, image(1).Push(t.Context(), q, "t/a", "v1"))
	require.NoError(t, image(1).Push(t.Context(), q, "t/b", "v1"))
	require.NoError(t, image(2).Push(t.Context(), q, "t/b", "v1"))
	require.Equal(t, quota.Tags, requireExceeded(t, image(2).Push(t.Context(), q, "t/b", "v2")).Resource)
	require.NoError(t, q.DeleteManifest(t.Context(), "t/a", reference.Ref{Tag: "v1"}, nil))
	require.NoError(t, q.Recount(t.Context(), "t"))
	require.NoError(t, image(2).Push(t.Context(), q, "t/b", "v2"))
}

// TestParallelUploadsToANewRepository: a client sends layers at the same time to a repository that is the
// last one within the limit.
func TestParallelUploadsToANewRepository(t *testing.T) {
	q := newQuotas(t, memory.New(nil), nil, quota.Limit{Prefix: "r", Max: quota.Amounts{Repositories: 1}})
	var uploads []registry.Upload
	for range 3 {
		u, err := q.CreateUpload(t.Context(), "r/a", nil)
		require.NoError(t, err)
		uploads = append(uploads, u)
	}
	for i, u := range uploads {
		content := random(i, 10)
		_, err := u.Commit(t.Context(), digest.FromBytes(content), &registry.Chunk{Length: -1,
			Body: bytes.NewReader(content)})
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, used(t, q, "r/a").Repositories)
	_, err := q.CreateUpload(t.Context(), "r/b", nil)
	requireExceeded(t, err)
}

// TestDeletesAndCollections: what they free can be pushed again.
func TestDeletesAndCollections(t *testing.T) {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, nil)
	require.NoError(t, err)
	q := quotasAround(t, s, s, d, nil, quota.Limit{Max: quota.Amounts{Bytes: 10000}})
	img := registrytest.RandomImage(1, 1, 9000)
	require.NoError(t, img.Push(t.Context(), q, "a", "v1"))
	_, err = pushBlob(t.Context(), q, "a", random(1, 2000))
	requireExceeded(t, err)
	require.NoError(t, q.DeleteManifest(t.Context(), "a", reference.Ref{Tag: "v1"}, nil))
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
	require.NoError(t, err)
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
	require.NoError(t, err)
	require.NoError(t, q.Recount(t.Context(), ""))
	require.Zero(t, used(t, q, "a"))
	require.NoError(t, img.Push(t.Context(), q, "b", "v1"), "what this process remembers is not the truth")
	require.Greater(t, used(t, q, "a").Bytes, int64(9000))
}

// TestRestore: what comes back counts like a push.
func TestRestore(t *testing.T) {
	q := newQuotas(t, memory.New(nil), nil, quota.Limit{Max: quota.Amounts{Bytes: 10000, Tags: 1}})
	img := registrytest.RandomImage(1, 1, 6000)
	require.NoError(t, img.Push(t.Context(), q, "a", "v1"))
	before := used(t, q, "a")
	require.NoError(t, q.DeleteRepository(t.Context(), "a", nil))
	require.NoError(t, q.Recount(t.Context(), ""))
	require.Zero(t, used(t, q, "a"))
	other, err := pushBlob(t.Context(), q, "b", random(1, 6000))
	require.NoError(t, err)
	_, err = q.Restore(t.Context(), "a", reference.Ref{}, nil)
	e := requireExceeded(t, err)
	require.Equal(t, quota.Bytes, e.Resource)
	require.Greater(t, e.Needed, int64(6000))
	_, err = q.GetManifest(t.Context(), "a", reference.Ref{Tag: "v1"})
	require.ErrorIs(t, err, registry.ErrManifestUnknown)

	require.NoError(t, q.DeleteBlob(t.Context(), "b", other, nil))
	require.NoError(t, q.Recount(t.Context(), ""))
	_, err = q.Restore(t.Context(), "a", reference.Ref{}, nil)
	require.NoError(t, err)
	require.NoError(t, q.Recount(t.Context(), ""))
	require.Equal(t, before, used(t, q, "a"))
}

// sink keeps events. It refuses them, which must not refuse a push.
type sink []notification.Event

func (s *sink) Notify(_ context.Context, events []notification.Event) error {
	*s = append(*s, events...)
	return errors.New("refused")
}

// TestRestoreOfHugeSizes: the sizes that a manifest states must not overflow to a negative amount.
func TestRestoreOfHugeSizes(t *testing.T) {
	d := memory.New(nil)
	s, err := storage.New(t.Context(), d, &storage.Options{History: time.Hour, Sparse: true})
	require.NoError(t, err)
	q := quotasAround(t, s, s, d, nil, quota.Limit{Max: quota.Amounts{Bytes: 10000}})
	a, b := digest.FromString("a"), digest.FromString("b") // never pushed
	layer := `{"mediaType":"x/y","digest":"%s","size":%d}`
	content := fmt.Appendf(nil, `{"schemaVersion":2,"config":`+layer+`,"layers":[`+layer+`]}`,
		a, int64(math.MaxInt64-1), b, int64(math.MaxInt64-1))
	_, err = q.PutManifest(t.Context(), "a", "application/vnd.oci.image.manifest.v1+json", content,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: "v1"}}})
	require.NoError(t, err)
	require.NoError(t, q.DeleteRepository(t.Context(), "a", nil))
	require.NoError(t, q.Recount(t.Context(), ""))
	_, err = q.Restore(t.Context(), "a", reference.Ref{}, nil)
	requireExceeded(t, err)
	require.Zero(t, used(t, q, "a"))
	_, err = pushBlob(t.Context(), q, "a", random(3, 10001))
	requireExceeded(t, err)
}

// TestSoftLimits: each crossing is reported once.
func TestSoftLimits(t *testing.T) {
	var crossings []quota.Crossing
	events := &sink{}
	opts := &quota.Options{Soft: func(_ context.Context, c quota.Crossing) { crossings = append(crossings, c) },
		Sink: events, Instance: "registry-1"}
	d := memory.New(nil)
	limit := quota.Limit{Soft: quota.Amounts{Bytes: 1000}}
	q, other := newQuotas(t, d, opts, limit), newQuotas(t, d, opts, limit)
	var blob digest.Digest
	for i, b := range []*quota.Quotas{q, other, q, other} {
		var err error
		blob, err = pushBlob(t.Context(), b, "a", random(i, 400))
		require.NoError(t, err)
	}
	require.Equal(t, []quota.Crossing{{Resource: quota.Bytes, Used: 1200, Soft: 1000}}, crossings)
	require.Len(t, *events, 1)
	e := (*events)[0]
	require.Equal(t, notification.Quota, e.Action)
	require.Equal(t, "registry-1", e.Instance)
	require.Equal(t, &notification.Limit{Resource: "bytes", Used: 1200, Soft: 1000}, e.Limit)
	require.NoError(t, q.DeleteBlob(t.Context(), "a", blob, nil))
	require.NoError(t, q.DeleteBlob(t.Context(), "a", digest.FromBytes(random(0, 400)), nil))
	require.NoError(t, q.Flush(t.Context()))
	require.NoError(t, other.Flush(t.Context()))
	require.NoError(t, q.Recount(t.Context(), ""))
	_, err := pushBlob(t.Context(), other, "a", random(9, 400))
	require.NoError(t, err)
	require.Len(t, crossings, 2)
}

// TestFailsClosed: without a known figure, nothing is pushed.
func TestFailsClosed(t *testing.T) {
	broken := false
	below := memory.New(nil)
	d := drivertest.NewFaulty(below, &drivertest.FaultyOptions{Before: func(_ context.Context, c drivertest.Call) error {
		if broken && strings.HasPrefix(c.Key, "q/") {
			return errors.New("broken")
		}
		return nil
	}})
	limit := quota.Limit{Max: everything}
	q := newQuotas(t, d, nil, limit)
	_, err := pushBlob(t.Context(), q, "a", random(1, 10))
	require.NoError(t, err)
	broken = true
	for _, b := range []*quota.Quotas{q, newQuotas(t, d, nil, limit)} {
		_, err = pushBlob(t.Context(), b, "a", random(2, 10))
		require.ErrorIs(t, err, registry.ErrUnavailable)
		require.ErrorContains(t, err, "the quota of \"\" cannot be determined")
		require.ErrorIs(t, registrytest.RandomImage(1, 0, 0).Push(t.Context(), b, "a", "v1"), registry.ErrUnavailable)
		_, err = b.State(t.Context(), "a")
		require.ErrorIs(t, err, registry.ErrUnavailable)
		_, err = b.StatBlob(t.Context(), "a", digest.FromBytes(random(1, 10)), nil)
		require.NoError(t, err, "reads go on")
	}
	broken = false
	require.NoError(t, registrytest.RandomImage(1, 1, 10).Push(t.Context(), q, "a", "v1"))

	// A record that is damaged is counted anew.
	for info, err := range below.List(t.Context(), "q/", nil) {
		require.NoError(t, err)
		_, err = below.Put(t.Context(), info.Key, strings.NewReader("garbage"), nil)
		require.NoError(t, err)
	}
	q = newQuotas(t, d, nil, limit)
	was := used(t, q, "a")
	require.Positive(t, was.Bytes)
	require.EqualValues(t, 1, was.Tags)
}
