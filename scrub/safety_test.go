package scrub_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRunNeverGivesARepositoryWhatItNeverHad shows that a blob of another repository is not restored
// where a manifest could name it without having it: otherwise anyone who knows a digest could read it.
func TestRunNeverGivesARepositoryWhatItNeverHad(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	secret := pushBlob(t, s, "secret", random(1, 20_000))
	config := pushBlob(t, s, "thief", []byte("{}"))

	// A sparse manifest names what the repository lacks.
	_, err := s.PutManifest(t.Context(), "thief", ocispec.MediaTypeImageManifest, image("", nil, config, secret),
		&registry.PutOptions{Sparse: true})
	require.NoError(t, err)
	// So does a layer that clients fetch from elsewhere.
	elsewhere := secret
	elsewhere.MediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
	putImage(t, s, "thief", image("", nil, config, elsewhere), "foreign")

	require.Empty(t, scrubbed(t, s, d, repairing).Findings)
	_, err = s.StatBlob(t.Context(), "thief", secret.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// TestRunDoesNotUndoDeletes shows that a blob that was deleted on purpose is reported, and not restored
// from another repository.
func TestRunDoesNotUndoDeletes(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	require.NoError(t, f.store.DeleteBlob(t.Context(), "team/app", f.layer.Digest, nil))
	require.NoError(t, f.store.DeleteManifest(t.Context(), "team/app", byDigest(f.second.Digest), nil))
	for range 2 {
		r := scrubbed(t, f.store, d, repairing)
		require.ElementsMatch(t, []storage.DamageKind{storage.MissingBlob, storage.MissingManifest}, kinds(r.Findings))
		for _, found := range r.Findings {
			require.Contains(t, found.Found, "deleted")
			require.Equal(t, storage.NotRepaired, found.Repair)
		}
		require.Zero(t, r.Lost)
	}
	_, err := f.store.StatBlob(t.Context(), "team/app", f.layer.Digest, nil)
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
}

// TestFailedReadsAreNoDamage makes every read of a run fail in turn, in each of the ways in which a
// storage fails. Nothing may be taken for damaged, and nothing be changed.
func TestFailedReadsAreNoDamage(t *testing.T) {
	broken := errors.New("input/output error")
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	for _, failure := range []error{broken, driver.ErrUnavailable} {
		for n := 1; ; n++ {
			calls, failed := atomic.Int64{}, atomic.Bool{}
			faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
				Before: func(_ context.Context, c drivertest.Call) error {
					if !strings.HasPrefix(c.Key, "z/") && calls.Add(1) == int64(n) {
						failed.Store(true)
						return failure
					}
					return nil
				}})
			opts := &scrub.Options{Repair: true, Settle: -1, Restart: true}
			r, err := scrub.Run(t.Context(), newStore(t, d, nil), faulty, opts)
			if !failed.Load() {
				require.NoError(t, err)
				require.Greater(t, n, 50)
				break
			}
			require.Error(t, err, "read %d", n)
			require.Empty(t, r.Findings)
			require.False(t, r.Whole() && errors.Is(err, scrub.ErrUnreadable))
			f.checkWhole(t)
			require.Empty(t, keys(t, d, "z/l/"))
		}
	}
}

// cutReader fails in the middle of an object, as a lost connection or a bad sector does.
type cutDriver struct {
	driver.Driver
	key string
	err error // nil ends the object early
}

func (c *cutDriver) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	r, info, err := c.Driver.Open(ctx, key, opts)
	if err != nil || key != c.key {
		return r, info, err
	}
	b := make([]byte, 10)
	_, err = io.ReadFull(r, b)
	err = errors.Join(err, r.Close())
	end := c.err
	if end == nil {
		end = io.EOF
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(b), failing{end})), info, err
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestUnreadableContentIsReportedAndLeftAlone has one object that can never be read. The run goes on, and
// says so.
func TestUnreadableContentIsReportedAndLeftAlone(t *testing.T) {
	for _, end := range []error{errors.New("input/output error"), nil} {
		d := memory.New(nil)
		f := newFixture(t, d, nil)
		key := f.dataOf(t, f.layer.Digest)[0]
		change(t, d, f.dataOf(t, f.chunked.Digest)[0], flip)
		r, err := scrub.Run(t.Context(), f.store, &cutDriver{d, key, end}, repairing)
		require.ErrorIs(t, err, scrub.ErrUnreadable)
		require.False(t, r.Whole())
		require.Len(t, r.Errors, 1)
		require.Contains(t, r.Errors[0], string(f.layer.Digest))
		require.Len(t, r.Findings, 2, "the other blob was found")
		_, err = readBlob(t.Context(), f.store, "team/app", f.layer.Digest)
		require.NoError(t, err, "what cannot be read is not quarantined")
	}
}

