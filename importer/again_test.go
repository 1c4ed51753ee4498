package importer_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// push points a tag of the destination at a manifest that it has.
func (d *destination) push(repo, tag string, dgst digest.Digest) {
	d.t.Helper()
	m, err := d.store.GetManifest(d.t.Context(), repo, reference.Ref{Digest: dgst})
	require.NoError(d.t, err)
	_, err = d.store.PutManifest(d.t.Context(), repo, m.Descriptor.MediaType, m.Content,
		&registry.PutOptions{Tags: []registry.TagPut{{Name: tag}}})
	require.NoError(d.t, err)
}

func (d *destination) untag(repo, tag string) {
	d.t.Helper()
	require.NoError(d.t, d.store.DeleteManifest(d.t.Context(), repo, reference.Ref{Tag: tag}, nil))
}

// untag deletes a tag as the old registry does.
func (tr *tree) untag(repo, tag string) {
	require.NoError(tr.t, os.RemoveAll(filepath.Dir(filepath.Dir(tr.path(tagName(repo, tag))))))
}

// start is a moment in the past, so that the times of tags are exact.
var start = time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC)

// TestSecondRun: what happens to a tag, by what the source and the destination have done since the first.
func TestSecondRun(t *testing.T) {
	const a, b, other, none = "a", "b", "other", ""
	for name, c := range map[string]struct {
		source string // what the source has done: none, or the image that the tag was moved to
		gone   bool
		change func(dst *destination, images map[string]digest.Digest)
		delete bool
		want   string
		kind   importer.ProblemKind
	}{
		"nothing":             {want: a},
		"new image":           {source: b, want: b},
		"same image again":    {source: a, want: a},
		"pushed there":        {change: pushOther, want: other},
		"deleted there":       {change: untag, want: none},
		"both moved":          {source: b, change: pushOther, want: other, kind: importer.ProblemKept},
		"moved, same pushed":  {source: b, change: pushSame, want: a, kind: importer.ProblemKept},
		"both the same image": {source: b, change: pushB, want: b},
		"moved, deleted":      {source: b, change: untag, want: none, kind: importer.ProblemKept},
		"gone":                {gone: true, want: a, kind: importer.ProblemGone},
		"gone, removed":       {gone: true, delete: true, want: none},
		"gone, pushed":        {gone: true, delete: true, change: pushOther, want: other, kind: importer.ProblemKept},
		"gone, same pushed":   {gone: true, delete: true, change: pushSame, want: a, kind: importer.ProblemKept},
		"gone on both sides":  {gone: true, delete: true, change: untag, want: none},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, dst *destination) {
				tr := newTree(t)
				images := map[string]digest.Digest{none: ""}
				for _, n := range []string{a, b, other} {
					images[n] = tr.image("r", tr.layer("r", random(100))).Digest
				}
				tr.tag("r", "tag", images[a], start)
				tr.tag("r", "stays", images[a], start)
				require.Empty(t, dst.run(tr, nil).Problems)
				if c.change != nil {
					c.change(dst, images)
				}
				if c.source != "" {
					tr.tag("r", "tag", images[c.source], start.Add(time.Hour))
				}
				if c.gone {
					tr.untag("r", "tag")
				}
				rehearsed := dst.run(tr, &importer.Options{Delete: c.delete, DryRun: true})
				rep := dst.run(tr, &importer.Options{Delete: c.delete})
				require.Equal(t, rehearsed.Tags, rep.Tags)
				require.Equal(t, rehearsed.Problems, rep.Problems)
				require.Equal(t, images[c.want], dst.tagged("r", "tag"))
				require.Equal(t, images[a], dst.tagged("r", "stays"))
				if c.kind == "" {
					require.Empty(t, rep.Problems)
				} else {
					require.Equal(t, c.kind, problem(t, rep).Kind)
					require.Zero(t, rep.Damaged)
				}
				// A third run changes nothing.
				rep = dst.run(tr, &importer.Options{Delete: c.delete})
				require.Equal(t, images[c.want], dst.tagged("r", "tag"))
				require.Zero(t, rep.Tags.Set+rep.Tags.Moved+rep.Tags.Deleted)
			})
		})
	}
}

