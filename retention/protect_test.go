package retention_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
)

// dropOld lets all tags go that begin with "old".
const dropOld = "rules:\n- {name: drop, tags: [old*], keep: none}"

// TestChildrenOfKeptIndexesStay: at any depth. Their own tags may go.
func TestChildrenOfKeptIndexesStay(t *testing.T) {
	w := newWorld(t, nil)
	a, b, lone := w.image("old-a"), w.image("old-b"), w.image("old-lone")
	inner := w.index("", a)
	w.index("v1", inner)
	oldIndex := w.index("old-index", a, b, inner)
	e := w.evaluate(dropOld)
	tags, manifests := goes(e)
	require.Equal(t, []string{"old-a", "old-b", "old-index", "old-lone"}, tags)
	require.ElementsMatch(t, digests(b, lone, oldIndex), manifests)
	require.Equal(t, "the manifest stays", line(t, e, "old-a", "").Why)
	require.Zero(t, line(t, e, "old-a", "").Bytes)
	require.Less(t, order(e, oldIndex), order(e, b), "an index goes before what it names")
}

// order returns the place of a manifest in the order of deletion.
func order(e *retention.Evaluation, d ocispec.Descriptor) int {
	for i, found := range e.Delete {
		if found == d.Digest {
			return i
		}
	}
	return -1
}

// TestReferrersStayWithTheirSubject: referrers at any depth, and those that a tag makes referrers.
// What is not needed goes with its subject.
func TestReferrersStayWithTheirSubject(t *testing.T) {
	w := newWorld(t, nil)
	kept, old := w.image("v1"), w.image("old")
	keptReferrer, oldReferrer := w.referrer(kept, "application/x", "old-tag"), w.referrer(old, "application/x")
	w.referrer(keptReferrer, "application/y")
	deep := w.referrer(oldReferrer, "application/y")
	keptTag, oldTag := "sha256-"+kept.Digest.Encoded(), "sha256-"+old.Digest.Encoded()+".att"
	w.image(keptTag)
	signature := w.image(oldTag)
	w.image("sha256-" + digest.FromString("elsewhere").Encoded() + ".sig")
	e := w.evaluate("rules:\n- {name: drop, tags: [old*, sha256-*], keep: none}")
	tags, manifests := goes(e)
	require.Equal(t, []string{"old", "old-tag", oldTag}, tags)
	require.ElementsMatch(t, digests(old, oldReferrer, deep, signature), manifests)
	require.Less(t, order(e, old), order(e, oldReferrer))
	require.Less(t, order(e, oldReferrer), order(e, deep))
	require.Equal(t, "it belongs to "+string(kept.Digest), line(t, e, keptTag, "").Why)
	require.Equal(t, "goes with old", line(t, e, "", deep.Digest).Why)
	require.Equal(t, "goes with "+string(old.Digest), line(t, e, oldTag, "").Why)
}

// TestSubjectsStay: a kept referrer keeps its subject, and all that the subject needs.
func TestSubjectsStay(t *testing.T) {
	w := newWorld(t, nil)
	child := w.image()
	old := w.index("old", child)
	other := w.referrer(old, "application/y")
	w.referrer(old, "application/x", "sbom")
	e := w.evaluate(dropOld)
	tags, manifests := goes(e)
	require.Equal(t, []string{"old"}, tags)
	require.Empty(t, manifests, "%v %v", other, child)
}

// TestSubjectOfLongDigest: a tag is too short for the digest of another algorithm, and is cut.
func TestSubjectOfLongDigest(t *testing.T) {
	w := newWorld(t, nil)
	first := w.image("old")
	m, err := w.store.GetManifest(t.Context(), app, reference.Ref{Digest: first.Digest})
	require.NoError(t, err)
	content := bytes.Replace(m.Content, []byte("{"), []byte("{ "), 1)
	d := digest.SHA512.FromBytes(content)
	_, err = w.store.PutManifest(t.Context(), app, m.Descriptor.MediaType, content,
		&registry.PutOptions{Digest: d, Tags: []registry.TagPut{{Name: "v1"}}})
	require.NoError(t, err)
	tag := "sha512-" + d.Encoded()[:121]
	w.image(tag)
	for rules, want := range map[string][]string{
		"{name: r, tags: [old*], keep: none}": {"old"}, "{name: r, tags: [v1], keep: none}": {tag, "v1"},
	} {
		tags, _ := goes(w.evaluate("rules:\n- " + rules))
		require.Equal(t, want, tags)
	}
}

