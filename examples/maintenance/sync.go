package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/examples/internal/places"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/replicate"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// syncs copies what patterns select between registries and storages.
type syncs struct {
	from, to     string
	repositories list
	rule         replicate.Rule
	opts         replicate.Options
	places       places.Options
	tags, realms list
	platforms    list
	history      time.Duration
}

func (c *syncs) flags(f *flag.FlagSet) {
	const forms = "a directory, the URL of a bucket, or a registry as http://HOST or https://HOST. Required."
	f.StringVar(&c.from, "from", "", "Copy from this `place`: "+forms)
	f.StringVar(&c.to, "to", "", "Copy to this `place`: "+forms)
	f.Var(&c.repositories, "repository",
		"Copy the repositories that match this `pattern`; \"!PATTERN\" excludes. May be repeated. Default: \"**\", all.")
	f.Var(&c.tags, "tag", "Copy the tags that match this `pattern`; \"!PATTERN\" excludes. May be repeated. Default: all.")
	f.StringVar(&c.rule.Semver, "semver", "", "Also copy versions that satisfy this `constraint`. Default: none.")
	f.IntVar(&c.rule.Newest, "newest", 0, "Copy only this `number` of the newest tags of a repository. Default: all.")
	f.BoolVar(&c.rule.Delete, "delete", false,
		"Delete selected tags at the destination that the source does not have. Default: false.")
	f.Var(&c.platforms, "platform", "Copy only this `platform` of an index. May be repeated. Default: all.")
	f.BoolVar(&c.opts.Referrers, "referrers", true, "Also copy signatures, SBOMs and other referrers.")
	f.IntVar(&c.opts.Parallel, "parallel", replicate.DefaultParallel, "Copy this `number` of blobs at a time.")
	f.StringVar(&c.places.Resume, "resume", "",
		"Keep the state of uploads in this `directory`, to go on within a layer after an interrupt. Default: none.")
	f.StringVar(&c.places.DockerConfig, "docker-config", "",
		"Take credentials from this `file`. Default: that of docker login.")
	f.Var(&c.realms, "realm", "Send credentials also to the token service of this `host`. May be repeated. Default: none.")
	f.DurationVar(&c.history, "history", 0,
		"Record the changes of a storage for this `time`. It must be the same as for its server. 0: never.")
}

func (c *syncs) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if c.from == "" || c.to == "" {
		return misusef("-from and -to are required")
	}
	if c.opts.Parallel < 1 || c.rule.Newest < 0 || c.history < 0 {
		return misusef("-parallel must be above zero, -newest and -history not negative")
	}
	c.complete(p)
	all := places.New(c.places)
	defer func() {
		if cerr := all.Close(); err == nil {
			err = cerr
		}
	}()
	src, err := all.Open(ctx, placeName(c.from), true)
	if err != nil {
		return misusef("-from %w", err)
	}
	dst := places.Place{Backend: nothing{}}
	if dir, ok := strings.CutPrefix(placeName(c.to), "dir:"); !p.dryRun || !ok || exists(dir) {
		if dst, err = all.Open(ctx, placeName(c.to), false); err != nil {
			return misusef("-to %w", err)
		}
	}
	if src.Image != "" || dst.Image != "" {
		return misusef("-from and -to must not name a repository; use -repository")
	}
	c.opts.Resume = all.Resume(dst)
	return p.copyAll(ctx, dst.Backend, src.Backend, c.rule)
}

// complete sets the options that depend on several flags.
func (c *syncs) complete(p *program) {
	c.rule.Repositories = c.repositories
	if len(c.repositories) == 0 {
		c.rule.Repositories = []string{"**"}
	}
	c.rule.Tags, c.rule.DryRun, c.rule.Options = c.tags, p.dryRun, &c.opts
	c.opts.Platforms = c.platforms
	c.places.All, c.places.Parallel, c.places.Realms = true, c.opts.Parallel, c.realms
	c.places.Conditional, c.places.UserAgent = c.rule.Delete, "registrykit-maintenance"
	c.places.Bucket = openDriver
	c.places.Storage = func(ctx context.Context, d driver.Driver) (registry.Backend, error) {
		return storage.New(ctx, d, &storage.Options{History: c.history})
	}
}

// placeName returns a name for package places, in which directories begin with "dir:".
func placeName(name string) string {
	if isURL(name) || strings.HasPrefix(name, "dir:") {
		return name
	}
	host, _, _ := strings.Cut(name, "/")
	if !exists(name) && strings.ContainsAny(host, ".:") && host != "." && host != ".." {
		return name // registry.example or localhost:5000
	}
	return "dir:" + name
}

// syncReport is the JSON form of a replicate.SyncResult.
type syncReport struct {
	DryRun bool `json:"dryRun,omitempty"`
	replicate.SyncReport
	Changes []syncChange `json:"changes"`
}

type syncChange struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag,omitempty"`
	From       string `json:"from,omitempty"`
	To         string `json:"to,omitempty"`
	Deleted    bool   `json:"deleted,omitempty"`
	Error      string `json:"error,omitempty"`
}

// copyAll copies what a rule selects, and writes the result.
func (p *program) copyAll(ctx context.Context, dst, src registry.Backend, rule replicate.Rule) error {
	_, err := p.copied(ctx, dst, src, rule)
	return err
}

// copied is copyAll, and returns the number of tags that the rule has selected.
func (p *program) copied(ctx context.Context, dst, src registry.Backend, rule replicate.Rule) (int, error) {
	rule.Options.Progress = display.Copies(p.shown)
	res, err := replicate.Sync(ctx, dst, src, []replicate.Rule{rule})
	report := syncReport{DryRun: rule.DryRun, Changes: []syncChange{}, SyncReport: replicate.SyncReport{
		Copied: res.Copied, Unchanged: res.Unchanged, Deleted: res.Deleted, Failed: res.Failed, Bytes: res.Bytes,
		Took: res.Took.Seconds()}}
	for _, c := range res.Changes {
		change := syncChange{Repository: c.Repository, Tag: c.Tag, From: string(c.From), To: string(c.To), Deleted: c.Deleted}
		if c.Err != nil {
			change.Error = c.Err.Error()
		}
		report.Changes = append(report.Changes, change)
	}
	rerr := p.result(report, func(w io.Writer) {
		fmt.Fprintf(w, "%d tags copied, %d unchanged, %d deleted, %d failed; %s in %s\n", res.Copied, res.Unchanged,
			res.Deleted, res.Failed, display.Size(res.Bytes), res.Took.Round(10*time.Millisecond))
		if rule.DryRun {
			writeChanges(w, res.Changes)
		}
	})
	if err == nil {
		err = rerr
	}
	return res.Copied + res.Unchanged + res.Failed, err
}

// writeChanges lists what would be done.
func writeChanges(w io.Writer, changes []replicate.Change) {
	for _, c := range changes {
		switch {
		case c.Err != nil: // the error of Sync has it
		case c.Deleted:
			fmt.Fprintf(w, "would delete %s:%s\n", c.Repository, c.Tag)
		default:
			fmt.Fprintf(w, "would copy %s:%s %s\n", c.Repository, c.Tag, c.To)
		}
	}
}

// nothing is a backend without content, for a destination that a dry run must not create.
type nothing struct{ registry.Unimplemented }

func (nothing) StatManifest(context.Context, string, reference.Ref, *registry.StatOptions) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, registry.ErrManifestUnknown
}
