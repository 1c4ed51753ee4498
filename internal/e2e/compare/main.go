// Command compare measures this registry beside others and beside the limit of the machine. One
// client puts the same load on each of them in turns.
//
//	go run ./compare [-places tmpfs,disk] [-only REGEXP] [-base PROGRAM] [-peer NAME[=SCRIPT]]
//
// The sides are this registry ("ours"), an earlier build of it with -base, the peers, and the
// limit: a bare net/http server that responds with the same bytes and stores the same content, see
// compare/limit. A peer is distribution, crane, or any registry that a script starts, see
// harness.Script.
//
// A wrong answer of a side is a failure of that side and never counts as a time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// config holds the values of the flags.
type config struct {
	places  []string
	only    *regexp.Regexp
	rounds  int
	longest time.Duration // of a round
	setup   time.Duration // in which a peer prepares a scenario
	large   int           // bytes of a large blob
	objects int           // objects of the scenario start
	crowd   time.Duration // of all rounds with 1,000 clients; 0 means none
	disk    string
	access  bool
	limits  bool
	base    string
	peers   []string
	json    string
	doc     string
	check   bool
}

func main() {
	c, err := parse()
	if err != nil {
		fail(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Hour)
	defer cancel()
	if err := run(ctx, c); err != nil {
		fail(err)
	}
}

func parse() (*config, error) {
	c := &config{}
	places := flag.String("places", "tmpfs,disk", "where the storage is: tmpfs, disk (which syncs), s3 (MinIO)")
	only := flag.String("only", "", "measure the rows whose name matches this `regexp`")
	flag.IntVar(&c.rounds, "rounds", 3, "rounds of each row, after one that warms up; medians are reported")
	flag.DurationVar(&c.longest, "round", time.Second, "longest `time` of a round")
	flag.DurationVar(&c.setup, "setup", 20*time.Second, "longest `time` in which a peer may prepare a scenario")
	large := flag.Int("large", 128, "size of a large blob, in MiB")
	flag.IntVar(&c.objects, "objects", 1_000_000, "objects in the storage of the row \"start\"")
	flag.DurationVar(&c.crowd, "crowd", 0, "`time` of all rounds of the row with 1,000 clients; 0 leaves it out")
	flag.StringVar(&c.disk, "disk", os.TempDir(), "`folder` on a disk")
	flag.BoolVar(&c.access, "access", false, "this registry checks passwords, rules and tokens; no peer takes part")
	flag.BoolVar(&c.limits, "limits", true, "measure the limits")
	flag.StringVar(&c.base, "base", "", "earlier `program` of examples/server (or examples/cloud for s3)")
	flag.Func("peer", "another side: distribution, crane, or `NAME=SCRIPT`; may be repeated", func(peer string) error {
		c.peers = append(c.peers, peer)
		return nil
	})
	flag.StringVar(&c.json, "json", "", "write the results to this `file`, too")
	flag.StringVar(&c.doc, "doc", "", "replace the tables in this Markdown `file`")
	flag.BoolVar(&c.check, "check", false, "fail if a goal is missed")
	flag.Parse()
	c.places, c.large = strings.Split(*places, ","), *large<<20
	var err error
	c.only, err = regexp.Compile(*only)
	if c.rounds < 1 || flag.NArg() > 0 {
		err = errors.Join(err, errors.New("-rounds must be positive, and there are no arguments besides flags"))
	}
	return c, err
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "compare:", err)
	os.Exit(1)
}

// run measures and reports all places.
func run(ctx context.Context, c *config) error {
	var all []*table
	for _, place := range c.places {
		t, err := measure(ctx, c, place)
		if t != nil { // also after an interrupt
			fmt.Print("\n" + t.markdown())
			all = append(all, t)
		}
		if err != nil {
			return err
		}
	}
	if err := errors.Join(writeJSON(c.json, all), writeDoc(c.doc, all)); err != nil {
		return err
	}
	var missed, wrong int
	for _, t := range all {
		missed += t.missed()
		wrong += t.wrong()
	}
	fmt.Printf("\n%d goals missed, %d wrong answers of this registry\n", missed, wrong)
	switch {
	case wrong > 0:
		return errors.New("this registry gave a wrong answer")
	case c.check && missed > 0:
		return errors.New("a goal was missed")
	}
	return nil
}
