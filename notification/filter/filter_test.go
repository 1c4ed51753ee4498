package filter_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
)

// passed returns the event that a filter passes on, or nil.
func passed(t *testing.T, o filter.Options, e notification.Event) *notification.Event {
	t.Helper()
	var got *notification.Event
	sink, err := filter.New(notification.SinkFunc(func(_ context.Context, e notification.Event) error {
		require.Nil(t, got)
		got = &e
		return nil
	}), &o)
	require.NoError(t, err)
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{e}))
	return got
}

// push returns the push of a manifest.
func push(change func(*notification.Event)) notification.Event {
	e := notification.Event{
		ID: "1", Action: notification.Push, Kind: notification.Manifest, Repository: "shop/cart", Actor: "ann",
		Tags: []string{"v1", "latest"},
		Target: &ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.cncf.helm.config.v1",
		},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestFilterSelects(t *testing.T) {
	type event = notification.Event
	type options = filter.Options
	blob := push(func(e *event) { e.Kind, e.Tags, e.Target = notification.Blob, nil, &ocispec.Descriptor{} })
	untagged := push(func(e *event) { e.Tags = nil })
	anonymous := push(func(e *event) { e.Actor = "" })
	repository := event{Action: notification.Delete, Kind: notification.Repository, Repository: "shop/cart", Actor: "ann"}
	missing := event{Action: notification.Missing, Gap: &notification.Gap{}}
	noTarget := push(func(e *event) { e.Target = nil })
	account := event{Action: notification.Account, Actor: "root",
		Account: &notification.AccountChange{Change: "user.create"}}
	visibility := event{Action: notification.Account, Repository: "shop/cart", Actor: "root",
		Account: &notification.AccountChange{Change: "repository.visibility"}}
	for name, row := range map[string]struct {
		o       options
		in, out []event
	}{
		"zero options": {options{}, []event{push(nil), blob, untagged, anonymous, repository, missing, noTarget}, nil},
		"actions": {options{Actions: []notification.Action{"pull", "delete"}}, []event{repository, missing},
			[]event{push(nil), blob}},
		"actions except": {options{Actions: []notification.Action{"!push"}}, []event{repository}, []event{push(nil)}},
		"kinds": {options{Kinds: []notification.Kind{"manifest"}},
			[]event{push(nil), missing}, []event{blob, repository}},
		"kinds except": {options{Kinds: []notification.Kind{"!blob"}}, []event{push(nil), repository}, []event{blob}},
		"no blobs":     {options{NoBlobs: true}, []event{push(nil), repository, missing}, []event{blob}},
		"repositories": {options{Repositories: []string{"shop/*", "!shop/cart"}}, []event{missing,
			push(func(e *event) { e.Repository = "shop/till" })},
			[]event{push(nil), repository, push(func(e *event) { e.Repository = "shop/a/b" })}},
		"repositories except": {options{Repositories: []string{"!tmp/**"}}, []event{push(nil)},
			[]event{push(func(e *event) { e.Repository = "tmp" }), push(func(e *event) { e.Repository = "tmp/a/b" })}},
		"media types": {options{MediaTypes: []string{"application/vnd.oci.*"}}, []event{push(nil), repository, missing},
			[]event{blob, noTarget}},
		"media types except": {options{MediaTypes: []string{"!application/vnd.oci.*"}},
			[]event{blob, noTarget}, []event{push(nil)}},
		"artifact types": {options{ArtifactTypes: []string{"*/vnd.cncf.helm.*"}},
			[]event{push(nil), repository}, []event{blob, noTarget}},
		"all artifacts": {options{ArtifactTypes: []string{"*/*"}}, []event{push(nil)}, []event{blob}},
		"actors": {options{Actors: []string{"{ann,bob}"}},
			[]event{push(nil), repository, missing}, []event{anonymous}},
		"everyone with a name": {options{Actors: []string{"**"}}, []event{push(nil)}, []event{anonymous}},
		"actors except":        {options{Actors: []string{"!ann"}}, []event{anonymous}, []event{push(nil)}},
		"tags": {options{Tags: []string{"v*"}}, []event{repository, missing},
			[]event{blob, untagged, push(func(e *event) { e.Tags = []string{"latest"} })}},
		"tags except": {options{Tags: []string{"!v*"}}, []event{blob, untagged, repository},
			[]event{push(func(e *event) { e.Tags = []string{"v1", "v2"} })}},
		"accounts": {options{Actions: []notification.Action{"account"}}, []event{account, visibility, missing},
			[]event{push(nil), repository}},
		"accounts except": {options{Actions: []notification.Action{"!account"}}, []event{push(nil)},
			[]event{account, visibility}},
		"accounts and repositories": {options{Repositories: []string{"shop/**"}}, []event{visibility, push(nil)},
			[]event{account}},
		"all conditions": {options{Actors: []string{"ann"}, Repositories: []string{"other"}}, nil, []event{push(nil)}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, e := range row.in {
				require.Equal(t, &e, passed(t, row.o, e))
			}
			for _, e := range row.out {
				require.Nil(t, passed(t, row.o, e), "%v", e)
			}
		})
	}
}

