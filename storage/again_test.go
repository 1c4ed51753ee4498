package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
)

// TestUploadIsNotThereAgain: the first record of an upload is written, and its answer lost. Another replica is asked how far it has come, and commits it. Then
// the write is made again. Whatever its client does with the upload after that, the blob stays.
func TestUploadIsNotThereAgain(t *testing.T) {
	const part = 3 * storage.InlineSize
	content := random(1, 3*part)
	add := func(t *testing.T, u registry.Upload, parts ...int64) {
		for _, i := range parts {
			_, _ = u.Append(t.Context(), part*i, part, bytes.NewReader(content[part*i:][:part]))
		}
	}
	for name, end := range map[string]func(t *testing.T, u registry.Upload){
		"cancel": func(t *testing.T, u registry.Upload) { _ = u.Cancel(t.Context()) },
		"commit with a wrong digest": func(t *testing.T, u registry.Upload) {
			_, err := u.Commit(t.Context(), digest.FromString("other"), nil)
			require.Error(t, err)
		},
		"append": func(t *testing.T, u registry.Upload) { add(t, u, 1, 2) },
		"append and commit": func(t *testing.T, u registry.Upload) {
			add(t, u, 1, 2)
			_, _ = u.Commit(t.Context(), digest.FromBytes(content), nil)
		},
		"append and cancel": func(t *testing.T, u registry.Upload) {
			add(t, u, 1)
			_ = u.Cancel(t.Context())
		},
		"append and expire": func(t *testing.T, u registry.Upload) { add(t, u, 1) },
		"commit": func(t *testing.T, u registry.Upload) {
			_, _ = u.Commit(t.Context(), digest.FromBytes(content[:part]), nil)
		},
		"commit with another algorithm": func(t *testing.T, u registry.Upload) {
			_, _ = u.Commit(t.Context(), digest.SHA512.FromBytes(content[:part]), nil)
		},
	} {
		// What the other replica does: commit at once, with what it has been told, or after another part.
		for _, first := range []string{"", "status ", "append "} {
			t.Run(fmt.Sprint(first, "commit, then ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					driver := newMemory(t)
					r := &resent{Driver: driver, which: func(op, key string) bool { return op == "Put" && strings.HasPrefix(key, "u/") }}
					one, two, three := newStore(t, r, nil), newStore(t, driver, nil), newStore(t, driver, nil)
					u, err := one.CreateUpload(t.Context(), "r", nil)
					require.NoError(t, err)
					id := u.ID()
					committed := content[:part]
					r.between = func() {
						v, err := two.ResumeUpload(t.Context(), "r", id, nil)
						require.NoError(t, err)
						if first == "append " {
							add(t, v, 1)
							committed = content[:2*part]
						}
						if first != "" {
							v, err = three.ResumeUpload(t.Context(), "r", v.ID(), nil)
							require.NoError(t, err)
						}
						pushed, err := v.Commit(t.Context(), digest.FromBytes(committed), nil)
						require.NoError(t, err)
						putImage(t, two, "r", image("r", nil, pushed), tags("v1"))
						// Another repository has bytes of its own, and is found first.
						pushBlob(t, newStore(t, unindexed{driver}, nil), "a", content[:part])
						_, err = driver.Put(t.Context(), "b/sha256/"+digest.FromBytes(content[:part]).Encoded()[:2]+"/"+digest.FromBytes(content[:part]).Encoded()+"/a", nil, nil)
						require.NoError(t, err)
					}
					_, _ = u.Append(t.Context(), 0, part, bytes.NewReader(content[:part]))
					require.True(t, r.done)
					for _, s := range []*storage.Store{one, three} {
						if v, err := s.ResumeUpload(t.Context(), "r", id, nil); err == nil {
							end(t, v)
						}
					}
					end(t, u)
					check := func() {
						got, err := readBlob(t.Context(), two, "r", digest.FromBytes(committed))
						require.NoError(t, err)
						require.True(t, bytes.Equal(committed, got))
					}
					check()
					for range 2 {
						time.Sleep(storage.DefaultUploadTTL)
						collected(t, two, noGrace)
						check()
					}
					require.Empty(t, keys(t, driver, "u/"))
					require.Len(t, keys(t, driver, "data/"), len(committed)/part)
				})
			})
		}
	}
}

// unindexed is a driver that finds no blobs to share.
type unindexed struct{ storage.Driver }

func (d unindexed) List(ctx context.Context, prefix string, opts *storage.ListOptions) iter.Seq2[storage.Info, error] {
	if strings.HasPrefix(prefix, "b/") {
		return func(func(storage.Info, error) bool) {}
	}
	return d.Driver.List(ctx, prefix, opts)
}
