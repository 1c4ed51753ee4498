package retention_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

const (
	dropUntagged = "rules:\n- {name: all, untagged: true, keep: none}"
	weekUntagged = "rules:\n- {name: week, untagged: true, keep: {youngerThan: 7d}}"
)

// TestUntaggedManifests: those that nothing leads to, with all that they lead to.
func TestUntaggedManifests(t *testing.T) {
	w := newWorld(t, nil)
	tagged, lone, child := w.image("v1"), w.image(), w.image()
	w.referrer(tagged, "application/x")
	index := w.index("", child)
	attached := w.referrer(index, "application/x")
	e := w.evaluate(dropUntagged)
	tags, manifests := goes(e)
	require.Empty(t, tags)
	require.ElementsMatch(t, digests(lone, child, index, attached), manifests)
	require.Equal(t, 2, e.Untagged, "the child and the referrer go with the index")
	require.Equal(t, "all", line(t, e, "", lone.Digest).Rule)
	require.Equal(t, "goes with "+string(index.Digest), line(t, e, "", child.Digest).Why)
	require.Positive(t, line(t, e, "", index.Digest).Bytes)
	require.Zero(t, line(t, e, "", child.Digest).Bytes)
	// Without a rule about untagged manifests, they stay, and are not looked for.
	e = w.evaluate("rules:\n- {name: tags, keep: none}")
	_, manifests = goes(e)
	require.Len(t, manifests, 2)
	require.Zero(t, e.Untagged)
	// The first rule that covers a manifest decides.
	_, manifests = goes(w.evaluate("rules:\n- {name: x, untagged: true, if: {artifactTypes: application/x}, keep: all}\n" +
		"- {name: y, untagged: true, if: {platforms: linux/amd64}, keep: none}"))
	require.ElementsMatch(t, digests(lone, child, index, attached), manifests)
}

// TestUntaggedByHistory: the last tag of a manifest is in the history.
func TestUntaggedByHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &storage.Options{History: 100 * day})
		moved := w.image("moves")
		deleted := w.image("deleted")
		time.Sleep(day)
		w.image("moves")
		movedAt := time.Now()
		time.Sleep(day)
		w.remove(reference.Ref{Tag: "deleted"})
		deletedAt := time.Now()
		time.Sleep(5*day + time.Hour)
		e := w.evaluate(weekUntagged)
		_, manifests := goes(e)
		require.Empty(t, manifests)
		require.WithinDuration(t, movedAt, line(t, e, "", moved.Digest).Set, time.Second)
		require.WithinDuration(t, deletedAt, line(t, e, "", deleted.Digest).Set, time.Second)
		require.Equal(t, "untagged within 7d", line(t, e, "", moved.Digest).Why)
		time.Sleep(day)
		_, manifests = goes(w.evaluate(weekUntagged))
		require.Equal(t, digests(moved), manifests)
		w.tag(moved, "again")
		w.remove(reference.Ref{Tag: "again"})
		_, manifests = goes(w.evaluate(weekUntagged))
		require.Empty(t, manifests, "it was tagged since")
		_, manifests = goes(w.evaluate("rules:\n- {name: r, untagged: true, keep: {newest: 1}}"))
		require.Equal(t, digests(deleted), manifests)
	})
}

// TestUntaggedByDeletedIndex: a child is untagged since its index was deleted, and a referrer since
// its subject was, whenever they lost their own tags.
func TestUntaggedByDeletedIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &storage.Options{History: 100 * day})
		child, subject := w.image("child"), w.image("subject")
		referrer := w.referrer(subject, "application/x", "referrer")
		index := w.index("index", child)
		for _, tag := range []string{"child", "referrer"} {
			w.remove(reference.Ref{Tag: tag})
		}
		time.Sleep(8 * day)
		w.remove(reference.Ref{Digest: index.Digest})
		w.remove(reference.Ref{Digest: subject.Digest})
		deletedAt := time.Now()
		time.Sleep(day)
		e := w.evaluate(weekUntagged)
		_, manifests := goes(e)
		require.Empty(t, manifests)
		for _, d := range digests(child, referrer) {
			require.WithinDuration(t, deletedAt, line(t, e, "", d).Set, time.Second)
		}
		time.Sleep(7 * day)
		_, manifests = goes(w.evaluate(weekUntagged))
		require.ElementsMatch(t, digests(child, referrer), manifests)
	})
}