func pushOther(dst *destination, images map[string]digest.Digest) {
	dst.push("r", "tag", images["other"])
}
func pushSame(dst *destination, images map[string]digest.Digest) { dst.push("r", "tag", images["a"]) }
func pushB(dst *destination, images map[string]digest.Digest)    { dst.push("r", "tag", images["b"]) }
func untag(dst *destination, _ map[string]digest.Digest)         { dst.untag("r", "tag") }

// TestTagThatTheDestinationHad: the first run leaves tags alone that the destination has.
func TestTagThatTheDestinationHad(t *testing.T) {
	tr := newTree(t)
	mine, theirs := tr.image("r"), tr.image("r")
	tr.tag("r", "tag", theirs.Digest, start)
	dst := inMemory(t)
	dst.run(tr, nil)
	dst.push("r", "new", theirs.Digest)
	tr.tag("r", "new", mine.Digest, start)
	require.Equal(t, importer.ProblemKept, problem(t, dst.run(tr, nil)).Kind)
	require.Equal(t, theirs.Digest, dst.tagged("r", "new"))
}

// TestVanishedRepository: its tags are gone. But a source that is empty, such as a volume that is not
// mounted, removes nothing.
func TestVanishedRepository(t *testing.T) {
	tr := newTree(t)
	tr.tag("a", "tag", tr.image("a").Digest, start)
	tr.tag("b/c", "tag", tr.image("b/c").Digest, start)
	dst := inMemory(t)
	dst.run(tr, nil)
	require.NoError(t, os.RemoveAll(tr.path("repositories/b")))
	p := problem(t, dst.run(tr, nil))
	require.Equal(t, importer.ProblemGone, p.Kind)
	require.Equal(t, "b/c", p.Repository)
	require.NotEmpty(t, dst.tagged("b/c", "tag"))

	require.NoError(t, os.Rename(tr.path("repositories/a"), tr.path("a")))
	rep := dst.run(tr, &importer.Options{Delete: true})
	require.Zero(t, rep.Tags.Deleted)
	require.NotEmpty(t, dst.tagged("a", "tag"))
	require.NotEmpty(t, dst.tagged("b/c", "tag"))

	require.NoError(t, os.Rename(tr.path("a"), tr.path("repositories/a")))
	rep = dst.run(tr, &importer.Options{Delete: true})
	require.EqualValues(t, 1, rep.Tags.Deleted)
	require.Empty(t, dst.tagged("b/c", "tag"))
	require.NotEmpty(t, dst.tagged("a", "tag"))
	require.Empty(t, dst.run(tr, nil).Problems)
}

// TestSecondRunCost states what a run costs that finds nothing new: one request for each repository, and
// one list of the records.
func TestSecondRunCost(t *testing.T) {
	tr := newTree(t)
	const repositories = 3
	for _, repo := range []string{"a", "b", "c"} {
		for range 20 {
			m := tr.image(repo, tr.layer(repo, random(100)))
			tr.tag(repo, "t"+m.Digest.Encoded()[:10], m.Digest, start)
		}
	}
	below := memory.New(nil)
	newDestination(t, below).run(tr, nil)
	faulty := drivertest.NewFaulty(below, nil)
	dst := newDestination(t, faulty)
	before := faulty.Count("")
	rep := dst.run(tr, nil)
	require.EqualValues(t, 60, rep.Tags.Unchanged)
	require.Equal(t, repositories+1, faulty.Count("")-before)
	require.Zero(t, faulty.Writes())
}

