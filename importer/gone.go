package importer

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/driver"
)

// gone handles the tags that a Run has imported and that the source no longer has.
func (r *repository) gone(ctx context.Context, inSource map[string]struct{}) error {
	for _, name := range slices.Sorted(maps.Keys(r.record.tags)) {
		if _, ok := inSource[name]; ok {
			continue
		}
		if err := r.goneTag(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// goneTag reports or removes one tag that the source no longer has.
func (r *repository) goneTag(ctx context.Context, name string) error {
	t := r.record.announcedTag(name)
	p := Problem{Kind: ProblemGone, Repository: r.name, Tag: name, Digest: t.digest, Message: "deleted in the source"}
	if !r.opts.Delete {
		r.report.count(func(rep *Report) { rep.Tags.Gone++ })
		r.report.problem(p)
		return nil
	}
	err := r.deleteTag(ctx, name, &registry.DeleteOptions{
		If: &registry.Condition{Match: append([]digest.Digest{t.digest}, t.was...)}, NotSetAfter: t.setAt(), By: importing,
	})
	switch {
	case errors.Is(err, registry.ErrPreconditionFailed):
		p.Kind, p.Message = ProblemKept, "deleted in the source, but the destination has changed it since"
		r.report.count(func(rep *Report) { rep.Tags.Kept++ })
		r.report.problem(p)
	case errors.Is(err, registry.ErrManifestUnknown), errors.Is(err, registry.ErrNameUnknown): // removed there, too
	case err != nil:
		return err
	default:
		r.report.count(func(rep *Report) { rep.Tags.Gone++; rep.Tags.Deleted++ })
	}
	r.record.remove(name)
	return nil
}

// deleteTag deletes a tag of the destination. In a dry run, it only has the result of the conditions.
func (r *repository) deleteTag(ctx context.Context, name string, opts *registry.DeleteOptions) error {
	if !r.opts.DryRun {
		return r.store.DeleteManifest(ctx, r.name, reference.Ref{Tag: name}, opts)
	}
	current, err := r.current(ctx, name)
	if err != nil {
		return err
	}
	set, ok, err := r.setTime(ctx, name)
	switch {
	case err != nil:
		return err
	case current == "" || !ok:
		return registry.ErrManifestUnknown
	case !opts.If.Holds(current) || set.After(opts.NotSetAfter):
		return registry.ErrPreconditionFailed
	}
	return nil
}

// vanished handles the repositories that a Run has imported and that the source no longer has.
func (r *run) vanished(ctx context.Context) error {
	prefix := r.recordsPrefix()
	for info, err := range r.driver.List(ctx, prefix, &driver.ListOptions{KeysOnly: true}) {
		if err != nil {
			return err
		}
		name := objectkey.Unescape(info.Key[len(prefix):])
		if reference.CheckName(name) != nil {
			continue
		}
		there, err := r.isRepository(ctx, name)
		if err != nil {
			return err
		}
		if there {
			continue
		}
		rec, err := r.readRecord(ctx, name)
		if err != nil {
			return err
		}
		repo := &repository{run: r, name: name, record: rec}
		if err := repo.gone(ctx, nil); err != nil {
			return err
		}
		if err := r.writeRecord(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

// isRepository reports whether the source has a repository, or cannot say.
func (r *run) isRepository(ctx context.Context, name string) (bool, error) {
	for _, err := range r.src.List(ctx, repositoryPath(name)+"/_manifests") {
		return !errors.Is(err, fs.ErrNotExist), ctx.Err()
	}
	return true, ctx.Err()
}
