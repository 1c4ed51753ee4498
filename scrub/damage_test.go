package scrub_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

func TestRunFindsNothingInAWholeStore(t *testing.T) {
	onDrivers(t, func(t *testing.T, d driver.Driver) {
		f := newFixture(t, d, nil)
		before := keys(t, d, "")
		for _, opts := range []*scrub.Options{nil, reporting, repairing} {
			r := scrubbed(t, f.store, d, opts)
			require.Empty(t, r.Findings)
			require.True(t, r.Whole())
			require.Equal(t, int64(2), r.Repositories)
			require.Equal(t, int64(5), r.Manifests)
			require.Equal(t, int64(6), r.Tags)
			require.Equal(t, int64(6), r.Blobs)
			// Each manifest, two configs in their records, and two blobs once, although two repositories have them.
			require.Equal(t, int64(5+2+2), r.Content)
		}
		require.Equal(t, before, keys(t, d, ""), "a whole storage is not changed")
	})
}

// field changes one field of the first line of a record.
func field(name string, value any) func([]byte) []byte {
	return func(b []byte) []byte {
		line, rest, _ := strings.Cut(string(b), "\n")
		m := map[string]any{}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			panic(err)
		}
		m[name] = value
		changed, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		return []byte(string(changed) + "\n" + rest)
	}
}

