// Command soak checks that a registry loses no content under load. Two servers share one storage
// and run a garbage collection every few seconds. The command kills one of them from time to time.
// Clients push, mount, tag, pull and delete at random. They check continuously that no acknowledged
// content is lost and that no operation hangs. At the end, soak deletes all but a few images and
// runs collections. It then compares the objects in the storage with those that the images need.
//
//	go run ./soak [-ops 100000] [-seconds 0] [-storage tmpfs|disk|s3] [-seed N] [-grace 0]
//		[-collect 2s] [-untagged] [-kill-every 10s] [-workers 8] [-keep]
//
// The command prints its operations. The seed determines the choices of the clients, but not their
// results, because those depend on the order in which the machine runs the requests.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

// config holds the flags.
type config struct {
	ops       int           // number of operations; 0: no limit
	span      time.Duration // duration; 0: no limit
	storage   string        // tmpfs, disk or s3
	dir       string        // parent of the folder on a disk
	seed      uint64
	grace     time.Duration // grace period of collections; 0: none
	every     time.Duration // interval between the collections of a server
	untagged  bool          // whether collections remove untagged manifests
	killEvery time.Duration // interval between kills; 0: never
	workers   int
	keep      bool // whether servers also apply retention and quotas, count usage and scrub
}

func main() {
	var c config
	flag.IntVar(&c.ops, "ops", 100_000, "`number` of operations to end after; 0 is no limit")
	seconds := flag.Int("seconds", 0, "`seconds` to end after; 0 is no limit")
	flag.StringVar(&c.storage, "storage", "tmpfs", "tmpfs, disk or s3, which is MinIO")
	flag.StringVar(&c.dir, "dir", os.TempDir(), "`folder` on a disk, for disk and s3")
	flag.Uint64Var(&c.seed, "seed", uint64(time.Now().UnixNano()), "what the choices depend on")
	flag.DurationVar(&c.grace, "grace", 0, "grace of the collections; with one, no push may be refused")
	flag.DurationVar(&c.every, "collect", 2*time.Second, "time between the collections of a server")
	flag.BoolVar(&c.untagged, "untagged", false, "collect untagged manifests, too")
	flag.DurationVar(&c.killEvery, "kill-every", 10*time.Second, "time between two kills of a server; 0 is never")
	flag.BoolVar(&c.keep, "keep", false, "servers also run retention, quotas, usage and scrubs every few seconds")
	flag.IntVar(&c.workers, "workers", 8, "`number` of clients")
	flag.Parse()
	c.span = time.Duration(*seconds) * time.Second

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := soak(ctx, c)
	if r != nil {
		fmt.Print(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// uploadTTL is the time after which an upload without requests expires.
func (c config) uploadTTL() time.Duration { return max(c.grace, 5*time.Second) }
