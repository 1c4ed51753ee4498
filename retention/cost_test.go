package retention_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

// TestCost: what an evaluation reads. Nothing is read that no rule needs.
func TestCost(t *testing.T) {
	const images = 10
	w := newWorld(t, nil)
	for i := range images {
		w.labelled(map[string]string{"n": fmt.Sprint(i)}, nil, fmt.Sprintf("v%d", i))
	}
	w.index("index", w.image())
	const tags, manifests = images + 1, images + 2
	const record, config = 1, 2 // requests for a manifest in the graph, and for an image with its configuration
	for rules, want := range map[string]int{
		"[]":                                                                 tags,
		"[{name: r, tags: x*, keep: none}]":                                  tags,
		"[{name: r, keep: all}]":                                             tags,
		"[{name: r, keep: {newest: 100}}]":                                   tags,
		"[{name: r, keep: {youngerThan: 1d}}]":                               tags,
		"[{name: r, keep: {newest: 5}}]":                                     tags + manifests*record,
		"[{name: r, tags: v1, keep: none}]":                                  tags + manifests*record,
		"[{name: r, if: {signed: true}, keep: none}]":                        tags + manifests*record,
		"[{name: r, untagged: true, keep: none}]":                            tags, // every manifest is tagged or a child
		"[{name: r, tags: 'v*', if: {labels: {n: x}}, keep: none}]":          tags + images*config,
		"[{name: r, tags: v1, if: {labels: {n: x}}, keep: none}]":            tags + config,
		"[{name: r, tags: v1, if: {annotations: {n: x}}, keep: none}]":       tags + 1,
		"[{name: r, tags: v1, keep: {youngerThan: 1d, labels: {n: x}}}]":     tags,
		"[{name: r, if: {olderThan: 1d, labels: {n: x}}, keep: none}]":       tags,
		"[{name: r, tags: index, if: {platforms: linux/s390x}, keep: none}]": tags + 1 + config,
	} {
		counted := drivertest.NewFaulty(w.driver, nil)
		s, err := storage.New(t.Context(), counted, nil)
		require.NoError(t, err)
		r, err := retention.Parse("r", []byte("rules: "+rules))
		require.NoError(t, err)
		p, err := retention.New(s, counted, r, &retention.Options{MinAge: -1})
		require.NoError(t, err)
		before, writes := counted.Count("Open"), counted.Writes()
		_, err = p.Evaluate(t.Context(), app, time.Now())
		require.NoError(t, err)
		if strings.Contains(rules, "untagged") {
			want = tags + manifests // to see that the child is one
		}
		require.Equal(t, want, counted.Count("Open")-before, rules)
		require.LessOrEqual(t, counted.Count("List"), 3+1, rules)
		// The second time, the Store and the Planner remember it.
		before = counted.Count("Open")
		_, err = p.Evaluate(t.Context(), app, time.Now())
		require.NoError(t, err)
		require.Equal(t, before, counted.Count("Open"), rules)
		require.Equal(t, writes, counted.Writes(), "an evaluation changes nothing: %s", rules)
	}
}

// TestFailingStorage: whichever request fails, the evaluation fails, and never has a part of the
// decisions.
func TestFailingStorage(t *testing.T) {
	w := newWorld(t, &storage.Options{History: day})
	kept := w.image("v1")
	w.index("v2", kept)
	w.referrer(kept, "application/x")
	w.image("old")
	w.image()
	const rules = "rules:\n- {name: r, tags: old, if: {platforms: linux/amd64}, keep: none}\n" +
		"- {name: u, untagged: true, keep: {youngerThan: 7d}}"
	r, err := retention.Parse("r", []byte(rules))
	require.NoError(t, err)
	broken := errors.New("broken")
	for n := int64(1); ; n++ {
		var failing atomic.Bool
		var number atomic.Int64
		d := drivertest.NewFaulty(w.driver, &drivertest.FaultyOptions{Before: func(context.Context, drivertest.Call) error {
			if number.Add(1) == n && failing.Load() {
				return broken
			}
			return nil
		}})
		s, err := storage.New(t.Context(), d, &storage.Options{History: day})
		require.NoError(t, err)
		p, err := retention.New(s, d, r, &retention.Options{MinAge: -1, Parallel: 1})
		require.NoError(t, err)
		number.Store(0)
		failing.Store(true)
		e, err := p.Evaluate(t.Context(), app, time.Now().Add(8*day))
		if err == nil {
			require.Less(t, number.Load(), n, "request %d has failed and nobody has noticed", n)
			require.Greater(t, n, int64(10))
			break
		}
		require.ErrorIs(t, err, broken)
		require.Nil(t, e)
	}
}

// TestOnDisk: the same on another driver, and with a history.
func TestOnDisk(t *testing.T) {
	d, err := disk.New(t.TempDir(), nil)
	require.NoError(t, err)
	s, err := storage.New(t.Context(), d, &storage.Options{History: day})
	require.NoError(t, err)
	w := &world{t: t, store: s, driver: driver.Driver(d), opts: retention.Options{MinAge: -1}}
	for range 5 {
		w.index(fmt.Sprint("v", w.number), w.image())
	}
	w.image("v0")
	e := w.evaluate("rules:\n- {name: r, keep: {newest: 2}}\n- {name: u, untagged: true, keep: {youngerThan: 1d}}")
	tags, manifests := goes(e)
	require.Equal(t, []string{"v2", "v4", "v6"}, tags, "v0 was set again")
	require.Len(t, manifests, 2*3)
	require.Equal(t, 1, e.Untagged)
	_, err = registry.PushBlob(t.Context(), s, app, "", strings.NewReader("x"))
	require.NoError(t, err)
}
