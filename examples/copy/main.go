// Copy copies images between registries and store directories:
//
//	go run ./examples/copy docker.io/library/alpine:3 localhost:5000/alpine:3 -plain-http
//	go run ./examples/copy -referrers https://ghcr.io/acme/app:v1 dir:./registry-data//acme/app:v1
//	go run ./examples/copy -sync 'team/**' https://registry.example dir:./backup
//
// It shows a bar on a terminal, and lines elsewhere. After an interrupt, the same command with
// -resume goes on where it stopped, also within a layer. README.md describes all flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/registrykit/registry/examples/internal/display"
	"github.com/registrykit/registry/examples/internal/places"
	"github.com/registrykit/registry/replicate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// config holds the values of the flags.
type config struct {
	platforms, globs, tags       list
	mountFrom, realms            list
	referrers, plainHTTP, quiet  bool
	deletes, dryRun              bool
	parallel, newest             int
	resume, semver, dockerConfig string
	src, dst                     string
}

// list is the values of a flag that may be repeated.
type list []string

func (l *list) String() string     { return fmt.Sprint([]string(*l)) }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// parse reads the flags, which may also follow SRC and DST.
func (c *config) parse(args []string, errs io.Writer) error {
	f := flag.NewFlagSet("copy", flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprint(errs, "Usage: copy [flags] SRC DST\n\nSRC and DST are HOST/REPOSITORY:TAG, https://HOST/REPOSITORY:TAG, "+
			"http://HOST/REPOSITORY:TAG\nor dir:PATH//REPOSITORY:TAG. With -sync, they end after HOST or PATH.\n\n")
		f.PrintDefaults()
	}
	f.Var(&c.platforms, "platform", "copy only this `platform` of an index, such as linux/arm64; repeatable")
	f.BoolVar(&c.referrers, "referrers", false, "copy also signatures, attestations, SBOMs and other referrers")
	f.IntVar(&c.parallel, "parallel", replicate.DefaultParallel, "copy this number of blobs at a time")
	f.StringVar(&c.resume, "resume", "", "keep the state of uploads in this `directory`, to go on after an interrupt")
	f.Var(&c.mountFrom, "mount-from", "mount blobs from this `repository` of DST; repeatable")
	f.BoolVar(&c.plainHTTP, "plain-http", false, "use http for hosts without a scheme")
	f.StringVar(&c.dockerConfig, "docker-config", "", "take credentials from this `file` (default that of docker)")
	f.Var(&c.realms, "realm", "send credentials also to the token service of this `host`; repeatable")
	f.BoolVar(&c.quiet, "quiet", false, "show no progress")
	f.Var(&c.globs, "sync", "copy all repositories that match this `pattern`; repeatable")
	f.Var(&c.tags, "tag", "with -sync: copy only tags that match this `pattern`; repeatable")
	f.StringVar(&c.semver, "semver", "", "with -sync: copy also versions that satisfy this `constraint`")
	f.IntVar(&c.newest, "newest", 0, "with -sync: copy only this number of the newest tags of a repository")
	f.BoolVar(&c.deletes, "delete", false,
		"with -sync: delete selected tags of DST that SRC does not have, in repositories that it has")
	f.BoolVar(&c.dryRun, "dry-run", false, "with -sync: say what would be done")
	var names []string
	for {
		if err := f.Parse(args); err != nil {
			return err
		}
		if args = f.Args(); len(args) == 0 {
			break
		}
		names, args = append(names, args[0]), args[1:]
	}
	if len(names) != 2 {
		f.Usage()
		return errors.New("SRC and DST are required")
	}
	c.src, c.dst = names[0], names[1]
	return c.check(f)
}

// check returns an error for flags that have no effect or no meaning.
func (c *config) check(f *flag.FlagSet) (err error) {
	if c.parallel < 1 {
		return fmt.Errorf("-parallel %d: must be above zero", c.parallel)
	}
	if c.newest < 0 {
		return fmt.Errorf("-newest %d: must not be negative", c.newest)
	}
	if len(c.globs) > 0 {
		return nil
	}
	f.Visit(func(set *flag.Flag) {
		switch set.Name {
		case "tag", "semver", "newest", "delete", "dry-run":
			err = fmt.Errorf("-%s is for -sync", set.Name)
		}
	})
	return err
}

