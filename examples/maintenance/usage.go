package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/internal/bytesize"
	"github.com/registrykit/registry/usage"
)

// usages shows what repositories hold.
type usages struct {
	at          place
	hub         hub
	count, list bool
	days        bool
}

func (c *usages) flags(f *flag.FlagSet) {
	c.at.storageOrHubFlag(f)
	c.hub.flags(f)
	f.BoolVar(&c.count, "count", false, "First count what has changed since the last count. Default: false.")
	f.BoolVar(&c.list, "list", false, "Also show the repositories and prefixes directly below PREFIX. Default: false.")
	f.BoolVar(&c.days, "days", false, "Show the figures of each day of the last month instead. Default: false.")
}

func (c *usages) run(ctx context.Context, p *program, args []string) (err error) {
	prefix := ""
	if len(args) > 0 {
		if prefix, err = one(args, "one PREFIX"); err != nil {
			return err
		}
	}
	if c.list && c.days {
		return misusef("-list and -days exclude each other")
	}
	if err := c.hub.check(c.at.name); err != nil {
		return err
	}
	if c.hub.used() {
		return c.onHub(ctx, p, prefix)
	}
	if err := c.at.open(ctx); err != nil {
		return err
	}
	defer func() { err = closing(&c.at, err) }()
	meter, err := usage.New(c.at.store, c.at.driver, nil)
	if err != nil {
		return err
	}
	if c.count && !p.dryRun {
		if _, err := meter.Count(ctx, func(s usage.Progress) {
			p.shown.Show(display.State{Text: fmt.Sprintf("%d repositories, %d blobs, %d requests", s.Repositories, s.Blobs,
				s.Requests)})
		}); err != nil {
			return err
		}
	}
	reports, err := c.reports(ctx, meter, prefix)
	if errors.Is(err, usage.ErrNotCounted) {
		return fmt.Errorf("%w; -count counts now, and a server with -usage-every does periodically", err)
	}
	if err != nil {
		return err
	}
	return p.result(reports, func(w io.Writer) { writeReports(w, reports) })
}

// reports returns what is to be shown.
func (c *usages) reports(ctx context.Context, meter *usage.Meter, prefix string) ([]usage.Report, error) {
	if c.days {
		return taken(meter.History(ctx, prefix))
	}
	r, err := meter.Report(ctx, prefix)
	if err != nil || !c.list {
		return []usage.Report{r}, err
	}
	below, err := taken(meter.Children(ctx, prefix, ""))
	return append([]usage.Report{r}, below...), err
}

// taken returns the elements of a sequence.
func taken(all iter.Seq2[usage.Report, error]) ([]usage.Report, error) {
	reports := []usage.Report{}
	for r, err := range all {
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// writeReports writes a table.
func writeReports(w io.Writer, reports []usage.Report) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "PREFIX\tLOGICAL\tREPEATED\tPHYSICAL\tEXCLUSIVE\tREPOSITORIES\tTAGS\tMANIFESTS\tBLOBS\tCOUNTED")
	for _, r := range reports {
		g := r.Figures
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", nameOf(r.Prefix), bytesize.Format(g.Logical),
			bytesize.Format(g.Repeated), bytesize.Format(g.Physical), bytesize.Format(g.Exclusive), g.Repositories, g.Tags,
			g.Manifests, g.Blobs, r.Counted.Format(time.RFC3339))
	}
	_ = t.Flush() // a closed pipe ends the program anyway
}
