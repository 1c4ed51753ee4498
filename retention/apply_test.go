package retention_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/filter"
	"github.com/registrykit/registry/internal/subjecttag"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver/drivertest"
)

var kept30 = &storage.Options{History: 30 * day}

// newestOne keeps the newest tag that begins with "v".
const newestOne = "rules:\n- {name: newest, tags: [v*], keep: {newest: 1}}\n"

// plan makes a plan.
func (w *world) plan(rules string) []byte {
	w.t.Helper()
	var plan bytes.Buffer
	_, err := w.planner(rules).Plan(w.t.Context(), &plan)
	require.NoError(w.t, err)
	return plan.Bytes()
}

// applier returns a Planner without rules.
func (w *world) applier() *retention.Planner {
	w.t.Helper()
	p, err := retention.New(w.store, w.driver, nil, &w.opts)
	require.NoError(w.t, err)
	return p
}

// refusals collects what is refused, as "what reason".
type refusals []string

func (r *refusals) opts() *retention.ApplyOptions {
	return &retention.ApplyOptions{Refused: func(f retention.Refusal) {
		what := f.Line.Tag
		if what == "" {
			what = f.Line.Digest.Encoded()[:6]
		}
		*r = append(*r, what+" "+string(f.Reason))
		if testing.Verbose() {
			println(f.String())
		}
	}}
}

func (w *world) apply(plan []byte) (retention.Result, []string) {
	w.t.Helper()
	var r refusals
	res, err := w.applier().Apply(w.t.Context(), w.store, bytes.NewReader(plan), r.opts())
	require.NoError(w.t, err)
	return res, r
}

func (w *world) undo(plan []byte) (retention.Result, []string) {
	w.t.Helper()
	var r refusals
	res, err := w.applier().Undo(w.t.Context(), w.store, bytes.NewReader(plan), r.opts())
	require.NoError(w.t, err)
	return res, r
}

// content returns the tags with their manifests and times, and the manifests.
func (w *world) content() (tags map[string]string, manifests map[digest.Digest]bool) {
	w.t.Helper()
	tags, manifests = map[string]string{}, map[digest.Digest]bool{}
	for tag, err := range w.store.Inventory().Tags(w.t.Context(), app) {
		require.NoError(w.t, err)
		tags[tag.Name] = string(tag.Descriptor.Digest) + " " + tag.Set.UTC().Format(time.RFC3339Nano)
	}
	for m, err := range w.store.Inventory().Manifests(w.t.Context(), app) {
		require.NoError(w.t, err)
		if _, err := w.store.StatManifest(w.t.Context(), app, reference.Ref{Digest: m.Digest}, nil); err == nil {
			manifests[m.Digest] = true
		}
	}
	return tags, manifests
}

// furnish pushes two old images with all that belongs to them, and a new one.
func (w *world) furnish() (old, recent ocispec.Descriptor) {
	w.t.Helper()
	a, b, shared := w.image(), w.image(), w.image()
	inner := w.index("", a)
	old = w.index("v1", inner, shared)
	sig := w.referrer(old, "application/vnd.dev.cosign.artifact.sig.v1+json")
	w.referrer(sig, "text/plain")
	cosign := w.image(subjecttag.Of(old.Digest) + ".sig")
	w.referrer(cosign, "text/plain")
	listed := w.referrer(b, "text/plain")
	w.tag(b, "v2")
	w.index(subjecttag.Of(b.Digest), listed)
	recent = w.index("v3", shared)
	return old, recent
}