// TestUntaggedFirstSeen: without a history, the time counts from the first evaluation that could
// tell.
func TestUntaggedFirstSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		d := w.image("v1")
		w.image("v1") // overwrites it
		require.Equal(t, "it is not known since when it is untagged", line(t, w.evaluate(weekUntagged), "", d.Digest).Why)
		time.Sleep(8 * day)
		e := w.evaluate(weekUntagged)
		require.Equal(t, "untagged within 7d", line(t, e, "", d.Digest).Why)
		require.WithinDuration(t, time.Now(), line(t, e, "", d.Digest).Set, time.Second)
		time.Sleep(6 * day)
		_, manifests := goes(w.evaluate(weekUntagged))
		require.Empty(t, manifests)
		_, manifests = goes(w.evaluate(dropUntagged))
		require.Len(t, manifests, 1, "a rule that does not ask")
		w.tag(d, "again")
		w.remove(reference.Ref{Tag: "again"})
		time.Sleep(2 * day)
		_, manifests = goes(w.evaluate(weekUntagged))
		require.Empty(t, manifests, "it was tagged since it was seen untagged")
		time.Sleep(8 * day)
		_, manifests = goes(w.evaluate(weekUntagged))
		require.Len(t, manifests, 1)
	})
}

// TestUntaggedTaggedBetween: a manifest is not seen untagged while a tag would not change its
// record.
func TestUntaggedTaggedBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil) // the grace period is a day
		d := w.image()
		time.Sleep(11 * time.Hour)
		w.evaluate(weekUntagged)
		w.tag(d, "v1")
		time.Sleep(6 * day)
		w.remove(reference.Ref{Tag: "v1"})
		time.Sleep(2 * day)
		_, manifests := goes(w.evaluate(weekUntagged))
		require.Empty(t, manifests, "it was untagged for two days")
	})
}

// TestNotesAreBounded: notes of what is gone are dropped, damaged ones count as none, and read-only
// evaluations write none.
func TestNotesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		d, other := w.image(), w.image()
		time.Sleep(day)
		w.opts.ReadOnly = true
		w.evaluate(weekUntagged)
		_, err := w.driver.Stat(t.Context(), "y/team.~app")
		require.ErrorIs(t, err, driver.ErrNotExist)
		w.opts.ReadOnly = false
		w.evaluate(weekUntagged)
		require.Equal(t, 2, strings.Count(w.read("y/team.~app"), `":9`))
		before := w.read("y/team.~app")
		w.evaluate(weekUntagged)
		require.Equal(t, before, w.read("y/team.~app"), "nothing has changed")
		w.remove(reference.Ref{Digest: other.Digest})
		w.evaluate(weekUntagged)
		require.Equal(t, 1, strings.Count(w.read("y/team.~app"), `":9`))
		time.Sleep(8 * day)
		_, manifests := goes(w.evaluate(weekUntagged))
		require.Equal(t, digests(d), manifests)
		for _, content := range []string{"", "{", `{"seen":{"x":-1}}`, `[]`, `{"pulls":-5,"seen":null}`,
			strings.Replace(before, `":9`, `":999999`, -1)} {
			_, err = w.driver.Put(t.Context(), "y/team.~app", strings.NewReader(content), nil)
			require.NoError(t, err)
			_, manifests = goes(w.evaluate(weekUntagged))
			require.Empty(t, manifests, content)
		}
	})
}

// read returns the content of an object.
func (w *world) read(key string) string {
	w.t.Helper()
	body, _, err := w.driver.Open(w.t.Context(), key, nil)
	require.NoError(w.t, err)
	defer body.Close()
	var content bytes.Buffer
	_, err = content.ReadFrom(body)
	require.NoError(w.t, err)
	return content.String()
}

// TestOverwrittenImageGoesAtOnce: with keep none, as soon as no push can be in progress.
func TestOverwrittenImageGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.opts.MinAge = 0
		old := w.image("latest")
		time.Sleep(2 * day)
		w.image("latest")
		_, manifests := goes(w.evaluate(dropUntagged))
		require.Equal(t, []digest.Digest{old.Digest}, manifests)
	})
}

// TestEvaluateBesideAnother: notes of concurrent evaluations do not get in each other's way.
func TestEvaluateBesideAnother(t *testing.T) {
	w := newWorld(t, &storage.Options{Grace: -1})
	w.image()
	p := w.planner(weekUntagged)
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := p.Evaluate(t.Context(), app, time.Now())
			errs <- err
		}()
	}
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	e, err := p.Evaluate(t.Context(), app, time.Now().Add(8*day))
	require.NoError(t, err)
	_, manifests := goes(e)
	require.Len(t, manifests, 1)
	require.Equal(t, retention.Goes, e.Lines[0].Decision)
}
