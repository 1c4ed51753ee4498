package usage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
	"github.com/registrykit/registry/usage"
)

// BenchmarkCount measures counts and questions on the memory driver: the first count, the next one, and one
// after a push. REGISTRYKIT_USAGE_BLOBS is the number of blobs, 20,000 by default:
//
//	REGISTRYKIT_USAGE_BLOBS=1000000 go test ./usage -run '^$' -bench Count -benchtime 1x
//
// There are 900 blobs in each repository that it has alone, and 100 that it shares with nine others.
func BenchmarkCount(b *testing.B) {
	blobs := 20_000
	if n, err := strconv.Atoi(os.Getenv("REGISTRYKIT_USAGE_BLOBS")); err == nil {
		blobs = n
	}
	d := memory.New(nil)
	fill(b, d, blobs)
	m, f := newCounted(b, d)
	var logical int64
	count := func(b *testing.B) {
		for b.Loop() {
			calls, before, most, looks := f.Count(""), live(), int64(0), int64(1)
			start, looking := time.Now(), time.Duration(0)
			var p usage.Progress
			r, err := m.Count(b.Context(), func(now usage.Progress) {
				if p = now; p.Repositories > p.Total*looks/8-2 {
					at := time.Now()
					most = max(most, live()-before)
					looks++
					looking += time.Since(at)
				}
			})
			require.NoError(b, err)
			b.ReportMetric((time.Since(start) - looking).Seconds(), "s")
			b.ReportMetric(float64(p.Requests), "requests/op")
			b.ReportMetric(float64(f.Count("")-calls), "calls/op")
			b.ReportMetric(float64(most>>20), "MiB-peak")
			b.ReportMetric(float64(p.Blobs), "links")
			b.ReportMetric(float64(r.Figures.Blobs), "blobs")
			logical = r.Figures.Logical
		}
	}
	b.Run("first", count)
	b.Run("next", count)
	push(b, newStore(b, d, nil), "team000/app000", "new", 1, 100)
	b.Run("after a push", count)
	for name, ask := range map[string]func() error{
		"report": func() error {
			r, err := m.Report(b.Context(), "team000/app007")
			require.Less(b, r.Figures.Logical, logical)
			return err
		},
		"report of all": func() error { _, err := m.Report(b.Context(), ""); return err },
		"largest":       func() error { _, err := m.Largest(b.Context(), "", 10); return err },
		"children": func() error {
			n := 0
			for _, err := range m.Children(b.Context(), "team000", "") {
				if n++; err != nil || n == 100 {
					return err
				}
			}
			return nil
		},
		"history": func() error {
			for _, err := range m.History(b.Context(), "team000") {
				return err
			}
			return nil
		},
	} {
		b.Run(name, func(b *testing.B) {
			before, n := f.Count(""), 0
			for b.Loop() {
				require.NoError(b, ask())
				n++
			}
			requests := float64(f.Count("")-before) / float64(n)
			b.ReportMetric(requests, "requests/op")
			require.LessOrEqual(b, requests, 3.0)
		})
	}
	b.Run("contents", func(b *testing.B) {
		for b.Loop() {
			before := f.Count("")
			_, err := m.Contents(b.Context(), "team000/app003")
			require.NoError(b, err)
			b.ReportMetric(float64(f.Count("")-before), "requests/op")
		}
	})
}

// fill writes what a Store would have written for that many blobs of a mebibyte, with data of no bytes.
func fill(b *testing.B, d driver.Driver, blobs int) {
	const own, shared, perImage = 900, 100, 10
	for repo := range blobs / own {
		name := fmt.Sprintf("team%03d.~app%03d", repo/100, repo%100)
		for i := range own + shared {
			n := repo*own + i
			if i >= own {
				n = 1<<40 + repo/10*shared + i
			}
			fillBlob(b, d, name, uint64(n))
			if i%perImage == 0 {
				fillImage(b, d, name, n, fmt.Sprint("v", i/perImage))
			}
		}
	}
}

func fillBlob(b *testing.B, d driver.Driver, repo string, n uint64) {
	const size = 1 << 20
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], n)
	sum := sha256.Sum256(seed[:]) // the digest need not match the content, which nobody reads
	hash := hex.EncodeToString(sum[:])
	name := hash[:32] + "." + hash[32:48]
	put(b, d, "r/"+repo+"/b/sha256/"+hash, fmt.Appendf(nil,
		`{"state":"live","nonce":%q,"size":%d,"segments":[{"name":%q,"size":%d}],"sum":0}`+"\n", name, size, name, size))
	put(b, d, "data/"+name[:2]+"/"+name, nil)
}

func fillImage(b *testing.B, d driver.Driver, repo string, n int, tag string) {
	content := fmt.Appendf(nil, `{"n":%q}`, strconv.Itoa(n)+repo)
	dgst := digest.FromBytes(content)
	head := fmt.Appendf(nil, `{"state":"ok","nonce":%q,"mediaType":"application/json","size":%d,"sum":%d}`+"\n", tag,
		len(content), crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli)))
	put(b, d, "r/"+repo+"/m/sha256/"+dgst.Encoded(), append(head, content...))
	put(b, d, "r/"+repo+"/t/"+tag, fmt.Appendf(nil, `{"nonce":%q,"descriptor":{"digest":%q}}`+"\n", tag, dgst))
	put(b, d, "c/"+repo, fmt.Appendf(nil, `{"nonce":%q}`+"\n", tag))
}

func put(b *testing.B, d driver.Driver, key string, content []byte) {
	if _, err := d.Put(b.Context(), key, bytes.NewReader(content), nil); err != nil {
		b.Fatal(err)
	}
}

// live returns the size of the heap that is in use, in bytes. It takes about a second with a million blobs.
func live() int64 {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