// damages are all kinds of damage to a fixture.
var damages = []struct {
	name   string
	damage func(t *testing.T, f *fixture)
	// found is a finding that must be there: its kind, digest, tag and repair.
	found func(f *fixture) scrub.Finding
	// lost is what is not served after the repair, in "team/app".
	lost func(f *fixture) digest.Digest
}{
	{name: "a bit of a shared layer flips",
		damage: func(t *testing.T, f *fixture) { change(t, f.driver, f.dataOf(t, f.layer.Digest)[0], flip) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.layer.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.layer.Digest }},
	{name: "a segment is cut short",
		damage: func(t *testing.T, f *fixture) { change(t, f.driver, f.dataOf(t, f.chunked.Digest)[0], truncate) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.chunked.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.chunked.Digest }},
	{name: "a segment is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, f.dataOf(t, f.layer.Digest)[0]) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.layer.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.layer.Digest }},
	{name: "two segments are swapped",
		damage: func(t *testing.T, f *fixture) {
			data := f.dataOf(t, f.layer.Digest)
			data = append(data, f.dataOf(t, f.chunked.Digest)[0])
			a, b := load(t, f.driver, data[0]), load(t, f.driver, data[1])
			store(t, f.driver, data[0], b)
			store(t, f.driver, data[1], a)
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.layer.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.layer.Digest }},
	{name: "a link is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, "r/team.~app/b/"+pathOf(f.layer.Digest)) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.MissingBlob, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
	{name: "a link is cut short",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/b/"+pathOf(f.layer.Digest), truncate)
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
	{name: "a link has the record of another blob",
		damage: func(t *testing.T, f *fixture) {
			store(t, f.driver, "r/team.~app/b/"+pathOf(f.layer.Digest),
				load(t, f.driver, "r/team.~app/b/"+pathOf(f.chunked.Digest)))
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
	{name: "a small blob has other bytes",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/b/"+pathOf(f.config.Digest), flipLast)
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptBlob, Digest: f.config.Digest, Repair: storage.Repaired}
		}},
	{name: "a link states a wrong size",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/b/"+pathOf(f.layer.Digest), field("size", 1))
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
	{name: "a link states wrong sizes of its segments",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/b/"+pathOf(f.layer.Digest), func(b []byte) []byte {
				return []byte(strings.ReplaceAll(string(b), `"size":40000`, `"size":39999`))
			})
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
	{name: "a small blob has a wrong checksum",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/b/"+pathOf(f.config.Digest), field("sum", 1))
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.config.Digest, Repair: storage.Repaired}
		}},
	{name: "a bit of a manifest flips",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest), flipLast)
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptManifest, Digest: f.second.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.second.Digest }},
	{name: "a manifest has the record of another one",
		damage: func(t *testing.T, f *fixture) {
			store(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest),
				load(t, f.driver, "r/team.~app/m/"+pathOf(f.manifest.Digest)))
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.CorruptManifest, Digest: f.second.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.second.Digest }},
	{name: "a manifest states a wrong size",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest), field("size", 1))
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.second.Digest, Repair: storage.Repaired}
		}},
	{name: "the header of a manifest cannot be read",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest), func(b []byte) []byte {
				b[3] = 0
				return b
			})
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.second.Digest, Repair: storage.Repaired}
		}},
	{name: "a manifest is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest)) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.DanglingTag, Digest: f.second.Digest, Tag: "v2", Repair: storage.Removed}
		},
		lost: func(f *fixture) digest.Digest { return f.second.Digest }},
	{name: "the child of an index is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, "r/team.~app/m/"+pathOf(f.second.Digest)) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.MissingManifest, Digest: f.second.Digest, Repair: storage.Quarantined}
		},
		lost: func(f *fixture) digest.Digest { return f.second.Digest }},
	{name: "a tag cannot be read",
		damage: func(t *testing.T, f *fixture) { change(t, f.driver, "r/team.~app/t/v2", truncate) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.DamagedTag, Digest: f.second.Digest, Tag: "v2", Repair: storage.Repaired}
		}},
	{name: "a tag states a wrong size",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, "r/team.~app/t/v2", func(b []byte) []byte {
				return []byte(strings.Replace(string(b), `"size":`, `"size":1`, 1))
			})
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongSize, Digest: f.second.Digest, Tag: "v2", Repair: storage.Repaired}
		}},
	{name: "a back reference is gone",
		damage: func(t *testing.T, f *fixture) {
			remove(t, f.driver, "r/team.~app/x/"+pathOf(f.second.Digest)+"/v2")
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongBackReference, Digest: f.second.Digest, Tag: "v2", Repair: storage.Repaired}
		}},
	{name: "the entry of a referrer is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, keys(t, f.driver, "r/team.~app/f/")[0]) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongReferrer, Digest: f.signature.Digest, Repair: storage.Repaired}
		}},
	{name: "the entry of a referrer is cut short",
		damage: func(t *testing.T, f *fixture) {
			change(t, f.driver, keys(t, f.driver, "r/team.~app/f/")[0], truncate)
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongReferrer, Digest: f.signature.Digest, Repair: storage.Repaired}
		}},
	{name: "a referrer is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, "r/team.~app/m/"+pathOf(f.signature.Digest)) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongReferrer, Digest: f.signature.Digest, Repair: storage.Removed}
		}},
	{name: "the hint of a referrer is gone",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, keys(t, f.driver, "r/team.~app/a/")[0]) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongHint, Digest: f.signature.Digest, Repair: storage.Repaired}
		}},
	{name: "a repository is not in the catalog",
		damage: func(t *testing.T, f *fixture) { remove(t, f.driver, "c/team.~app") },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongCatalog, Repair: storage.Repaired}
		}},
	{name: "the record in the catalog cannot be read",
		damage: func(t *testing.T, f *fixture) { store(t, f.driver, "c/team.~app", []byte("{")) },
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongCatalog, Repair: storage.Repaired}
		}},
	{name: "the index of blobs lacks a repository",
		damage: func(t *testing.T, f *fixture) {
			hex := f.layer.Digest.Encoded()
			remove(t, f.driver, "b/sha256/"+hex[:2]+"/"+hex+"/team.~app")
		},
		found: func(f *fixture) scrub.Finding {
			return scrub.Finding{Kind: storage.WrongBlobIndex, Digest: f.layer.Digest, Repair: storage.Repaired}
		}},
}

// dataOf returns the keys of the data objects of a blob of "team/app".
func (f *fixture) dataOf(t testing.TB, d digest.Digest) []string {
	data, err := f.store.Inventory().Data(t.Context(), "team/app", d)
	require.NoError(t, err)
	var all []string
	for _, name := range data.Objects {
		all = append(all, "data/"+name[:2]+"/"+name)
	}
	return all
}