// Exit statuses.
const (
	failed      = 1
	misused     = 2
	interrupted = 130
)

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var c config
	if err := c.parse(args, errs); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(errs, "copy:", err)
		}
		return misused
	}
	p := places.New(places.Options{All: len(c.globs) > 0, PlainHTTP: c.plainHTTP, Parallel: c.parallel, Resume: c.resume,
		DockerConfig: c.dockerConfig, Realms: c.realms, Conditional: c.deletes, UserAgent: "registrykit-copy"})
	defer func() {
		if err := p.Close(); err != nil {
			fmt.Fprintln(errs, "copy:", err)
		}
	}()
	src, err := p.Open(ctx, c.src, true)
	if err != nil {
		fmt.Fprintln(errs, "copy:", err)
		return misused
	}
	dst, err := p.Open(ctx, c.dst, false)
	if err != nil {
		fmt.Fprintln(errs, "copy:", err)
		return misused
	}
	if err := c.checkImages(src, dst); err != nil {
		fmt.Fprintln(errs, "copy:", err)
		return misused
	}
	shown := display.New(errs, c.quiet)
	o := c.options(p.Resume(dst), shown)
	if len(c.globs) > 0 {
		err = c.sync(ctx, dst, src, o, shown.Close, out)
	} else {
		err = c.copy(ctx, dst, src, o, shown.Close, out)
	}
	shown.Close()
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil && c.resume != "":
		fmt.Fprintln(errs, "copy: interrupted; the same command goes on from here")
		return interrupted
	case ctx.Err() != nil:
		fmt.Fprintln(errs, "copy: interrupted; with -resume, layers would go on where they stopped")
		return interrupted
	}
	fmt.Fprintln(errs, "copy:", err)
	return failed
}

// checkImages returns an error unless SRC and DST name what -sync, or the lack of it, requires.
func (c *config) checkImages(src, dst places.Place) error {
	switch sync := len(c.globs) > 0; {
	case !sync && (src.Image == "" || dst.Image == ""):
		return errors.New("SRC and DST must name a repository; -sync copies several")
	case sync && (src.Image != "" || dst.Image != ""):
		return errors.New("with -sync, SRC and DST must not name a repository")
	}
	return nil
}

// options returns the options of each copy.
func (c *config) options(resume replicate.Resume, shown display.Display) *replicate.Options {
	return &replicate.Options{
		Platforms: c.platforms, Referrers: c.referrers, Parallel: c.parallel, MountFrom: c.mountFrom, Resume: resume,
		Progress: display.Copies(shown),
	}
}

// copy copies one image. It calls done before it writes the result.
func (c *config) copy(ctx context.Context, dst, src places.Place, o *replicate.Options, done func(),
	out io.Writer) error {
	began := time.Now()
	o.To = dst.Image
	res, err := replicate.Copy(ctx, dst.Backend, src.Backend, src.Image, o)
	if err != nil {
		return err
	}
	done()
	p := res.Progress
	fmt.Fprintf(out, "%s: %s copied, %s mounted, %s already there, in %s\n", res.Descriptor.Digest,
		display.Size(p.Copied), display.Size(p.Mounted), display.Size(p.Skipped),
		time.Since(began).Round(10*time.Millisecond))
	return nil
}

// sync copies what the patterns select. It calls done before it writes the result.
func (c *config) sync(ctx context.Context, dst, src places.Place, o *replicate.Options, done func(),
	out io.Writer) error {
	res, err := replicate.Sync(ctx, dst.Backend, src.Backend, []replicate.Rule{{
		Repositories: c.globs, Tags: c.tags, Semver: c.semver, Newest: c.newest, Delete: c.deletes, DryRun: c.dryRun,
		Options: o,
	}})
	done()
	copied, deleted := "copied", "deleted"
	if c.dryRun {
		copied, deleted = "would copy", "would delete"
	}
	for _, change := range res.Changes {
		switch {
		case change.Err != nil: // part of err
		case change.Deleted:
			fmt.Fprintf(out, "%s %s:%s\n", deleted, change.Repository, change.Tag)
		default:
			fmt.Fprintf(out, "%s %s:%s %s\n", copied, change.Repository, change.Tag, change.To)
		}
	}
	if c.dryRun {
		fmt.Fprint(out, "dry run: ")
	}
	fmt.Fprintf(out, "%d copied, %d unchanged, %d deleted, %d failed; %s in %s\n", res.Copied, res.Unchanged, res.Deleted,
		res.Failed, display.Size(res.Bytes), res.Took.Round(10*time.Millisecond))
	return err
}
