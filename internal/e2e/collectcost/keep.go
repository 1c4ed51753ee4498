package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/scrub"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
)

// counted is a driver that counts requests. A list counts as one request for each thousand elements.
type counted struct {
	driver.Driver
	n atomic.Int64
}

func (c *counted) Open(ctx context.Context, key string, o *driver.OpenOptions) (io.ReadCloser, driver.Info, error) {
	c.n.Add(1)
	return c.Driver.Open(ctx, key, o)
}

func (c *counted) Stat(ctx context.Context, key string) (driver.Info, error) {
	c.n.Add(1)
	return c.Driver.Stat(ctx, key)
}

func (c *counted) Put(ctx context.Context, key string, body io.Reader, o *driver.PutOptions) (driver.Info, error) {
	c.n.Add(1)
	return c.Driver.Put(ctx, key, body, o)
}

func (c *counted) Delete(ctx context.Context, key, version string) error {
	c.n.Add(1)
	return c.Driver.Delete(ctx, key, version)
}

func (c *counted) List(ctx context.Context, prefix string, o *driver.ListOptions) iter.Seq2[driver.Info, error] {
	return func(yield func(driver.Info, error) bool) {
		n := 0
		for info, err := range c.Driver.List(ctx, prefix, o) {
			if n%1000 == 0 {
				c.n.Add(1)
			}
			n++
			if !yield(info, err) {
				return
			}
		}
		if n == 0 {
			c.n.Add(1)
		}
	}
}

// rules remove a tenth of the tags of each repository.
const rules = "rules:\n- {name: nine of ten, keep: {newest: 90}}\n"

// housekeeping measures retention, usage and scrubs.
func housekeeping(ctx context.Context, d driver.Driver) error {
	c := &counted{Driver: d}
	store, err := storage.New(ctx, c, &storage.Options{Grace: -1, History: time.Hour})
	if err != nil {
		return err
	}
	meter, err := usage.New(store, c, nil)
	if err != nil {
		return err
	}
	parsed, err := retention.Parse("rules.yaml", []byte(rules))
	if err != nil {
		return err
	}
	planner, err := retention.New(store, c, parsed, nil)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "plan-")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var whole *scrub.Report
	fmt.Println("| | time | CPU time | requests | memory | |\n|---|---:|---:|---:|---:|---|")
	for _, step := range []struct {
		name string
		do   func() (any, error)
	}{
		{"usage: first count", func() (any, error) { r, err := meter.Count(ctx, nil); return r.Figures, err }},
		{"usage: count again", func() (any, error) { r, err := meter.Count(ctx, nil); return r.Figures.Blobs, err }},
		{"usage: a question", func() (any, error) { r, err := meter.Report(ctx, "repo-00000"); return r.Figures.Tags, err }},
		{"scrub", func() (_ any, err error) {
			if whole, err = scrub.Run(ctx, store, c, nil); err != nil {
				return nil, err
			}
			return fmt.Sprint(whole.Damaged, " damaged of ", whole.Content), nil
		}},
		{"retention: plan", func() (any, error) { return planner.Plan(ctx, file) }},
		{"retention: apply", func() (any, error) {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
			return planner.Apply(ctx, store, file, nil)
		}},
		{"usage: count after that", func() (any, error) { r, err := meter.Count(ctx, nil); return r.Figures.Tags, err }},
	} {
		peak := watch() // collects the garbage first, which is not measured
		before, began, cpu := c.n.Load(), time.Now(), processorTime()
		result, err := step.do()
		took, used := time.Since(began), processorTime()-cpu
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		fmt.Printf("| %s | %s | %s | %d | %d MiB | %.300s |\n", step.name, took.Round(time.Millisecond),
			used.Round(time.Millisecond), c.n.Load()-before,
			peak()>>20, bytes.TrimSpace(fmt.Appendf(nil, "%+v", result)))
	}
	return nil
}

// processorTime returns the processor time that this process has used, without a server of the storage.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