// TestApplyAndUndo: what the rules let go goes with all that belongs to it, and comes back with its age.
func TestApplyAndUndo(t *testing.T) {
	w := newWorld(t, kept30)
	_, recent := w.furnish()
	tags, manifests := w.content()
	plan := w.plan(newestOne)

	dry, err := w.applier().Apply(t.Context(), w.store, bytes.NewReader(plan), &retention.ApplyOptions{DryRun: true})
	require.NoError(t, err)
	unchanged, _ := w.content()
	require.Equal(t, tags, unchanged)

	res, refused := w.apply(plan)
	require.Empty(t, refused)
	require.Equal(t, dry, res)
	require.EqualValues(t, 4, res.Tags)
	left, leftManifests := w.content()
	require.Len(t, left, 1)
	require.Len(t, leftManifests, 2, "the newest, and the child that it shares")
	require.True(t, leftManifests[recent.Digest])
	require.EqualValues(t, len(manifests)-2, res.Manifests)
	collect, err := w.store.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
	require.NoError(t, err)
	require.Zero(t, collect.Removed.Untagged)

	res, refused = w.apply(plan)
	require.Empty(t, refused)
	require.Zero(t, res.Tags+res.Manifests)
	require.EqualValues(t, 4+len(manifests)-2, res.Already)

	back, refused := w.undo(plan)
	require.Empty(t, refused)
	require.EqualValues(t, 4, back.Tags)
	require.EqualValues(t, len(manifests)-2, back.Manifests)
	tagsAgain, manifestsAgain := w.content()
	require.Equal(t, tags, tagsAgain)
	require.Equal(t, manifests, manifestsAgain)
	back, refused = w.undo(plan)
	require.Empty(t, refused)
	require.Zero(t, back.Tags+back.Manifests)
	requireWhole(t, w.store)
}

// requireWhole reads everything that the tags reach, and demands that referrers are listed.
func requireWhole(t *testing.T, s *storage.Store) {
	t.Helper()
	for tag, err := range s.Tags(t.Context(), app, nil) {
		require.NoError(t, err)
		require.NoError(t, pull(t.Context(), s, reference.Ref{Tag: tag}), tag)
	}
}