// TestImmutableAndPinned: protected and pinned tags stay, and say so. A pinned manifest stays
// without a tag.
func TestImmutableAndPinned(t *testing.T) {
	w := newWorld(t, nil)
	w.opts.Protects = func(repo string) func(string) bool {
		require.Equal(t, app, repo)
		return func(tag string) bool { return tag == "old-immutable" }
	}
	w.image("old-immutable")
	w.image("old-pinned")
	pinned := w.image("old-digest")
	gone := w.image("old")
	for _, key := range []string{"t/old-pinned", objectkey.DigestPath(pinned.Digest), "t/other", "nonsense"} {
		_, err := w.driver.Put(t.Context(), "m/p/team.~app/"+key, strings.NewReader("{}"), nil)
		require.NoError(t, err)
	}
	e := w.evaluate(dropOld)
	tags, manifests := goes(e)
	require.Equal(t, []string{"old", "old-digest"}, tags)
	require.Equal(t, digests(gone), manifests)
	require.Equal(t, "the tag is immutable", line(t, e, "old-immutable", "").Why)
	require.Equal(t, "drop", line(t, e, "old-immutable", "").Rule, "the rule that has no effect")
	require.Equal(t, "the tag is pinned", line(t, e, "old-pinned", "").Why)
}

// TestImmutableSignature: an immutable tag keeps what it belongs to.
func TestImmutableSignature(t *testing.T) {
	w := newWorld(t, nil)
	old := w.image("old")
	w.image("sha256-" + old.Digest.Encoded() + ".sig")
	w.opts.Protects = func(string) func(string) bool {
		return func(tag string) bool { return strings.HasSuffix(tag, ".sig") }
	}
	tags, manifests := goes(w.evaluate(dropOld))
	require.Equal(t, []string{"old"}, tags)
	require.Empty(t, manifests)
}

// TestWhatIsPushedStays: everything that was pushed within MinAge, and all that leads to it.
func TestWhatIsPushedStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.opts.MinAge = 0 // the default is the grace period
		child, signed := w.image(), w.image("old-signed")
		w.image("old")
		moved := w.image("old-moved")
		time.Sleep(3 * day)
		w.index("old-index", child)
		w.tag(moved, "old-again")
		w.referrer(signed, "application/x")
		e := w.evaluate(dropOld)
		tags, _ := goes(e)
		require.Equal(t, []string{"old"}, tags)
		require.Equal(t, "set within 1d", line(t, e, "old-index", "").Why)
		require.Equal(t, "something of the image was pushed within 1d", line(t, e, "old-signed", "").Why)
		time.Sleep(day + time.Second)
		tags, _ = goes(w.evaluate(dropOld))
		require.Len(t, tags, 5)
		tags, _ = goes(w.evaluateAt(dropOld, time.Now().Add(-2*day)))
		require.Equal(t, []string{"old"}, tags, "as of an earlier time, all of it is new")
	})
}

// TestPushesInProgress: what an unfinished push names stays, and a tag that is about to move.
func TestPushesInProgress(t *testing.T) {
	w := newWorld(t, nil)
	child, target, other := w.image("old-child"), w.image("old-target"), w.image("old-moving")
	w.image("old")
	pending := w.index("", child)
	w.rewrite("r/team.~app/m/"+objectkey.DigestPath(pending.Digest), `"state":"ok"`, `"state":"pending"`)
	next, err := json.Marshal(map[string]any{"nonce": "n", "descriptor": target, "time": time.Now()})
	require.NoError(t, err)
	w.rewrite("r/team.~app/t/old-moving", `"born"`, `"next":[`+string(next)+`],"born"`)
	e := w.evaluate(dropOld)
	tags, manifests := goes(e)
	require.Equal(t, []string{"old"}, tags)
	require.Len(t, manifests, 1)
	require.Equal(t, "a push is about to move the tag", line(t, e, "old-moving", "").Why)
	require.Equal(t, "something of the image is being pushed", line(t, e, "old-target", "").Why)
	require.Equal(t, "something of the image is being pushed", line(t, e, "old-child", "").Why)
	require.NotEqual(t, target.Digest, other.Digest)
}

