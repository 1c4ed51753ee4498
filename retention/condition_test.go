package retention_test

import (
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/pulltime"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/storage"
)

// TestConditions: what each condition lets go. The tags are pushed a day apart, in the given order,
// and the rules are evaluated a day after the last one.
func TestConditions(t *testing.T) {
	for name, c := range map[string]struct {
		tags  []string
		rules string
		goes  []string
	}{
		"no rule covers it":  {[]string{"a", "b"}, `{name: r, tags: [x*], keep: none}`, nil},
		"another repository": {[]string{"a"}, `{name: r, repositories: [other/**], keep: none}`, nil},
		"an exception of it": {[]string{"a"}, `{name: r, repositories: ["**", "!team/*"], keep: none}`, nil},
		"keep none": {[]string{"a", "b"},
			`{name: r, repositories: [team/*], tags: [a], keep: none}`, []string{"a"}},
		"an exception of tags": {[]string{"v1", "v2", "x"}, `{name: r, tags: ["v*", "!v2"], keep: none}`, []string{"v1"}},
		"the first rule decides": {[]string{"v1", "v2"},
			"{name: r, tags: [v2], keep: all}\n- {name: s, tags: [v*], keep: none}", []string{"v1"}},
		"newest":          {[]string{"c", "a", "b"}, `{name: r, keep: {newest: 2}}`, []string{"c"}},
		"newest of fewer": {[]string{"a", "b"}, `{name: r, keep: {newest: 2}}`, nil},
		"newest of what is left": {[]string{"a", "b", "prod", "c"},
			"{name: p, tags: [prod], keep: all}\n- {name: r, keep: {newest: 2}}", []string{"a"}},
		"newest of each branch": {[]string{"main-1", "main-2", "x-y-3", "main-a4", "latest"},
			`{name: r, keep: {newest: 1, group: '^(.*)-[0-9a-f]+$'}}`, []string{"main-1", "main-2"}},
		"newest of each minor": {[]string{"v1.0.9", "v1.0.0", "v1.1.0", "1.1"},
			`{name: r, keep: {newest: 1, per: minor}}`, []string{"v1.0.9"}},
		"highest versions": {[]string{"v1.10.0", "v1.9.0", "v1.2.0", "latest", "1.1", "v2"},
			`{name: r, keep: {versions: 2}}`, []string{"v1.2.0"}},
		"versions per major": {[]string{"2.0.0", "1.10.0", "1.9.0", "2.0.1"}, `{name: r, keep: {versions: 1, per: major}}`,
			[]string{"1.9.0", "2.0.0"}},
		"versions per minor": {[]string{"1.0.0", "1.0.1", "1.1.0", "1.1.1", "1.1.2"},
			`{name: r, keep: {versions: 2, per: minor}}`, []string{"1.1.0"}},
		"versions per patch": {[]string{"1.0.0-rc.1", "1.0.0-rc.2", "1.0.1-rc.1"},
			`{name: r, keep: {versions: 1, per: patch}}`, []string{"1.0.0-rc.1"}},
		"a pre-release is before its release": {[]string{"1.0.0", "1.0.0-rc.1"}, `{name: r, keep: {versions: 1}}`,
			[]string{"1.0.0-rc.1"}},
		"tags of one version count once": {[]string{"1.0.0", "v1.0.0", "1.0.0_build2", "0.9.0", "0.8.0"},
			`{name: r, keep: {versions: 2}}`, []string{"0.8.0"}},
		"versions of each branch": {[]string{"a-1.0.0", "1.0.0-a", "1.0.1-a", "1.0.0-b"},
			`{name: r, keep: {versions: 1, group: '-([a-z])$'}}`, []string{"1.0.0-a"}},
		"younger":           {[]string{"a", "b", "c"}, `{name: r, keep: {youngerThan: 2d1h}}`, []string{"a"}},
		"younger or newest": {[]string{"a", "b", "c"}, `{name: r, keep: {youngerThan: 1d1h, newest: 2}}`, []string{"a"}},
		"older":             {[]string{"a", "b", "c"}, `{name: r, if: {olderThan: 2d}, keep: none}`, []string{"a", "b"}},
		"older and younger": {[]string{"a", "b", "c"},
			`{name: r, if: {olderThan: 2d, youngerThan: 2d1h}, keep: none}`, []string{"b"}},
		"not referenced":      {[]string{"a"}, `{name: r, if: {referenced: false}, keep: none}`, []string{"a"}},
		"referenced":          {[]string{"a"}, `{name: r, if: {referenced: true}, keep: none}`, nil},
		"keep what is signed": {[]string{"a"}, `{name: r, keep: {signed: true}}`, []string{"a"}},
		"platform":            {[]string{"a"}, `{name: r, if: {platforms: linux/amd64}, keep: none}`, []string{"a"}},
		"another platform": {[]string{"a"},
			`{name: r, if: {platforms: [linux/arm64, windows/amd64]}, keep: none}`, nil},
		"artifact type": {[]string{"a"},
			`{name: r, if: {artifactTypes: "application/vnd.oci.image.config.*"}, keep: none}`, []string{"a"}},
		"rules without effect": {[]string{"a"}, `{name: r, if: {labels: {x: "**"}}, keep: none}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				for _, tag := range c.tags {
					w.image(tag)
					time.Sleep(day)
				}
				tags, manifests := goes(w.evaluate("rules:\n- " + c.rules))
				require.ElementsMatch(t, c.goes, tags)
				require.Len(t, manifests, len(tags), "each image goes with its only tag")
			})
		})
	}
}

// TestLabelsAndAnnotations: an index has the labels and platforms of its images.
func TestLabelsAndAnnotations(t *testing.T) {
	w := newWorld(t, nil)
	w.labelled(map[string]string{"stage": "test", "url": "https://example.com/a", "none": ""}, nil, "a")
	w.labelled(nil, map[string]string{"stage": "prod"}, "b")
	child := w.labelled(map[string]string{"stage": "dev"}, nil)
	arm := child
	arm.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64"}
	w.index("c", arm)
	for rule, want := range map[string][]string{
		`if: {labels: {stage: test}}`:                          {"a"},
		`if: {labels: {stage: [t*, d*]}}`:                      {"a", "c"},
		`if: {labels: {stage: ["*", "!test"]}}`:                {"c"},
		`if: {labels: {stage: test, url: "https://**"}}`:       {"a"},
		`if: {labels: {stage: test, url: "http://**"}}`:        {},
		`if: {labels: {none: "**"}}`:                           {"a"},
		`if: {labels: {Stage: "**"}}`:                          {},
		`if: {annotations: {stage: "**"}}`:                     {"b"},
		`if: {annotations: {stage: test}}`:                     {},
		`if: {platforms: [linux/arm64]}`:                       {"c"},
		`if: {labels: {stage: dev}, platforms: [linux/arm64]}`: {"c"},
	} {
		tags, _ := goes(w.evaluate("rules:\n- {name: r, keep: none, " + rule + "}"))
		require.Equal(t, want, tags, rule)
	}
	e := w.evaluate("rules:\n- {name: r, keep: {labels: {stage: test}, annotations: {stage: prod}}}")
	tags, _ := goes(e)
	require.Equal(t, []string{"c"}, tags)
	require.Equal(t, "label stage", line(t, e, "a", "").Why)
	require.Equal(t, "annotation stage", line(t, e, "b", "").Why)
}

// TestUnreadableConfigurationStays: what cannot be told does not let an image go.
func TestUnreadableConfigurationStays(t *testing.T) {
	w := newWorld(t, nil)
	for tag, config := range map[string]string{
		"a": `[]`, "b": `{"config":{"Labels":[]}}`, "c": `{`, "d": `{"config":{}}`,
	} {
		w.put(ocispec.MediaTypeImageManifest, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
			"config": w.blob([]byte(config), ocispec.MediaTypeImageConfig), "layers": []any{},
		}, tag)
	}
	for _, rules := range []string{
		`{name: r, if: {labels: {stage: test}}, keep: all}` + "\n- {name: s, keep: none}",
		`{name: r, keep: {labels: {stage: test}}}`,
	} {
		e := w.evaluate("rules:\n- " + rules)
		tags, _ := goes(e)
		require.Equal(t, []string{"d"}, tags, rules)
		require.Contains(t, line(t, e, "a", "").Why, "configuration")
		require.Equal(t, "r", line(t, e, "a", "").Rule)
	}
}

// TestSigned: signatures of cosign, as referrers and as tags, and those of Notary Project.
func TestSigned(t *testing.T) {
	w := newWorld(t, nil)
	w.image("plain")
	w.referrer(w.image("cosign"), "application/vnd.dev.cosign.artifact.sig.v1+json")
	w.referrer(w.image("bundle"), "application/vnd.dev.sigstore.bundle.v0.3+json")
	w.referrer(w.image("notation"), "application/vnd.cncf.notary.signature")
	w.referrer(w.image("sbom"), "application/spdx+json")
	signed := w.image("tagged")
	w.image("sha256-" + signed.Digest.Encoded() + ".sig")
	attested := w.image("attested")
	w.image("sha256-" + attested.Digest.Encoded() + ".att")
	tags, _ := goes(w.evaluate("rules:\n- {name: r, keep: {signed: true}}"))
	require.ElementsMatch(t, []string{"plain", "sbom", "attested", "sha256-" + attested.Digest.Encoded() + ".att"}, tags)
	tags, _ = goes(w.evaluate("rules:\n- {name: r, if: {signed: false}, keep: none}"))
	require.ElementsMatch(t, []string{"plain", "sbom", "attested", "sha256-" + attested.Digest.Encoded() + ".att"}, tags)
}

// TestPulls: pulls by a tag, by a digest and of a child of an index count. Before pulls were
// recorded for long enough, nothing goes for lack of them.
func TestPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		pulls, err := pulltime.New(w.driver, nil)
		require.NoError(t, err)
		w.opts.Pulls = pulls
		byTag, byDigest, child := w.image("tag"), w.image("digest"), w.image()
		w.index("index", child)
		w.image("never")
		old := w.image("old")
		const keep = "rules:\n- {name: r, keep: {pulledWithin: 10d}}"
		const remove = "rules:\n- {name: r, if: {notPulledWithin: 10d}, keep: none}"
		for _, rules := range []string{keep, remove} {
			e := w.evaluate(rules)
			tags, _ := goes(e)
			require.Empty(t, tags, "pulls are recorded since now")
			require.Equal(t, "it is not known whether it was pulled within 10d", line(t, e, "never", "").Why)
		}
		pulls.Pulled(app, old.Digest, "old")
		time.Sleep(12 * day)
		pulls.Pulled(app, byTag.Digest, "tag")
		pulls.Pulled(app, byDigest.Digest, "")
		pulls.Pulled(app, child.Digest, "")
		require.NoError(t, pulls.Flush(t.Context()))
		time.Sleep(day)
		for _, rules := range []string{keep, remove} {
			tags, _ := goes(w.evaluate(rules))
			require.Equal(t, []string{"never", "old"}, tags)
		}
		require.Equal(t, "pulled within 10d", line(t, w.evaluate(keep), "index", "").Why)
	})
}

// TestPullsRecordedBefore: a recorded pull shows since when pulls are recorded.
func TestPullsRecordedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		pulls, err := pulltime.New(w.driver, nil)
		require.NoError(t, err)
		w.opts.Pulls = pulls
		d := w.image("old")
		w.image("never")
		pulls.Pulled(app, d.Digest, "old")
		time.Sleep(11 * day)
		tags, _ := goes(w.evaluate("rules:\n- {name: r, keep: {pulledWithin: 10d}}"))
		require.Equal(t, []string{"never", "old"}, tags)
	})
}

// TestDroppedPulls: Times.Rest says how recent the pulls are at most of which nothing is known.
func TestDroppedPulls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		pulls, err := pulltime.New(w.driver, &pulltime.Options{MaxObject: 1 << 10})
		require.NoError(t, err)
		w.opts.Pulls = pulls
		for range 30 {
			pulls.Pulled(app, w.image().Digest, "")
		}
		require.NoError(t, pulls.Flush(t.Context()))
		w.image("unknown")
		time.Sleep(11 * day)
		const rules = "rules:\n- {name: r, keep: {pulledWithin: 10d}}"
		tags, _ := goes(w.evaluate(rules))
		require.Equal(t, []string{"unknown"}, tags)
		tags, _ = goes(w.evaluateAt(rules, time.Now().Add(-2*day)))
		require.Empty(t, tags, "its pull may be among those that were dropped")
	})
}

// TestPullsNeeded: rules about pulls are refused where pulls are not recorded.
func TestPullsNeeded(t *testing.T) {
	r, err := retention.Parse("r.yaml", []byte("rules:\n- {name: a, keep: all, tags: [x]}\n"+
		"- {name: b, keep: {pulledWithin: 1d}}"))
	require.NoError(t, err)
	w := newWorld(t, &storage.Options{})
	_, err = retention.New(w.store, w.driver, r, nil)
	require.EqualError(t, err, `retention: r.yaml:3: rule "b" is about pulls, which this program does not record`)
}