// TestTwoSources: their records do not mix, although they have repositories of the same name.
func TestTwoSources(t *testing.T) {
	one, two := newTree(t), newTree(t)
	one.tag("r", "one", one.image("r").Digest, start)
	two.tag("r", "two", two.image("r").Digest, start)
	dst := inMemory(t)
	for range 2 {
		require.Empty(t, dst.run(one, &importer.Options{Delete: true}).Problems)
		require.Empty(t, dst.run(two, &importer.Options{Delete: true}).Problems)
	}
	require.NotEmpty(t, dst.tagged("r", "one"))
	require.NotEmpty(t, dst.tagged("r", "two"))
}

// TestDryRunWritesNothing: not one request that writes.
func TestDryRunWritesNothing(t *testing.T) {
	tr := newTree(t)
	shared := random(large)
	for _, repo := range []string{"a", "b"} {
		tr.tag(repo, "v1", tr.image(repo, tr.layer(repo, shared)).Digest, start)
	}
	faulty := drivertest.NewFaulty(memory.New(nil), nil)
	dst := newDestination(t, faulty)
	before := faulty.Writes()
	dry := dst.run(tr, &importer.Options{DryRun: true})
	require.Equal(t, before, faulty.Writes())
	real := dst.run(tr, nil)
	require.Equal(t, real.Tags, dry.Tags)
	require.Equal(t, real.Manifests, dry.Manifests)
	require.Equal(t, real.Layers, dry.Layers)
}

// TestRecordOfRepository shows a record, and that a damaged one counts as missing.
func TestRecordOfRepository(t *testing.T) {
	tr := newTree(t)
	m := tr.image("team/app")
	tr.tag("team/app", "v1", m.Digest, start)
	dst := inMemory(t)
	dst.run(tr, &importer.Options{ID: "old"})
	var key string
	for info, err := range dst.driver.List(t.Context(), "i/", nil) {
		require.NoError(t, err)
		key = info.Key
	}
	require.True(t, strings.HasSuffix(key, "/team.~app"), key)
	b := dst.read(key)
	_, lines, _ := strings.Cut(string(b), "\n")
	require.Equal(t, "t v1 1640995200000000000 "+string(m.Digest)+"\nm "+string(m.Digest)+"\n", lines)

	for n := range b {
		_, err := dst.driver.Put(t.Context(), key, bytes.NewReader(b[:n]), nil)
		require.NoError(t, err)
		rep := dst.run(tr, &importer.Options{ID: "old"})
		require.Empty(t, rep.Problems)
		require.EqualValues(t, 1, rep.Tags.Unchanged)
		_, again, _ := strings.Cut(string(dst.read(key)), "\n")
		require.Equal(t, lines, again, "cut to %d bytes", n)
	}
}

func (d *destination) read(key string) []byte {
	r, info, err := d.driver.Open(d.t.Context(), key, nil)
	require.NoError(d.t, err)
	defer func() { _ = r.Close() }()
	b := make([]byte, info.Size)
	_, err = r.Read(b)
	require.NoError(d.t, err)
	return b
}

// TestTwoRunsAtATime: the second one fails, and nothing is lost.
func TestTwoRunsAtATime(t *testing.T) {
	tr := newTree(t)
	for range 20 {
		m := tr.image("r", tr.layer("r", random(100)))
		tr.tag("r", "t"+m.Digest.Encoded()[:10], m.Digest, start)
	}
	below := memory.New(nil)
	other := newDestination(t, below)
	var ran bool
	runOther := func(_ context.Context, c drivertest.Call) error {
		if c.Op == "Put" && strings.HasPrefix(c.Key, "i/") && !ran {
			ran = true
			other.run(tr, nil)
		}
		return nil
	}
	faulty := drivertest.NewFaulty(below, &drivertest.FaultyOptions{Before: runOther})
	_, err := newDestination(t, faulty).try(tr, &importer.Options{Parallel: 1})
	require.ErrorContains(t, err, "another import with the same ID is running")
	rep := other.run(tr, nil)
	require.Empty(t, rep.Problems)
	require.EqualValues(t, 20, rep.Tags.Unchanged)
}