// rewrite replaces a text in an object.
func (w *world) rewrite(key, old, replacement string) {
	w.t.Helper()
	body, _, err := w.driver.Open(w.t.Context(), key, nil)
	require.NoError(w.t, err)
	var content bytes.Buffer
	_, err = content.ReadFrom(body)
	require.NoError(w.t, err)
	require.NoError(w.t, body.Close())
	require.Contains(w.t, content.String(), old)
	changed := strings.NewReader(strings.Replace(content.String(), old, replacement, 1))
	_, err = w.driver.Put(w.t.Context(), key, changed, nil)
	require.NoError(w.t, err)
}

// TestInterruptedDelete: a manifest whose delete has begun is not one that was just pushed.
func TestInterruptedDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.opts.MinAge = 0
		d := w.image("old")
		time.Sleep(3 * day)
		w.rewrite("r/team.~app/m/"+objectkey.DigestPath(d.Digest), `"state":"ok"`, `"state":"deleting"`)
		tags, manifests := goes(w.evaluate(dropOld))
		require.Equal(t, []string{"old"}, tags)
		require.Len(t, manifests, 1)
	})
}

// TestCircles: manifests that lead to each other have no order in which they can be deleted, and
// stay.
func TestCircles(t *testing.T) {
	w := newWorld(t, nil)
	image := w.image("old-image")
	child := w.image()
	circle := w.put(ocispec.MediaTypeImageIndex, map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "subject": image,
		"manifests": []any{image, child},
	}, "old-circle")
	e := w.evaluate(dropOld)
	tags, manifests := goes(e)
	require.Equal(t, []string{"old-circle", "old-image"}, tags)
	require.Empty(t, manifests)
	require.Equal(t, "the manifest stays", line(t, e, "old-circle", "").Why)
	require.NotEmpty(t, circle.Digest)
}

// TestTagWithoutManifest: nothing is known about a tag whose manifest is gone; it does not count as
// new.
func TestTagWithoutManifest(t *testing.T) {
	w := newWorld(t, nil)
	w.image("old-1")
	lost := w.image("old-2")
	require.NoError(t, w.driver.Delete(t.Context(), "r/team.~app/m/"+objectkey.DigestPath(lost.Digest), ""))
	w.image("sha256-" + lost.Digest.Encoded())
	e := w.evaluate("rules:\n- {name: r, keep: {newest: 1}}")
	tags, _ := goes(e)
	require.Empty(t, tags)
	require.Equal(t, "its manifest is gone", line(t, e, "old-2", "").Why)
	tags, _ = goes(w.evaluate(dropOld))
	require.Equal(t, []string{"old-1"}, tags)
}

// TestDamagedManifest: what a damaged manifest names is not known, so the repository is left alone.
func TestDamagedManifest(t *testing.T) {
	w := newWorld(t, nil)
	w.image("old")
	d := w.index("v1")
	w.rewrite("r/team.~app/m/"+objectkey.DigestPath(d.Digest), `"schemaVersion":2`, `"schemaVersion":3`)
	_, err := w.planner(dropOld).Evaluate(t.Context(), app, time.Now())
	require.ErrorIs(t, err, retention.ErrDamaged)
	require.ErrorContains(t, err, string(d.Digest))
	var plan bytes.Buffer
	totals, err := w.planner(dropOld).Plan(t.Context(), &plan)
	require.NoError(t, err)
	require.Equal(t, retention.Totals{Repositories: 1, LeftAlone: 1}, totals)
	require.Contains(t, plan.String(), "left alone: retention: the record of a manifest is damaged")
	_, _, err = retention.CheckPlan(&plan)
	require.NoError(t, err)
}

// TestTooLarge: a repository with too many elements is left alone.
func TestTooLarge(t *testing.T) {
	w := newWorld(t, nil)
	w.image("old-1")
	w.image("old-2")
	w.opts.MaxElements = 4
	tags, _ := goes(w.evaluate(dropOld))
	require.Len(t, tags, 2)
	for w.opts.MaxElements = 1; w.opts.MaxElements < 4; w.opts.MaxElements++ {
		_, err := w.planner(dropOld).Evaluate(t.Context(), app, time.Now())
		require.ErrorIs(t, err, retention.ErrTooLarge)
	}
}