// TestFilterKeepsMatchingTags: an event keeps the tags that are selected, and the event that came
// in is not changed.
func TestFilterKeepsMatchingTags(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	in := push(func(e *notification.Event) {
		e.Tags = []string{"v1", "latest", "v2-dev", "sha256-" + hex + ".sig", "v2"}
	})
	before := slices.Clone(in.Tags)
	for _, row := range []struct {
		o    filter.Options
		want []string
	}{
		{filter.Options{Tags: []string{"v*", "!*-dev"}}, []string{"v1", "v2"}},
		{filter.Options{Tags: []string{"!latest"}}, []string{"v1", "v2-dev", "sha256-" + hex + ".sig", "v2"}},
		{filter.Options{NoSignatures: true}, []string{"v1", "latest", "v2-dev", "v2"}},
		{filter.Options{NoSignatures: true, Tags: []string{"sha*", "latest"}}, []string{"latest"}},
	} {
		require.Equal(t, row.want, passed(t, row.o, in).Tags)
		require.Equal(t, before, in.Tags)
	}
}

func TestFilterNoSignatures(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for tag, signature := range map[string]bool{
		"sha256-" + hex + ".sig": true, "sha256-" + hex + ".att": true, "sha256-" + hex + ".sbom": true,
		"sha256-" + hex: true, "sha512-" + hex + hex + ".sig": true, "sha512-" + hex + ".sig": false,
		"sha256-" + hex + "a": false, "md5-" + hex: false,
		"sha256-" + strings.ToUpper(hex): false, "sha256": false, "sha256-": false, "v1.sig": false,
	} {
		got := passed(t, filter.Options{NoSignatures: true}, push(func(e *notification.Event) { e.Tags = []string{tag} }))
		require.Equal(t, signature, got == nil, tag)
	}
	for artifactType, signature := range map[string]bool{
		"application/vnd.dev.cosign.artifact.sig.v1+json": true, "application/vnd.dev.sigstore.bundle.v0.3+json": true,
		"application/vnd.cncf.notary.signature": true, "application/vnd.dsse.envelope.v1+json": true,
		"application/vnd.in-toto+json": true, "": false, "application/vnd.cncf.helm.config.v1+json": false,
	} {
		got := passed(t, filter.Options{NoSignatures: true}, push(func(e *notification.Event) {
			e.Target = &ocispec.Descriptor{ArtifactType: artifactType}
		}))
		require.Equal(t, signature, got == nil, artifactType)
	}
}

func TestNewMistakesNameTheirPlace(t *testing.T) {
	_, err := filter.New(nil, nil)
	require.ErrorContains(t, err, "nil")
	for _, row := range []struct {
		o     filter.Options
		field string
		index int
		want  string
	}{
		{filter.Options{Actions: []notification.Action{"push", "psuh"}}, "Actions", 1, `"psuh" is not one of`},
		{filter.Options{Actions: []notification.Action{""}}, "Actions", 0, "is not one of"},
		{filter.Options{Actions: []notification.Action{"Push"}}, "Actions", 0, "is not one of"},
		{filter.Options{Actions: []notification.Action{"push", "!missing"}}, "Actions", 1, "always passed on"},
		{filter.Options{Kinds: []notification.Kind{"!image"}}, "Kinds", 0, `"!image" is not one of`},
		{filter.Options{Repositories: []string{"a", "b", ""}}, "Repositories", 2, "empty"},
		{filter.Options{Repositories: []string{"a", "!"}}, "Repositories", 1, "empty"},
		{filter.Options{Tags: []string{"[a"}}, "Tags", 0, "malformed"},
		{filter.Options{MediaTypes: []string{"{a"}}, "MediaTypes", 0, "malformed"},
		{filter.Options{ArtifactTypes: []string{"a", strings.Repeat("{a,b}", 7)}}, "ArtifactTypes", 1, "more than 64"},
		{filter.Options{Actors: []string{strings.Repeat("a", 1_000_000)}}, "Actors", 0, "longer than 512"},
		{filter.Options{SamplePulls: -1}, "SamplePulls", -1, "negative"},
	} {
		_, err := filter.New(notification.BatchFunc(nil), &row.o)
		var mistake *filter.FieldError
		require.ErrorAs(t, err, &mistake)
		require.Equal(t, row.field, mistake.Field)
		require.Equal(t, row.index, mistake.Index)
		require.ErrorContains(t, err, row.want)
		require.ErrorContains(t, err, "filter: "+row.field)
		require.Less(t, len(err.Error()), 400)
	}
}

