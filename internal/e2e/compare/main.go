// Command compare measures this registry against its peer. One client puts the same load on each of
// them in turn. The command prints a table of server processor time and wall time per operation.
//
//	go run ./compare [-check] [-rounds 5] [-only REGEXP] [-places tmpfs,disk] [-base PROGRAM]
//
// With -base, the other side is an earlier build of examples/server instead of the peer. The table
// then shows the cost of a change.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

type config struct {
	rounds int
	only   *regexp.Regexp
	base   string
}

func main() {
	check := flag.Bool("check", false, "fail if a row takes more processor time than the other side")
	rounds := flag.Int("rounds", 5, "rounds of each row; the medians are reported")
	only := flag.String("only", "", "run the rows whose name matches")
	places := flag.String("places", "tmpfs,disk", "where the storage is")
	base := flag.String("base", "", "`program` of an earlier build of examples/server to compare with instead of the peer")
	disk := flag.String("disk", os.TempDir(), "folder on a disk")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	slower := 0
	for _, place := range strings.Split(*places, ",") {
		parent := map[string]string{"tmpfs": "/dev/shm", "disk": *disk}[place]
		if parent == "" {
			fail(fmt.Errorf("unknown place %q", place))
		}
		n, err := measure(ctx, config{*rounds, regexp.MustCompile(*only), *base}, place, parent)
		if err != nil {
			fail(err)
		}
		slower += n
	}
	fmt.Printf("%d rows take more processor time\n", slower)
	if *check && slower > 0 {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "compare:", err)
	os.Exit(1)
}

// measure runs all rows on one kind of storage and prints their table. It returns the number of
// rows in which this registry is slower than the other side.
func measure(ctx context.Context, c config, place, parent string) (int, error) {
	dir, err := os.MkdirTemp(parent, "compare-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	p, err := startPair(dir, c.base)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	other := "distribution v3.1.2"
	if c.base != "" {
		other = c.base
	}
	fmt.Printf("\n### %s: %d rounds in turns, medians; below 1 is faster than %s\n\n", place, c.rounds, other)
	fmt.Printf("| operation | CPU | %s | ratio | wall | %[1]s | ratio |\n", p.peer.name)
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|")
	slower := 0
	for _, group := range []func(context.Context, config, *pair) ([]row, error){smallRows, bigRows, tagRows} {
		rows, err := group(ctx, c, p)
		if err != nil {
			return slower, err
		}
		for _, r := range rows {
			result, err := p.compare(ctx, c.rounds, r)
			if err != nil {
				return slower, fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Println(result)
			if result.ratio() > 1 {
				slower++
			}
		}
	}
	return slower, nil
}