// pull reads a manifest and all that it names.
func pull(ctx context.Context, s *storage.Store, ref reference.Ref) error {
	m, err := s.GetManifest(ctx, app, ref)
	if err != nil {
		return err
	}
	for _, d := range named(m.Content) {
		if d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == ocispec.MediaTypeImageIndex {
			err = pull(ctx, s, reference.Ref{Digest: d.Digest})
		} else {
			err = pullBlob(ctx, s, d)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func pullBlob(ctx context.Context, s *storage.Store, d ocispec.Descriptor) error {
	blob, err := s.OpenBlob(ctx, app, d.Digest, nil)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(blob.Body)
	err = errors.Join(err, blob.Body.Close())
	if err == nil && digest.FromBytes(content) != d.Digest {
		err = errors.New("wrong content")
	}
	return err
}

// TestApplyRefuses: what has changed since the plan stays, and is reported.
func TestApplyRefuses(t *testing.T) {
	w := newWorld(t, kept30)
	moved, again, gone := w.image("v1"), w.image("v2"), w.image("v3")
	other, child := w.image("v4"), w.image("v5")
	used := w.image("v6")
	recent := w.image("v9")
	plan := w.plan(newestOne)
	w.tag(recent, "v1")
	w.tag(again, "v2")
	w.remove(reference.Ref{Tag: "v3"})
	w.tag(other, "stays")
	w.index("index", child)
	w.referrer(used, "text/plain", "sig")
	_ = gone

	res, refused := w.apply(plan)
	require.ElementsMatch(t, []string{
		"v1 moved", "v2 set-again", again.Digest.Encoded()[:6] + " kept", other.Digest.Encoded()[:6] + " kept",
		child.Digest.Encoded()[:6] + " kept", used.Digest.Encoded()[:6] + " kept",
	}, []string(refused))
	require.EqualValues(t, 3, res.Tags)
	require.EqualValues(t, 2, res.Manifests, "those of v1 and v3, to which nothing leads")
	tags, manifests := w.content()
	require.Len(t, tags, 6)
	require.False(t, manifests[moved.Digest])
	requireWhole(t, w.store)
}

// TestApplyKeepsByNewEvaluation: if others have removed what the rules kept, something else stays.
func TestApplyKeepsByNewEvaluation(t *testing.T) {
	w := newWorld(t, kept30)
	w.image("v1")
	w.image("v2")
	w.image("v3")
	plan := w.plan(newestOne)
	w.remove(reference.Ref{Tag: "v3"})
	res, refused := w.apply(plan)
	require.EqualValues(t, 1, res.Tags)
	require.Len(t, refused, 2, "the tag and its manifest")
	require.Equal(t, "v2 kept", refused[0])
}

// TestApplyKeepsTheNumberAfterAKill: what an interrupted Apply has removed takes no place among the newest.
func TestApplyKeepsTheNumberAfterAKill(t *testing.T) {
	w := newWorld(t, kept30)
	for _, tag := range []string{"v1", "v2", "v3", "v4"} {
		w.image(tag)
	}
	plan := w.plan("rules:\n- {name: newest, tags: [v*], keep: {newest: 2}}\n")
	w.remove(reference.Ref{Tag: "v2"}) // as far as the first Apply came
	w.remove(reference.Ref{Tag: "v3"}) // by a user
	res, refused := w.apply(plan)
	require.Zero(t, res.Tags)
	require.Contains(t, refused, "v1 kept", "the newest two are v1 and v4")
	tags, _ := w.content()
	require.Len(t, tags, 2)
	requireWhole(t, w.store)
}

// TestApplyObeysPolicies: the identity and the filters of the backend decide.
func TestApplyObeysPolicies(t *testing.T) {
	w := newWorld(t, kept30)
	old := w.image("v1", "v2")
	w.image("v3")
	plan := w.plan(newestOne)
	immutable := filter.Immutable(w.store, &filter.ImmutableOptions{
		Protects: func(string) func(string) bool { return func(tag string) bool { return tag == "v1" } },
	})
	reg, err := registry.New(immutable, &registry.Options{Authorizer: auth.AuthorizerFunc(
		func(_ context.Context, id auth.Identity, _ []auth.Access) error {
			if id.Name != "keeper" {
				return auth.ErrDenied
			}
			return nil
		})})
	require.NoError(t, err)
	for _, identity := range []string{"eve", "keeper"} {
		var refused refusals
		res, err := w.applier().Apply(t.Context(), reg.Backend(auth.Identity{Name: identity}), bytes.NewReader(plan),
			refused.opts())
		require.NoError(t, err)
		if identity == "eve" {
			require.Equal(t, retention.Result{Repositories: 1, Refused: 2}, res)
			require.ElementsMatch(t, refusals{"v1 denied", "v2 denied"}, refused)
			continue
		}
		require.Equal(t, refusals{"v1 denied"}, refused)
		require.EqualValues(t, 1, res.Tags)
		require.Zero(t, res.Manifests)
	}
	require.NoError(t, pull(t.Context(), w.store, reference.Ref{Digest: old.Digest}))
	for h, err := range w.store.History(t.Context(), app, nil) {
		require.NoError(t, err)
		require.Equal(t, "keeper", h.By)
		break
	}
}

// TestApplyBesideProtectedTags: a rule that forbids to delete some tags does not keep the manifests
// that no tag leads to, and a delete that would remove such a tag stays forbidden.
func TestApplyBesideProtectedTags(t *testing.T) {
	w := newWorld(t, kept30)
	old, kept := w.image("v1"), w.image("v2", "stable")
	plan := w.plan(newestOne)
	policy, err := rules.Parse([]byte(`rules:
  - {who: everyone, repositories: "**", tags: "stable", actions: delete, effect: deny}
  - {who: everyone, repositories: "**", actions: [pull, delete]}
`))
	require.NoError(t, err)
	reg, err := registry.New(w.store, &registry.Options{Authorizer: policy})
	require.NoError(t, err)
	b := reg.Backend(auth.Identity{Name: "keeper"})
	var refused refusals
	res, err := w.applier().Apply(t.Context(), b, bytes.NewReader(plan), refused.opts())
	require.NoError(t, err)
	require.Empty(t, refused)
	require.Equal(t, retention.Result{Repositories: 1, Tags: 1, Manifests: 1, Bytes: res.Bytes}, res)
	require.ErrorIs(t, pull(t.Context(), w.store, reference.Ref{Digest: old.Digest}), registry.ErrManifestUnknown)
	require.ErrorIs(t, b.DeleteManifest(t.Context(), app, reference.Ref{Digest: kept.Digest}, nil), registry.ErrDenied)
	unused := &registry.DeleteOptions{IfUnused: true}
	require.ErrorIs(t, b.DeleteManifest(t.Context(), app, reference.Ref{Digest: kept.Digest}, unused), storage.ErrUsed)
	require.NoError(t, pull(t.Context(), w.store, reference.Ref{Tag: "stable"}))
}

// TestApplyOtherStorage: a plan of another storage, or one that is cut short, changes nothing.
func TestApplyOtherStorage(t *testing.T) {
	w, other := newWorld(t, kept30), newWorld(t, kept30)
	for _, of := range []*world{w, other} {
		of.image("v1")
		of.image("v2")
	}
	plan := w.plan(newestOne)
	for _, do := range []func(*retention.Planner, context.Context, registry.Backend, io.Reader,
		*retention.ApplyOptions) (retention.Result, error){(*retention.Planner).Apply, (*retention.Planner).Undo} {
		_, err := do(other.applier(), t.Context(), other.store, bytes.NewReader(plan), nil)
		require.ErrorIs(t, err, retention.ErrOtherStorage)
		var problem *retention.PlanError
		_, err = do(w.applier(), t.Context(), w.store, bytes.NewReader(plan[:len(plan)-5]), nil)
		require.ErrorAs(t, err, &problem)
		_, err = do(w.applier(), t.Context(), w.store, strings.NewReader("{}"), nil)
		require.ErrorAs(t, err, &problem)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = do(w.applier(), ctx, w.store, bytes.NewReader(plan), nil)
		require.ErrorIs(t, err, context.Canceled)
	}
	tags, _ := w.content()
	require.Len(t, tags, 2)
}

// TestApplyFutureTime: a plan whose time was moved into the future makes nothing old.
func TestApplyFutureTime(t *testing.T) {
	w := newWorld(t, kept30)
	w.image("v1")
	plan := w.plan("rules:\n- {name: old, tags: [v*], keep: {youngerThan: 30d}}\n")
	plan = bytes.Replace(plan, []byte(`"decision":"stays"`), []byte(`"decision":"goes"`), 1)
	made := time.Now().UTC().Format("2006-")
	plan = bytes.Replace(plan, []byte(`"made": "`+made), []byte(`"made": "2090-`), 1)
	_, refused := w.apply(plan)
	require.Equal(t, []string{"v1 kept"}, []string(refused))
}

// TestApplyAfterEachFailure: an Apply that is killed, or whose storage fails, before any write is completed
// by another one, and Undo brings everything back.
func TestApplyAfterEachFailure(t *testing.T) {
	stride := 1
	if testing.Short() {
		stride = 7
	}
	for name, fail := range map[string]func(f *drivertest.Faulty, n int){
		"kill": (*drivertest.Faulty).CutAfter, "not done": (*drivertest.Faulty).FailWrite,
		"response lost": (*drivertest.Faulty).LoseResponse,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; ; n += stride {
				w := newWorld(t, kept30)
				w.opts.MinAge = 0 // the marks of a killed delete must not look like pushes
				w.furnish()
				w.opts.MinAge = -1
				tags, manifests := w.content()
				plan := w.plan(newestOne)
				faulty := drivertest.NewFaulty(w.driver, nil)
				s, err := storage.New(t.Context(), faulty, kept30)
				require.NoError(t, err)
				p, err := retention.New(s, faulty, nil, &w.opts)
				require.NoError(t, err)
				before := faulty.Writes()
				fail(faulty, n)
				_, err = p.Apply(t.Context(), s, bytes.NewReader(plan), nil)
				done := err == nil && faulty.Writes()-before < n-stride
				requireWhole(t, w.store)
				_, refused := w.apply(plan)
				require.Empty(t, refused, "%s %d", name, n)
				left, leftManifests := w.content()
				require.Len(t, left, 1, "%s %d", name, n)
				require.Len(t, leftManifests, 2, "%s %d", name, n)
				_, refused = w.undo(plan)
				require.Empty(t, refused, "%s %d", name, n)
				tagsAgain, manifestsAgain := w.content()
				require.Equal(t, tags, tagsAgain, "%s %d", name, n)
				require.Equal(t, manifests, manifestsAgain, "%s %d", name, n)
				if done {
					t.Logf("%d writes", n-1)
					return
				}
			}
		})
	}
}
