package importer

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// repository is the import of one repository. It holds the names of its tags and manifests.
type repository struct {
	*run
	name   string
	record *record

	mu        sync.Mutex
	present   map[digest.Digest]struct{} // the manifests that the destination had; nil until they are listed
	sets      map[string]time.Time       // when its tags were set; nil until they are listed
	manifests map[digest.Digest]*image
	blobs     map[digest.Digest]int64 // sizes of those that are at the destination
}

// tag is a tag of the source.
type tag struct {
	name   string
	digest digest.Digest
	set    time.Time
}

// minBatch is the minimum number of tags that are set after one write of the record. A repository with
// many tags has larger batches, so that the record, which has all tags, is written about 16 times.
const minBatch = 64

// repository imports one repository: the tags with their images first, then the other manifests.
//
// Errors: those of the destination and of ctx.
func (r *run) repository(ctx context.Context, name string) error {
	r.report.count(func(rep *Report) { rep.Repositories++; rep.Repository = name })
	rec, err := r.readRecord(ctx, name)
	if err != nil {
		return err
	}
	repo := &repository{
		run: r, name: name, record: rec,
		manifests: map[digest.Digest]*image{}, blobs: map[digest.Digest]int64{},
	}
	err = repo.all(ctx)
	var p *Problem
	if errors.As(err, &p) { // the source cannot be listed
		p.Repository = name
		r.report.problem(*p)
		return nil
	}
	return err
}

func (r *repository) all(ctx context.Context) error {
	names, err := r.tagNames(ctx)
	if err != nil {
		return err
	}
	revisions, err := r.revisions(ctx)
	if err != nil {
		return err
	}
	inSource := make(map[string]struct{}, len(names))
	for _, n := range names {
		inSource[n] = struct{}{}
	}
	for size := max(minBatch, len(names)/16); len(names) > 0; {
		n := min(size, len(names))
		if err := r.tags(ctx, names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	if err := r.untagged(ctx, revisions); err != nil {
		return err
	}
	if err := r.gone(ctx, inSource); err != nil {
		return err
	}
	r.record.settle()
	return r.writeRecord(ctx, r.record)
}

// tagNames returns the tags of the repository in the source, in byte order.
func (r *repository) tagNames(ctx context.Context) ([]string, error) {
	var names []string
	dir := tagsPath(r.name)
	for e, err := range r.src.List(ctx, dir) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, sourceError(ctx, dir, err)
		}
		if p := checkEntry(dir, e, registry.CheckTag(e.Name)); p != nil {
			p.Repository, p.Tag = r.name, e.Name
			r.report.problem(*p)
			continue
		}
		names = append(names, e.Name)
	}
	return names, nil
}

// checkEntry returns the problem with an entry that should be a directory with a name that is valid
// unless invalid is an error, or nil.
func checkEntry(dir string, e Entry, invalid error) *Problem {
	switch {
	case e.Type != fs.ModeDir:
		return &Problem{Kind: ProblemFile, Path: dir + "/" + e.Name, Message: "not a directory, so not followed"}
	case invalid != nil:
		return &Problem{Kind: ProblemName, Path: dir + "/" + e.Name, Message: invalid.Error()}
	}
	return nil
}

// revisions returns the manifests of the repository in the source.
func (r *repository) revisions(ctx context.Context) ([]digest.Digest, error) {
	var all []digest.Digest
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		dir := revisionsPath(r.name) + "/" + string(alg)
		for e, err := range r.src.List(ctx, dir) {
			if errors.Is(err, fs.ErrNotExist) {
				break
			}
			if err != nil {
				return nil, sourceError(ctx, dir, err)
			}
			d := digest.NewDigestFromEncoded(alg, e.Name)
			if p := checkEntry(dir, e, reference.CheckDigest(string(d))); p != nil {
				p.Repository = r.name
				r.report.problem(*p)
				continue
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// tags imports the images of some tags, and then sets the tags.
func (r *repository) tags(ctx context.Context, names []string) error {
	todo := make([]*tag, len(names))
	err := r.each(ctx, len(names), func(ctx context.Context, i int) (err error) {
		todo[i], err = r.prepareTag(ctx, names[i])
		return err
	})
	if err != nil {
		return err
	}
	work := todo[:0]
	for _, t := range todo {
		if t != nil {
			work = append(work, t)
		}
	}
	if len(work) == 0 {
		return nil
	}
	for _, t := range work {
		r.record.announce(t)
	}
	if err := r.writeRecord(ctx, r.record); err != nil {
		return err
	}
	return r.each(ctx, len(work), func(ctx context.Context, i int) error { return r.setTag(ctx, work[i]) })
}

// each calls f with 0 to n-1, as many calls at a time as the options allow for all repositories.
func (r *repository) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.opts.Parallel)
	for i := range n {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := r.images.Acquire(gctx, 1); err != nil {
				return err
			}
			defer r.images.Release(1)
			return f(gctx, i)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// untagged imports the manifests that no tag has led to. With Options.TaggedOnly, these are the
// referrers of what was imported, and their referrers.
func (r *repository) untagged(ctx context.Context, revisions []digest.Digest) error {
	for {
		var rest []digest.Digest
		for _, d := range revisions {
			if !r.record.hasManifest(d) && r.stateOf(d).isOpen() {
				rest = append(rest, d)
			}
		}
		var skipped []digest.Digest
		var mu sync.Mutex
		err := r.each(ctx, len(rest), func(ctx context.Context, i int) error {
			if r.opts.TaggedOnly {
				if ok, err := r.refersToImported(ctx, rest[i]); !ok {
					mu.Lock()
					defer mu.Unlock()
					skipped = append(skipped, rest[i])
					return err
				}
			}
			err := r.importManifest(ctx, rest[i], 0)
			return r.skip(err, Problem{Digest: rest[i]})
		})
		if err != nil || len(skipped) == 0 || len(skipped) == len(rest) {
			return err
		}
		revisions = skipped
	}
}

// skip reports err if it is a *Problem, with what was skipped because of it, and returns any other error.
func (r *repository) skip(err error, what Problem) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	what.Repository, what.Kind, what.Path, what.Message = r.name, p.Kind, p.Path, p.Message
	r.report.problem(what)
	return nil
}
