package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/layout"
	"github.com/registrykit/registry/replicate"
)

// exports writes images to an OCI image layout.
type exports struct {
	at             place
	repository, to string
	tags           list
	platforms      list
	referrers      bool
	replace        bool
}

func (c *exports) flags(f *flag.FlagSet) {
	c.at.storageFlag(f)
	f.StringVar(&c.repository, "repository", "", "Export this `repository`. Required.")
	f.StringVar(&c.to, "to", "", "Write to this `directory`, or to a new archive if the name ends in .tar. Required.")
	f.Var(&c.tags, "tag",
		"Export the tags that match this `pattern`; \"!PATTERN\" excludes. May be repeated. Default: all.")
	f.Var(&c.platforms, "platform", "Export only this `platform` of an index. May be repeated. Default: all.")
	f.BoolVar(&c.replace, "replace", false, "Replace an archive that exists. Default: false.")
	f.BoolVar(&c.referrers, "referrers", true, "Also export signatures, SBOMs and other referrers.")
}

func (c *exports) run(ctx context.Context, p *program, args []string) (err error) {
	if err := none(args); err != nil {
		return err
	}
	if c.repository == "" || c.to == "" {
		return misusef("-repository and -to are required")
	}
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	rule := replicate.Rule{Repositories: []string{c.repository}, Tags: c.tags, DryRun: p.dryRun,
		Options: &replicate.Options{Referrers: c.referrers, Platforms: c.platforms}}
	if p.dryRun { // nothing is created
		return c.export(ctx, p, nothing{}, rule)
	}
	l, err := layout.Create(c.to, &layout.Options{Repository: c.repository, Replace: c.replace})
	if err != nil {
		return err
	}
	if err := c.export(ctx, p, l, rule); err != nil {
		return errors.Join(err, l.Abort())
	}
	return l.Close()
}

// export copies what a rule selects. To select nothing is an error: a backup must not be empty because
// of a mistake in a pattern.
func (c *exports) export(ctx context.Context, p *program, to registry.Backend, rule replicate.Rule) error {
	n, err := p.copied(ctx, to, c.at.store, rule)
	if err == nil && n == 0 {
		return fmt.Errorf("nothing to export: no tag of %s is selected", c.repository)
	}
	return err
}