// TestRunRepairsDamage injects each kind of damage. A run that only reports names it and changes
// nothing. A run that repairs names it, after which nothing wrong is served, and the next run finds
// nothing more. A client that pushes everything again then mends what is left.
func TestRunRepairsDamage(t *testing.T) {
	for _, test := range damages {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			onDrivers(t, func(t *testing.T, d driver.Driver) {
				f := newFixture(t, d, nil)
				test.damage(t, f)
				want := test.found(f)

				before := keys(t, d, "")
				r := scrubbed(t, f.store, d, reporting)
				requireFound(t, r, want, storage.NotRepaired)
				require.False(t, r.Whole())
				require.Equal(t, before, keys(t, d, ""), "a report changes nothing")

				r = scrubbed(t, f.store, d, repairing)
				requireFound(t, r, want, want.Repair)
				f.checkServed(t)
				r = scrubbed(t, f.store, d, repairing)
				require.Empty(t, r.Findings, "the second run is clean")
				f.checkServed(t)
				if test.lost != nil {
					f.checkLost(t, test.lost(f))
				} else {
					require.Zero(t, r.Lost)
				}

				f.pushAgain(t)
				r = scrubbed(t, f.store, d, repairing)
				require.Empty(t, r.Findings)
				require.True(t, r.Whole())
				require.Empty(t, collect(t, scrub.Losses(t.Context(), d)))
				require.Empty(t, keys(t, d, "z/"))
				f.checkWhole(t)
				_, err := f.store.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
				require.NoError(t, err)
				f.checkWhole(t)
				require.Empty(t, scrubbed(t, f.store, d, reporting).Findings)
			})
		})
	}
}

// requireFound checks that a report has a finding in "team/app".
func requireFound(t *testing.T, r *scrub.Report, want scrub.Finding, repair storage.DamageRepair) {
	t.Helper()
	for _, f := range r.Findings {
		require.NotEmpty(t, f.Expected)
		require.NotEmpty(t, f.Found)
		require.NotEmpty(t, f.Repository)
		if f.Kind == want.Kind && f.Repository == "team/app" && f.Digest == want.Digest && f.Tag == want.Tag &&
			f.Repair == repair {
			return
		}
		if repair == storage.NotRepaired && f.Kind == want.Kind && f.Repository == "team/app" && f.Repair == repair {
			return
		}
	}
	require.Fail(t, "not found", "%+v (%q) is not in %+v", want, repair, r.Findings)
}

// checkLost checks that content is not served, and recorded as lost.
func (f *fixture) checkLost(t *testing.T, d digest.Digest) {
	t.Helper()
	_, err := f.store.StatBlob(t.Context(), "team/app", d, nil)
	if !errors.Is(err, registry.ErrBlobUnknown) {
		require.NoError(t, err)
		require.Fail(t, "the blob is served")
	}
	_, err = f.store.StatManifest(t.Context(), "team/app", byDigest(d), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	var all []digest.Digest
	for _, l := range collect(t, scrub.Losses(t.Context(), f.driver)) {
		if l.Repository == "team/app" {
			all = append(all, l.Digest)
		}
	}
	require.Contains(t, all, d)
}

// checkWhole checks that everything is served.
func (f *fixture) checkWhole(t *testing.T) {
	t.Helper()
	f.checkServed(t)
	for tag, d := range map[string]digest.Digest{"v1": f.manifest.Digest, "latest": f.manifest.Digest,
		"v2": f.second.Digest, "all": f.listing.Digest} {
		m, err := f.store.GetManifest(t.Context(), "team/app", byTag(tag))
		require.NoError(t, err, tag)
		require.Equal(t, d, m.Descriptor.Digest)
	}
	for _, desc := range []digest.Digest{f.config.Digest, f.layer.Digest, f.chunked.Digest} {
		for _, repo := range []string{"team/app", "team/copy"} {
			_, err := readBlob(t.Context(), f.store, repo, desc)
			require.NoError(t, err)
		}
	}
	referrers := collect(t, f.store.Referrers(t.Context(), "team/app", f.manifest.Digest, nil))
	require.Len(t, referrers, 1)
	require.Equal(t, f.signature.Digest, referrers[0].Digest)
}