// TestFilterSamplesPulls: about one of n pulls is passed on, the same ones at each attempt, and the
// sum of the counts estimates the number of pulls. Other events are not sampled.
func TestFilterSamplesPulls(t *testing.T) {
	for _, n := range []int{2, 10, 100} {
		const pulls = 40_000
		var counts []int
		once, err := filter.New(notification.SinkFunc(func(_ context.Context, e notification.Event) error {
			counts = append(counts, e.Count)
			return nil
		}), &filter.Options{SamplePulls: n})
		require.NoError(t, err)
		events := make([]notification.Event, pulls)
		for i := range events {
			events[i] = notification.Event{ID: notification.NewID(), Action: notification.Pull, Kind: notification.Blob}
		}
		require.NoError(t, once.Notify(t.Context(), events))
		sum := 0
		for _, c := range counts {
			require.Equal(t, n, c)
			sum += c
		}
		require.InEpsilon(t, pulls, sum, 6*math.Sqrt(float64(n-1)/pulls)) // six standard deviations
		first := len(counts)
		require.NoError(t, once.Notify(t.Context(), events))
		require.Len(t, counts, 2*first)
	}
	o := filter.Options{SamplePulls: 1000}
	require.Equal(t, 0, passed(t, o, push(nil)).Count)
	require.NotNil(t, passed(t, o, notification.Event{Action: notification.Pull}), "without an ID")
	counted := notification.Event{ID: notification.NewID(), Action: notification.Pull, Count: 5}
	require.Equal(t, 5, passed(t, filter.Options{SamplePulls: 1}, counted).Count)
}

// TestFilterNothingSelectedDoesNotCallNext also covers an error of the next sink.
func TestFilterNothingSelectedDoesNotCallNext(t *testing.T) {
	sink, err := filter.New(notification.BatchFunc(func(context.Context, []notification.Event) error {
		return errors.New("called")
	}), &filter.Options{NoBlobs: true})
	require.NoError(t, err)
	require.NoError(t, sink.Notify(t.Context(), []notification.Event{{Kind: notification.Blob}}))
	require.EqualError(t, sink.Notify(t.Context(), []notification.Event{push(nil)}), "called")
}

// TestFilterRepeatingDeliversOnce is a property of every list of events and every failure of the
// next sink: a caller that repeats the events that are not delivered delivers each selected event
// once, in order. The errors keep their meaning.
func TestFilterRepeatingDeliversOnce(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		events := make([]notification.Event, 1+random.IntN(12))
		var want []string
		for i := range events {
			events[i] = notification.Event{ID: fmt.Sprint(i), Kind: notification.Blob}
			if random.IntN(2) == 0 {
				events[i].Kind = notification.Manifest
				want = append(want, events[i].ID)
			}
		}
		var got []string
		down := fmt.Errorf("x: %w", notification.ErrNotRecorded)
		next := notification.BatchFunc(func(_ context.Context, batch []notification.Event) error {
			n := random.IntN(len(batch) + 1)
			for _, e := range batch[:n] {
				got = append(got, e.ID)
			}
			switch {
			case n == len(batch) && random.IntN(2) == 0:
				return nil
			case random.IntN(2) == 0:
				return notification.Partial(n, down)
			}
			return fmt.Errorf("wrapped: %w", &notification.PartialError{Delivered: n, Err: down})
		})
		sink, err := filter.New(next, &filter.Options{NoBlobs: true})
		require.NoError(t, err)
		for rest := events; len(rest) > 0; {
			err := sink.Notify(t.Context(), rest)
			if err != nil {
				require.ErrorIs(t, err, notification.ErrNotRecorded)
			}
			rest = rest[notification.Delivered(err, len(rest)):]
		}
		require.Equal(t, want, got, "seed %d", seed)
	}
}

// BenchmarkFilter measures a filter with all lists, for an event that passes and one that does not.
func BenchmarkFilter(b *testing.B) {
	discard := notification.BatchFunc(func(context.Context, []notification.Event) error { return nil })
	sink, err := filter.New(discard, &filter.Options{
		Actions: []notification.Action{"!pull"}, Kinds: []notification.Kind{"manifest"},
		Repositories: []string{"**", "!tmp/**"}, Tags: []string{"v*", "latest"}, MediaTypes: []string{"*/*"},
		ArtifactTypes: []string{"!*/vnd.x"}, Actors: []string{"**"}, NoSignatures: true,
	})
	require.NoError(b, err)
	for name, e := range map[string]notification.Event{"passes": push(nil),
		"left out": {Action: notification.Pull, Target: &ocispec.Descriptor{Digest: digest.FromString("")}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			events := []notification.Event{e}
			for b.Loop() {
				if err := sink.Notify(b.Context(), events); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestSelector: a Selector makes the choice of a filter, and does not change the event.
func TestSelector(t *testing.T) {
	_, err := filter.NewSelector(&filter.Options{Tags: []string{"[a"}})
	var mistake *filter.FieldError
	require.ErrorAs(t, err, &mistake)
	s, err := filter.NewSelector(&filter.Options{Tags: []string{"v*"}})
	require.NoError(t, err)
	e := notification.Event{Action: notification.Push, Tags: []string{"latest", "v1"}}
	got, ok := s.Select(e)
	require.True(t, ok)
	require.Equal(t, []string{"v1"}, got.Tags)
	require.Equal(t, []string{"latest", "v1"}, e.Tags)
	e.Tags = []string{"latest"}
	_, ok = s.Select(e)
	require.False(t, ok)
}
