package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/s3blob"

	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/gocloud"
	"github.com/registrykit/registry/storage/gocloud/s3"
	"github.com/registrykit/registry/storage/memory"
)

// open returns an empty storage and a function that stops it.
func open(ctx context.Context, kind string) (driver.Driver, func(), error) {
	if kind == "mem" {
		return memory.New(nil), func() {}, nil
	}
	dir, err := os.MkdirTemp("", "collectcost-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() { os.RemoveAll(dir) }
	switch kind {
	case "disk":
		d, err := disk.New(dir, nil)
		return d, remove, err
	case "s3":
		store, err := harness.StartMinIO(dir)
		if err != nil {
			return nil, nil, err
		}
		stop := func() { _ = store.Stop(); remove() }
		for _, e := range store.Env() {
			key, value, _ := strings.Cut(e, "=")
			if err := os.Setenv(key, value); err != nil {
				return nil, stop, err
			}
		}
		bucket, err := blob.OpenBucket(ctx, store.URL(""))
		if err != nil {
			return nil, stop, err
		}
		d, err := gocloud.New(ctx, bucket, &gocloud.Options{Providers: []gocloud.Provider{s3.Provider(nil)}})
		return d, func() { _ = bucket.Close(); stop() }, err
	}
	return nil, nil, fmt.Errorf("-storage %s: mem, disk or s3", kind)
}
