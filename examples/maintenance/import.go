package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/registrykit/registry/examples/internal/bucket"
	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/importer"
	sourcebucket "github.com/registrykit/registry/importer/bucket"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/replicate"
)

// Formats of what is imported.
const (
	formatCNCF   = "cncf"
	formatLayout = "layout"
)

// imports takes over the data of another registry, or an image layout.
type imports struct {
	to         place
	from       string
	format     string
	verify     string
	repository string
	noLinks    bool
	opts       importer.Options
}

func (c *imports) flags(f *flag.FlagSet) {
	c.to.define(f, "to", "Import into this `storage`: a directory, or the URL of a bucket as examples/cloud takes it.")
	f.StringVar(&c.from, "from", "", "Import this `source`: the data of a CNCF registry, in a directory or bucket; an "+
		"OCI image layout, in a directory or archive; or an archive of docker save. Required.")
	f.StringVar(&c.format, "format", "", "Treat the source as this `format`: cncf or layout. Default: what it looks like.")
	f.StringVar(&c.verify, "verify", string(importer.VerifyFull),
		"Read this `part` of a CNCF registry to check it: none, sample or full.")
	f.BoolVar(&c.noLinks, "no-links", false,
		"Make no hard links to the layers of a CNCF registry: copy them, or clone them where the file system can. "+
			"Default: false.")
	f.BoolVar(&c.opts.TaggedOnly, "tagged-only", false, "Leave out manifests to which no tag leads. Default: false.")
	f.BoolVar(&c.opts.Sparse, "sparse", false,
		"Accept indexes of which the source lacks some images. Default: false, they count as damage.")
	f.BoolVar(&c.opts.Delete, "delete", false,
		"Remove tags that the source has deleted since the last import. Default: false.")
	f.StringVar(&c.opts.ID, "id", "",
		"Give the source this `name`. A second import must use the same one. Default: derived from -from.")
	f.StringVar(&c.repository, "repository", "",
		"Import the images of a layout that have no name into this `repository`. Default: none.")
}

func (c *imports) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if c.from == "" {
		return misusef("-from is required")
	}
	if c.format == "" {
		c.format = formatOf(c.from)
	}
	switch importer.Verify(c.verify) {
	case importer.VerifyNone, importer.VerifySample, importer.VerifyFull:
	default:
		return misusef("-verify %s: must be none, sample or full", c.verify)
	}
	if !isURL(c.from) && !exists(c.from) {
		return misusef("-from %s: does not exist", c.from)
	}
	do, closeSource, err := c.open()
	if err != nil {
		return misusef("-from: %w", err)
	}
	defer func() { _ = closeSource() }() // it was only read
	if err := c.to.create(ctx, p.dryRun); err != nil {
		return err
	}
	defer func() { err = closing(&c.to, err) }()
	return do(ctx, p)
}

// importing imports into the destination, which is open.
type importing func(ctx context.Context, p *program) error

// open opens the source, unless it is a bucket, before the destination is created.
func (c *imports) open() (do importing, closeSource func() error, err error) {
	switch {
	case c.format == formatLayout:
		l, err := layout.Open(c.from, &layout.Options{Repository: c.repository})
		if err != nil {
			return nil, nil, err
		}
		return func(ctx context.Context, p *program) error { return c.layout(ctx, p, l) }, l.Close, nil
	case c.format != formatCNCF:
		return nil, nil, fmt.Errorf("-format %s: must be cncf or layout", c.format)
	case isURL(c.from):
		return c.bucket, func() error { return nil }, nil
	}
	src, err := importer.OpenDir(c.from)
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, p *program) error { return c.registry(ctx, p, src) }, src.Close, nil
}

// formatOf returns the format of a source.
func formatOf(from string) string {
	if !isURL(from) && (isFile(from) || exists(filepath.Join(from, "oci-layout"))) {
		return formatLayout
	}
	return formatCNCF
}

