package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/storage/disk"
	"github.com/registrykit/registry/storage/driver"
)

// startTime is the goal of a start in ms.
const startTime = 50

// starts starts the registry on a storage of a number of objects. A million take 5 GB of memory on
// tmpfs, for each side that takes part.
func starts(objects int) scenario {
	return scenario{
		setup: func(ctx context.Context, s *side) error {
			if s.name != oursName && s.name != baseName {
				return nil
			}
			return s.fill(ctx, objects)
		},
		rows: []row{{name: "start with " + number(float64(objects)) + " objects", only: []string{oursName, baseName},
			goals: []goal{{metric: p99Metric, most: startTime}},
			round: func(_ context.Context, s *side, _ int) (sample, error) {
				if err := s.server.Stop(); err != nil {
					return sample{}, err
				}
				begin := time.Now()
				if err := s.start(); err != nil {
					return sample{}, err
				}
				wall := time.Since(begin)
				cpu, err := harness.CPU(s.server.PID())
				return sample{ops: 1, cpu: cpu, wall: wall, latencies: []time.Duration{wall}}, err
			}}},
	}
}

// fill writes objects below the keys of blobs directly to the storage of a stopped server.
func (s *side) fill(ctx context.Context, objects int) error {
	if err := s.server.Stop(); err != nil {
		return err
	}
	d, err := disk.New(s.options.Storage, &disk.Options{NoSync: true})
	if err != nil {
		return err
	}
	err = atOnce(objects, func(n int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return put(ctx, d, n)
	})
	if err != nil {
		return err
	}
	return s.start()
}

// put writes object number n, which is a link of a blob in one of 1,000 repositories.
func put(ctx context.Context, d driver.Driver, n int) error {
	content := fmt.Appendf(nil, `{"size":%d}`, n)
	key := fmt.Sprintf("r/start-%d/b/%s", n%1000, objectkey.DigestPath(digest.FromBytes(content)))
	_, err := d.Put(ctx, key, bytes.NewReader(content), &driver.PutOptions{Size: int64(len(content))})
	return err
}