// TestAWrongReadIsConfirmed gives wrong bytes once, as a faulty line does.
func TestAWrongReadIsConfirmed(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	wrong := &wrongOnce{Driver: d, seen: map[string]bool{}}
	require.Empty(t, scrubbed(t, f.store, wrong, &scrub.Options{Repair: true, Settle: -1, Parallel: 1}).Findings)
	require.Greater(t, len(wrong.seen), 2)
	f.checkWhole(t)
}

// wrongOnce is a driver whose first read of each object that is read as data, or as a manifest, yields a
// wrong byte.
type wrongOnce struct {
	driver.Driver
	seen map[string]bool
}

func (w *wrongOnce) Open(ctx context.Context, key string, opts *driver.OpenOptions) (io.ReadCloser, driver.Info,
	error) {
	r, info, err := w.Driver.Open(ctx, key, opts)
	if err != nil || w.seen[key] || !strings.HasPrefix(key, "data/") && !strings.Contains(key, "/m/") {
		return r, info, err
	}
	w.seen[key] = true
	b, err := io.ReadAll(r)
	return io.NopCloser(bytes.NewReader(flip(b))), info, errors.Join(err, r.Close())
}

func TestSingleProcess(t *testing.T) {
	d := single{memory.New(nil)}
	s := newStore(t, d, nil)
	_, err := scrub.Run(t.Context(), s, d, repairing)
	require.ErrorIs(t, err, storage.ErrSingleProcess)
	_, err = scrub.Run(t.Context(), s, d, reporting)
	require.NoError(t, err)
	_, err = scrub.Run(t.Context(), s, d, &scrub.Options{Repair: true, Exclusive: true})
	require.NoError(t, err)
}

type single struct{ driver.Driver }

func (single) SingleProcess() string { return "a bucket of files" }

func TestOptionsAreChecked(t *testing.T) {
	d := memory.New(nil)
	s := newStore(t, d, nil)
	for _, o := range []scrub.Options{{Rate: -1}, {Requests: -1}, {Parallel: -1}} {
		r, err := scrub.Run(t.Context(), s, d, &o)
		require.Error(t, err)
		require.Nil(t, r)
	}
	_, err := scrub.Run(t.Context(), nil, d, nil)
	require.Error(t, err)
	_, err = scrub.Run(t.Context(), s, nil, nil)
	require.Error(t, err)
}

// TestQuarantineKeepsDamagedBytesFromSpreading lets another client push, or mount, the same layer right
// before each step of a quarantine. Whatever the order, no repository serves wrong bytes after it, and
// what a client pushed after the tombstone is whole.
func TestQuarantineKeepsDamagedBytesFromSpreading(t *testing.T) {
	for name, step := range map[string]func(ctx context.Context, f *fixture, s *storage.Store) error{
		"push": func(ctx context.Context, f *fixture, s *storage.Store) error {
			_, err := tryBlob(ctx, s, "third", f.contents[f.layer.Digest], 1<<20)
			return err
		},
		"push again": func(ctx context.Context, f *fixture, s *storage.Store) error {
			_, err := tryBlob(ctx, s, "team/copy", f.contents[f.layer.Digest], 1<<20)
			return err
		},
		"mount": func(ctx context.Context, f *fixture, s *storage.Store) error {
			_, err := s.MountBlob(ctx, "third", f.layer.Digest, &registry.MountOptions{From: "team/copy"})
			if errors.Is(err, registry.ErrBlobUnknown) {
				return nil
			}
			return err
		},
		"collect": func(ctx context.Context, _ *fixture, s *storage.Store) error {
			_, err := s.Collect(ctx, &storage.CollectOptions{Grace: -1})
			return err
		},
		"delete": func(ctx context.Context, _ *fixture, s *storage.Store) error {
			err := s.DeleteRepository(ctx, "team/copy", nil)
			if errors.Is(err, registry.ErrNameUnknown) {
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; ; n++ {
				d := memory.New(nil)
				f := newFixture(t, d, nil)
				other := newStore(t, d, nil)
				change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
				calls, nested := atomic.Int64{}, atomic.Bool{}
				faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
					Before: func(ctx context.Context, c drivertest.Call) error {
						if calls.Add(1) == int64(n) {
							nested.Store(true)
							return step(context.WithoutCancel(ctx), f, other)
						}
						return nil
					}})
				_, err := scrub.Run(t.Context(), f.store, faulty, &scrub.Options{Repair: true, Settle: -1, Parallel: 1})
				require.NoError(t, err)
				f.checkServed(t)
				scrubbed(t, f.store, d, repairing)
				f.checkServed(t)
				if !nested.Load() {
					require.Greater(t, n, 50)
					break
				}
				if !*full {
					n += 4
				}
			}
		})
	}
}