// isFile reports whether a path is that of a file, such as an archive.
func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// registry imports the data of a CNCF registry.
func (c *imports) registry(ctx context.Context, p *program, src importer.Source) error {
	c.opts.Verify, c.opts.DryRun, c.opts.Total = importer.Verify(c.verify), p.dryRun, true
	c.opts.Progress = func(r importer.Report) { p.shown.Show(importState(r)) }
	if c.noLinks {
		c.opts.Link = importer.LinkNever
	}
	r, err := importer.Run(ctx, c.to.store, c.to.driver, src, &c.opts)
	if r == nil {
		return err
	}
	rerr := p.result(r, func(w io.Writer) { writeImport(w, r) })
	if err == nil {
		err = rerr
	}
	if err == nil && r.Damaged > 0 {
		err = errDamaged
	}
	return err
}

// importState returns the state of an import for the display.
func importState(r importer.Report) display.State {
	l := r.Layers
	return display.State{Total: r.Total.Bytes, Bytes: true,
		Done: l.Linked.Bytes + l.Cloned.Bytes + l.Copied.Bytes + l.Streamed.Bytes,
		Text: fmt.Sprintf("%d repositories, %d tags, %d damaged", r.Repositories, r.Tags.Set+r.Tags.Moved+r.Tags.Unchanged,
			r.Damaged)}
}

// writeImport writes what an import has done.
func writeImport(w io.Writer, r *importer.Report) {
	t, l := r.Tags, r.Layers
	fmt.Fprintf(w, "%d tags set, %d moved, %d unchanged, %d kept, %d gone, %d skipped; "+
		"%d manifests, %d of them referrers; %d repositories\n",
		t.Set, t.Moved, t.Unchanged, t.Kept, t.Gone, t.Skipped, r.Manifests, r.Referrers, r.Repositories)
	for _, row := range []struct {
		how string
		importer.Amount
	}{{"linked", l.Linked}, {"cloned", l.Cloned}, {"copied by the storage", l.Copied}, {"read and written", l.Streamed},
		{"shared with another repository", l.Mounted}, {"there already", l.Present}} {
		if row.Count > 0 {
			fmt.Fprintf(w, "%d layers %s, %s\n", row.Count, row.how, display.Size(row.Bytes))
		}
	}
	for _, problem := range r.Problems {
		name := problem.Repository
		if problem.Tag != "" {
			name += ":" + problem.Tag
		}
		fmt.Fprintf(w, "%s: %s %s: %s\n", problem.Kind, name, problem.Digest, problem.Error())
	}
	if r.Omitted > 0 {
		fmt.Fprintf(w, "%d further problems\n", r.Omitted)
	}
	fmt.Fprintf(w, "%d damaged and %d of schema 1 were skipped, in %.1f s\n", r.Damaged, r.Schema1, r.Seconds)
}

// bucket imports the data of a CNCF registry from a bucket. A bucket that is also the destination is
// opened once, so that it copies the layers by itself.
func (c *imports) bucket(ctx context.Context, p *program) error {
	b, prefix, err := bucket.OpenBucket(ctx, c.from)
	if err != nil {
		return misusef("-from: %w", err)
	}
	defer func() { _ = b.Close() }() // it was only read
	from := b
	if d, ok := c.to.driver.(bucket.Driver); ok && bucket.Name(c.from) == bucket.Name(c.to.name) {
		from = d.Bucket
	}
	prefix = strings.Trim(prefix, "/")
	src, err := sourcebucket.Open(ctx, from, prefix, bucket.Name(c.from)+"/"+prefix)
	if err != nil {
		return misusef("-from: %w", err)
	}
	defer func() { _ = src.Close() }() // it was only read
	return c.registry(ctx, p, src)
}

// layout imports an OCI image layout, or an archive of docker save.
func (c *imports) layout(ctx context.Context, p *program, l *layout.Layout) error {
	if err := p.copyAll(ctx, c.to.store, l, replicate.Rule{Repositories: []string{"**"}, DryRun: p.dryRun,
		Options: &replicate.Options{Referrers: true}}); err != nil || c.repository == "" || p.dryRun {
		return err
	}
	return c.untagged(ctx, l)
}

// untagged imports what a layout has without a tag. What has a tag was copied before.
func (c *imports) untagged(ctx context.Context, l *layout.Layout) error {
	roots, err := l.Roots(ctx)
	for _, r := range roots {
		if err == nil && r.Tag == "" {
			_, err = replicate.Copy(ctx, c.to.store, l, c.repository+"@"+string(r.Descriptor.Digest), nil)
		}
	}
	return err
}
