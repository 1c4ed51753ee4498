package quota_test

import (
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// TestRequests states how many requests to the storage a push makes because of its quota.
func TestRequests(t *testing.T) {
	for name, row := range map[string]struct {
		max                                      quota.Amounts
		blob, again, mount, manifest, retag, tag int
	}{
		"bytes": {max: quota.Amounts{Bytes: 1 << 40}, blob: 2, again: 1, mount: 2, manifest: 2, retag: 1, tag: 1},
		// The mount goes to a new repository: two lists show that.
		"everything": {max: everything, blob: 2, again: 1, mount: 4, manifest: 3, retag: 1, tag: 2},
	} {
		t.Run(name, func(t *testing.T) {
			d := drivertest.NewFaulty(memory.New(nil), nil)
			s := newStore(t, d)
			q := quotasAround(t, s, s, d, nil, quota.Limit{Prefix: "team", Max: row.max})
			n := 0
			// extra returns how many requests f makes through the quota, beyond what it makes without.
			extra := func(f func(b registry.Backend, repo string)) int {
				n++
				for _, repo := range []string{"team/app", "plain/app"} { // nothing is written for the first time
					_, err := pushBlob(t.Context(), q, repo, random(n, 100))
					require.NoError(t, err)
				}
				before := d.Count("")
				f(q, "team/app")
				with := d.Count("") - before
				before = d.Count("")
				f(q, "plain/app")
				return with - (d.Count("") - before)
			}
			push := func(content []byte) func(registry.Backend, string) {
				return func(b registry.Backend, repo string) {
					_, err := pushBlob(t.Context(), b, repo, append(content, repo...))
					require.NoError(t, err)
				}
			}
			require.Equal(t, row.blob, extra(push([]byte("a"))), "a new blob")
			require.Equal(t, row.again, extra(push([]byte("a"))), "a blob that this process knows")
			img := registrytest.RandomImage(1, 1, 10)
			for _, repo := range []string{"team/app", "plain/app", "team/two", "plain/two"} {
				for _, b := range img.Blobs {
					_, err := pushBlob(t.Context(), q, repo, b)
					require.NoError(t, err)
				}
			}
			require.Equal(t, row.mount, extra(func(b registry.Backend, repo string) {
				_, err := b.MountBlob(t.Context(), repo+"/three", digest.FromBytes(random(1, 100)),
					&registry.MountOptions{From: repo})
				require.NoError(t, err)
			}), "a mount")
			put := func(tag string) func(registry.Backend, string) {
				return func(b registry.Backend, repo string) {
					_, err := b.PutManifest(t.Context(), repo, img.Descriptor.MediaType, img.Manifest, &registry.PutOptions{
						Tags: []registry.TagPut{{Name: tag}},
					})
					require.NoError(t, err)
				}
			}
			require.Equal(t, row.manifest, extra(put("v1")), "a manifest")
			require.Equal(t, row.retag, extra(put("v1")), "the same again")
			require.Equal(t, row.tag, extra(put("v2")), "a further tag")
		})
	}
}

// BenchmarkPush pushes blobs of 1 KiB, with and without a quota, one after the other and many at once on
// one, two and four replicas, and reports the requests to the storage for each.
func BenchmarkPush(b *testing.B) {
	for _, row := range []struct {
		name              string
		repo              string
		replicas, workers int
	}{
		{"none", "plain/app", 1, 1}, {"quota", "team/app", 1, 1}, {"none/16", "plain/app", 1, 16},
		{"quota/16", "team/app", 1, 16}, {"quota/2x16", "team/app", 2, 16}, {"quota/4x16", "team/app", 4, 16},
	} {
		b.Run(row.name, func(b *testing.B) {
			d := drivertest.NewFaulty(memory.New(nil), nil)
			var quotas []*quota.Quotas
			for range row.replicas {
				quotas = append(quotas, newQuotas(b, d, nil, quota.Limit{Prefix: "team", Max: everything}))
			}
			_, err := pushBlob(b.Context(), quotas[0], row.repo, []byte("first"))
			require.NoError(b, err)
			before, next := d.Count(""), make(chan int)
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range row.replicas * row.workers {
				all.Go(func() {
					for n := range next {
						if _, err := pushBlob(b.Context(), quotas[i%row.replicas], row.repo, random(n, 1024)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := range b.N {
				next <- n
			}
			close(next)
			all.Wait()
			b.ReportMetric(float64(d.Count("")-before)/float64(b.N), "requests/op")
		})
	}
}