// TestBytes: a blob counts once, for the first that goes, and only if nothing that stays needs it.
func TestBytes(t *testing.T) {
	w := newWorld(t, nil)
	blobs := map[string]ocispec.Descriptor{}
	for _, name := range []string{"shared", "twice", "a", "b", "elsewhere"} {
		blobs[name] = w.blob([]byte(strings.Repeat(name, 50_000)), ocispec.MediaTypeImageLayer)
	}
	_, err := w.store.MountBlob(t.Context(), "other", blobs["elsewhere"].Digest, &registry.MountOptions{From: app})
	require.NoError(t, err)
	sizes := map[string]int64{}
	for tag, layers := range map[string][]string{
		"v1": {"shared"}, "old-a": {"shared", "twice", "a", "elsewhere"}, "old-b": {"twice", "b"},
	} {
		var list []ocispec.Descriptor
		for _, l := range layers {
			list = append(list, blobs[l])
		}
		d := w.put(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": list,
			"config": w.blob([]byte(`{"tag":"`+tag+`"}`), ocispec.MediaTypeImageConfig),
		}, tag)
		sizes[tag] = d.Size + int64(len(`{"tag":""}`)+len(tag))
	}
	var plan bytes.Buffer
	totals, err := w.planner(dropOld).Plan(t.Context(), &plan)
	require.NoError(t, err)
	want := map[string]int64{
		"old-a": sizes["old-a"] + blobs["twice"].Size + blobs["a"].Size, "old-b": sizes["old-b"] + blobs["b"].Size,
	}
	for tag, bytes := range want {
		require.Contains(t, plan.String(), `"tag":"`+tag+`"`)
		l := planLine(t, plan.Bytes(), tag)
		require.Equal(t, bytes, l.Bytes, tag)
	}
	require.Equal(t, want["old-a"]+want["old-b"], totals.Bytes)
	// An evaluation of one repository does not know the others.
	require.Equal(t, want["old-a"]+blobs["elsewhere"].Size, line(t, w.evaluate(dropOld), "old-a", "").Bytes)
}

// TestRestrict: what the plan does not let go stays, with all that it needs.
func TestRestrict(t *testing.T) {
	w := newWorld(t, nil)
	child, old := w.image("old-child"), w.image("old")
	index := w.index("old-index", child)
	sbom := w.referrer(old, "application/x")
	signature := "sha256-" + old.Digest.Encoded() + ".sig"
	w.image(signature)
	deny := func(tag string, d digest.Digest) *retention.Evaluation {
		e := w.evaluate(dropOld)
		e.Restrict(func(l retention.Line) bool {
			require.Equal(t, retention.Goes, l.Decision)
			return l.Tag != tag || tag == "" && l.Digest != d
		})
		return e
	}
	tags, manifests := goes(deny("none", ""))
	require.Equal(t, []string{"old", "old-child", "old-index", signature}, tags)
	require.Len(t, manifests, 5)
	tags, manifests = goes(deny("old-index", ""))
	require.Equal(t, []string{"old", "old-child", signature}, tags)
	require.Len(t, manifests, 3)
	require.NotContains(t, manifests, child.Digest)
	for _, e := range []*retention.Evaluation{deny("", old.Digest), deny("", sbom.Digest), deny(signature, "")} {
		tags, manifests = goes(e)
		require.Equal(t, []string{"old", "old-child", "old-index"}, tags)
		require.ElementsMatch(t, digests(child, index), manifests)
	}
	e := deny("old", "")
	require.Equal(t, "the plan does not let it go", line(t, e, "old", "").Why)
	tags, _ = goes(e)
	require.Equal(t, []string{"old-child", "old-index"}, tags)
}

// TestMissingRepository: it is no error. A wrong name is.
func TestMissingRepository(t *testing.T) {
	w := newWorld(t, &storage.Options{Grace: -1})
	e, err := w.planner(dropOld).Evaluate(t.Context(), "missing", time.Now())
	require.NoError(t, err)
	require.Empty(t, e.Lines)
	_, err = w.planner(dropOld).Evaluate(t.Context(), "MISSING", time.Now())
	require.ErrorIs(t, err, registry.ErrNameInvalid)
}

// TestMinAgeBelowHalfOfGrace: a push does not renew a record that is younger than half the grace period.
func TestMinAgeBelowHalfOfGrace(t *testing.T) {
	w := newWorld(t, &storage.Options{Grace: 24 * time.Hour})
	w.opts.MinAge = time.Hour
	child := w.image()
	w.index("v1", child)
	w.image("v2")
	for age, want := range map[time.Duration][]string{2 * time.Hour: {}, 13 * time.Hour: {"v1"}} {
		tags, _ := goes(w.evaluateAt(newestOne, time.Now().Add(age)))
		require.Equal(t, want, tags, "%s", age)
	}
}
