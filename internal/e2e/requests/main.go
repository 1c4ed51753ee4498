// Command requests counts the requests to S3 that each operation of a registry makes, compared with
// its peer. It also shows how long the operations take if each request to the store is delayed.
// Both registries run on MinIO, each on a server of its own, behind a proxy that counts.
//
//	go run ./requests [-delay 30ms]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/registrykit/registry/internal/e2e/harness"
)

func main() {
	delay := flag.Duration("delay", 30*time.Millisecond,
		"what each request to the store is held up by in the second table")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	if err := run(ctx, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "requests:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, delay time.Duration) error {
	dir, err := os.MkdirTemp("", "requests-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var counts, held [2][]result
	for i, kind := range []harness.Kind{harness.Ours, harness.Peer} {
		if counts[i], err = measure(ctx, kind, filepath.Join(dir, string(kind)), 0); err != nil {
			return err
		}
		if held[i], err = measure(ctx, kind, filepath.Join(dir, string(kind)+"-delay"), delay); err != nil {
			return err
		}
	}
	fmt.Printf("| operation | requests | limit | copies | longest chain | with %s | peer: requests | copies | with %s |\n",
		delay, delay)
	fmt.Println("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
	for i, op := range operations() {
		ours, late := counts[0][i], held[0][i]
		fmt.Printf("| %s | %d | %d | %d | %d | %s |", op.name, ours.requests, op.limit, ours.copies, late.chain,
			show(late.wall))
		if op.ours {
			fmt.Println(" | | |")
			continue
		}
		fmt.Printf(" %d | %d | %s |\n", counts[1][i].requests, counts[1][i].copies, show(held[1][i].wall))
	}
	return nil
}

func show(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// result is the cost of one operation. If the operation has several equal steps, it is the cost of
// one step.
type result struct {
	requests, copies, chain int
	wall                    time.Duration
	all                     harness.StoreRequests // of all steps together
}

// measure runs all operations once, starting with an empty store.
func measure(ctx context.Context, kind harness.Kind, dir string, delay time.Duration) (results []result, err error) {
	store, err := harness.StartMinIO(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = stop(err, store.Stop) }()
	proxy, err := harness.NewStoreProxy(store.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { err = stop(err, proxy.Close) }()
	start := func() (*harness.Server, error) {
		return harness.Start(harness.Options{
			Kind: kind, Bucket: store, BucketAddr: proxy.Addr, Log: filepath.Join(dir, "registry.log"),
			Args: []string{"-log-level", "error"},
		})
	}
	server, err := start()
	if err != nil {
		return nil, err
	}
	defer func() { err = stop(err, server.Stop) }()
	for _, op := range operations() {
		if kind == harness.Peer && op.ours {
			results = append(results, result{})
			continue
		}
		c := harness.NewClient(server.URL())
		if op.before != nil {
			if err := op.before(ctx, c); err != nil {
				return nil, fmt.Errorf("%s: before %s: %w", kind, op.name, err)
			}
		}
		if op.cold {
			if err := server.Stop(); err != nil {
				return nil, err
			}
			if server, err = start(); err != nil {
				return nil, err
			}
			c = harness.NewClient(server.URL())
		}
		r, err := observe(ctx, proxy, op, c, delay)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", kind, op.name, err)
		}
		results = append(results, r)
	}
	return results, nil
}

// observe runs one operation, with delay added to each request to the store, and returns its cost.
func observe(ctx context.Context, proxy *harness.StoreProxy, op operation, c *harness.Client,
	delay time.Duration) (result, error) {
	for len(proxy.Take()) > 0 { // wait for the requests that the process makes by itself at its start
		time.Sleep(300 * time.Millisecond)
	}
	proxy.SetDelay(delay)
	begin := time.Now()
	err := op.do(ctx, c)
	wall := time.Since(begin)
	proxy.SetDelay(0)
	if err != nil {
		return result{}, err
	}
	requests, n := proxy.Take(), max(op.times, 1)
	return result{
		requests: (requests.Besides() + n - 1) / n, copies: requests.Copies(), chain: (requests.Chain() + n - 1) / n,
		wall: wall / time.Duration(n), all: requests,
	}, nil
}

// stop calls f. It returns err, or the error of f if err is nil.
func stop(err error, f func() error) error {
	if ferr := f(); err == nil {
		err = ferr
	}
	return err
}