// TestDamagedBytesAreNotSharedOnceTheQuarantineHasBegun ends a run right after its tombstone, while all
// links are still there. A push in another repository must not find the damaged bytes and share them.
func TestDamagedBytesAreNotSharedOnceTheQuarantineHasBegun(t *testing.T) {
	d := memory.New(nil)
	f := newFixture(t, d, nil)
	change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
	faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
		Before: func(_ context.Context, c drivertest.Call) error {
			if c.Op == "Delete" {
				return driver.ErrUnavailable
			}
			return nil
		}})
	_, err := scrub.Run(t.Context(), f.store, faulty, repairing)
	require.ErrorIs(t, err, driver.ErrUnavailable)
	require.Len(t, keys(t, d, "dead/"), 1)
	_, err = f.store.MountBlob(t.Context(), "third", f.layer.Digest, &registry.MountOptions{From: "team/copy"})
	require.ErrorIs(t, err, registry.ErrBlobUnknown)
	pushBlob(t, f.store, "third", f.contents[f.layer.Digest])
	got, err := readBlob(t.Context(), f.store, "third", f.layer.Digest)
	require.NoError(t, err)
	require.Equal(t, f.layer.Digest, digest.FromBytes(got))

	// The next run restores the blob from there.
	require.True(t, scrubbed(t, f.store, d, repairing).Whole())
	f.checkWhole(t)
}

// TestQuarantineDuringPushesAndMounts runs a whole scrub right before each step of a push and of a mount.
// Without a second run, at most a link that was becoming live at that very moment has damaged bytes;
// there is none after the second.
func TestQuarantineDuringPushesAndMounts(t *testing.T) {
	for name, step := range map[string]func(ctx context.Context, f *fixture, s *storage.Store) error{
		"push": func(ctx context.Context, f *fixture, s *storage.Store) error {
			_, err := tryBlob(ctx, s, "third", f.contents[f.layer.Digest], 1<<20)
			return err
		},
		"mount": func(ctx context.Context, f *fixture, s *storage.Store) error {
			_, err := s.MountBlob(ctx, "third", f.layer.Digest, &registry.MountOptions{From: "team/copy"})
			if errors.Is(err, registry.ErrBlobUnknown) {
				return nil
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := 0
			for n := 1; ; n++ {
				d := memory.New(nil)
				f := newFixture(t, d, nil)
				change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
				calls, armed, nested := atomic.Int64{}, false, false
				faulty := drivertest.NewFaulty(d, &drivertest.FaultyOptions{
					Before: func(context.Context, drivertest.Call) error {
						if armed && calls.Add(1) == int64(n) {
							nested = true
							_, err := scrub.Run(context.WithoutCancel(t.Context()), f.store, d, repairing)
							return err
						}
						return nil
					}})
				s := newStore(t, faulty, nil)
				armed = true
				require.NoError(t, step(t.Context(), f, s))
				armed = false
				if nested {
					got, err := readBlob(t.Context(), f.store, "third", f.layer.Digest)
					if err == nil && digest.FromBytes(got) != f.layer.Digest {
						wrong++
					}
				}
				scrubbed(t, f.store, d, repairing)
				f.checkServed(t)
				if !nested {
					require.Greater(t, n, 4)
					break
				}
			}
			require.LessOrEqual(t, wrong, 2)
		})
	}
}

// TestQuarantineSurvivesACrash kills the process after each write of a run that quarantines a layer and a
// manifest. The next run finishes, and nothing that was lost is forgotten.
func TestQuarantineSurvivesACrash(t *testing.T) {
	for n := 0; ; n++ {
		d := memory.New(nil)
		f := newFixture(t, d, nil)
		change(t, d, f.dataOf(t, f.layer.Digest)[0], flip)
		change(t, d, "r/team.~app/m/"+pathOf(f.second.Digest), flipLast)
		store(t, d, "r/team.~copy/m/"+pathOf(f.manifest.Digest), load(t, d, "r/team.~app/m/"+pathOf(f.listing.Digest)))
		faulty := drivertest.NewFaulty(d, nil)
		s := newStore(t, faulty, nil)
		faulty.CutAfter(n)
		_, err := scrub.Run(t.Context(), s, faulty, &scrub.Options{Repair: true, Settle: -1, Parallel: 1})
		cut := faulty.Cut()
		require.Equal(t, cut, err != nil)

		scrubbed(t, f.store, d, repairing)
		f.checkServed(t)
		var lost []digest.Digest
		for _, l := range collect(t, scrub.Losses(t.Context(), d)) {
			lost = append(lost, l.Digest)
			if l.Digest == f.second.Digest {
				require.Equal(t, []string{"v2"}, l.Tags)
			}
			if l.Digest == f.manifest.Digest {
				require.Equal(t, []string{"latest", "v1"}, l.Tags)
			}
		}
		require.Contains(t, lost, f.layer.Digest, "%d", n)
		require.Contains(t, lost, f.second.Digest, "%d", n)
		require.Contains(t, lost, f.manifest.Digest, "%d", n)
		f.pushAgain(t)
		require.True(t, scrubbed(t, f.store, d, repairing).Whole(), "%d", n)
		f.checkWhole(t)
		if !cut {
			require.Greater(t, n, 10)
			return
		}
	}
}
