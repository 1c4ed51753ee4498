package importer

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// run is one Run.
type run struct {
	store  *storage.Store
	driver driver.Driver
	src    Source
	opts   *Options
	id     string // in the keys of records
	salt   byte   // selects the sample
	report counter
	images *semaphore.Weighted // bounds the images that are imported at a time
	blobs  locks               // one goroutine takes a blob over
	adopt  adoptions
	seen   seen // the blobs that a rehearsal has counted
}

func newRun(s *storage.Store, d driver.Driver, src Source, o *Options, id string) *run {
	return &run{
		store: s, driver: d, src: src, opts: o, id: id, salt: byte(rand.Uint32()),
		images: semaphore.NewWeighted(int64(o.Parallel)),
		blobs:  locks{held: map[string]*held{}},
		seen:   seen{digests: map[[16]byte]struct{}{}},
	}
}

// all imports everything. Several repositories are in work at a time, because most have few images.
func (r *run) all(ctx context.Context) error {
	if r.opts.Total {
		if err := r.total(ctx); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Parallel)
	found := false
	err := r.walk(gctx, "", func(repo string) error {
		found = true
		if gctx.Err() != nil {
			return gctx.Err()
		}
		g.Go(func() error { return r.repository(gctx, repo) })
		return nil
	})
	if gerr := g.Wait(); gerr != nil {
		return gerr
	}
	if err != nil || !found {
		return err
	}
	return r.vanished(ctx)
}

// walk calls f with the name of each repository below the one named parent.
//
// Errors: those of f; a *Problem if the uppermost directory cannot be read; the error of ctx.
func (r *run) walk(ctx context.Context, parent string, f func(repo string) error) error {
	dir := strings.TrimSuffix(repositoryPath(parent), "/")
	isRepository := false
	var below []string
	for e, err := range r.src.List(ctx, dir) {
		if err != nil {
			err = sourceError(ctx, dir, err)
			var p *Problem
			if parent == "" || !errors.As(err, &p) {
				return err
			}
			p.Repository = parent
			r.report.problem(*p)
			return nil
		}
		name := strings.TrimPrefix(parent+"/"+e.Name, "/")
		switch {
		case e.Type != fs.ModeDir:
			r.report.problem(Problem{Kind: ProblemFile, Repository: parent, Path: dir + "/" + e.Name,
				Message: "not a directory, so not followed"})
		case e.Name == "_manifests":
			isRepository = parent != ""
		case strings.HasPrefix(e.Name, "_"): // _layers, _uploads
		case reference.CheckName(e.Name) != nil || len(name) > maxName:
			r.report.problem(Problem{Kind: ProblemName, Repository: name, Path: dir + "/" + e.Name,
				Message: "not a valid name of a repository"})
		default:
			below = append(below, name)
		}
	}
	if isRepository {
		if err := f(parent); err != nil {
			return err
		}
	}
	for _, name := range below {
		if err := r.walk(ctx, name, f); err != nil {
			return err
		}
	}
	return nil
}

// total counts the blobs in the source.
func (r *run) total(ctx context.Context) error {
	return r.eachBlob(ctx, "blobs", 3, func(path string) error {
		f, err := r.src.Open(ctx, path+"/data")
		if err != nil {
			return ctx.Err() // damage is found later
		}
		r.report.count(func(rep *Report) { rep.Total.add(f.Size) })
		return f.Close()
	})
}

// eachBlob calls f with each directory at a depth below dir.
func (r *run) eachBlob(ctx context.Context, dir string, depth int, f func(path string) error) error {
	if depth == 0 {
		return f(dir)
	}
	for e, err := range r.src.List(ctx, dir) {
		if err != nil {
			return ctx.Err()
		}
		if e.Type != fs.ModeDir {
			continue
		}
		if err := r.eachBlob(ctx, dir+"/"+e.Name, depth-1, f); err != nil {
			return err
		}
	}
	return nil
}

// locks lets one goroutine at a time work on a name.
type locks struct {
	mu   sync.Mutex
	held map[string]*held
}

type held struct {
	mu    sync.Mutex
	users int
}

// lock waits for the lock of name, and returns a function that releases it.
func (l *locks) lock(name string) (unlock func()) {
	l.mu.Lock()
	h := l.held[name]
	if h == nil {
		h = &held{}
		l.held[name] = h
	}
	h.users++
	l.mu.Unlock()
	h.mu.Lock()
	return func() {
		h.mu.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if h.users--; h.users == 0 {
			delete(l.held, name)
		}
	}
}

// seen is a bounded set of digests. Beyond maxSeen, digests count as new.
type seen struct {
	mu      sync.Mutex
	digests map[[16]byte]struct{}
}

// maxSeen is the maximum number of digests in a set: about 40 MB.
const maxSeen = 1_000_000

// add adds a digest, and reports whether it was new.
func (s *seen) add(d digest.Digest) bool {
	var key [16]byte
	copy(key[:], d.Encoded()[:16]) // 64 of the bits
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.digests[key]; ok {
		return false
	}
	if len(s.digests) < maxSeen {
		s.digests[key] = struct{}{}
	}
	return true
}
