package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/driver"
)

// resent is a driver that loses the response of one write and repeats that write, as clients of
// network storage do. Before the repetition, it lets other clients work.
type resent struct {
	driver.Driver
	which    func(op, key string) bool
	between  func()
	response error // the response to a repeated delete; nil means that of the driver

	mu   sync.Mutex
	done bool
}

// again reports whether a write is to be repeated.
func (r *resent) again(op, key string, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || r.done || !r.which(op, key) {
		return false
	}
	r.done = true
	if r.between != nil {
		r.between()
	}
	return true
}

func (r *resent) Put(ctx context.Context, key string, body io.Reader, opts *driver.PutOptions) (driver.Info, error) {
	var b []byte
	if body != nil {
		var err error
		if b, err = io.ReadAll(body); err != nil {
			return driver.Info{}, err
		}
	}
	info, err := r.Driver.Put(ctx, key, bytes.NewReader(b), opts)
	if r.again("Put", key, err) {
		return r.Driver.Put(ctx, key, bytes.NewReader(b), opts)
	}
	return info, err
}

func (r *resent) Delete(ctx context.Context, key, ifVersion string) error {
	err := r.Driver.Delete(ctx, key, ifVersion)
	if r.again("Delete", key, err) {
		if err = r.Driver.Delete(ctx, key, ifVersion); err != nil && ifVersion != "" && r.response != nil {
			err = r.response
		}
	}
	return err
}

// TestUploadContinuedAfterLostResponse loses the response of the write that records a part of an
// upload. Before the write is repeated, the client asks another replica for the offset and
// continues there. What the other replica has received stays.
func TestUploadContinuedAfterLostResponse(t *testing.T) {
	const part = 3 * storage.InlineSize
	content := random(1, 3*part)
	for received := range 2 { // the number of parts before
		for name, goOn := range map[string]func(u registry.Upload) (whole []byte){
			"commit": func(u registry.Upload) []byte {
				content := content[:u.Size()]
				_, err := u.Commit(t.Context(), digest.FromBytes(content), nil)
				require.NoError(t, err)
				return content
			},
			"append": func(u registry.Upload) []byte {
				_, err := u.Append(t.Context(), u.Size(), part, bytes.NewReader(content[u.Size():][:part]))
				require.NoError(t, err)
				return content[:u.Size()]
			},
			"append and commit": func(u registry.Upload) []byte {
				content := content[:u.Size()+part]
				_, err := u.Append(t.Context(), u.Size(), part, bytes.NewReader(content[u.Size():]))
				require.NoError(t, err)
				_, err = u.Commit(t.Context(), digest.FromBytes(content), nil)
				require.NoError(t, err)
				return content
			},
			"commit with another algorithm": func(u registry.Upload) []byte {
				content := content[:u.Size()]
				_, err := u.Commit(t.Context(), digest.SHA512.FromBytes(content), nil)
				require.NoError(t, err)
				return content
			},
		} {
			t.Run(fmt.Sprint(name, " after ", received), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					driver, parts := newMemory(t), 0
					r := &resent{Driver: driver, which: func(op, key string) bool {
						if op == "Put" && strings.HasPrefix(key, "u/") {
							parts++
						}
						return parts > received
					}}
					one, two := newStore(t, r, nil), newStore(t, driver, nil)
					u, err := one.CreateUpload(t.Context(), "r", nil)
					require.NoError(t, err)
					var whole []byte
					r.between = func() {
						u, err := two.ResumeUpload(t.Context(), "r", u.ID(), nil)
						require.NoError(t, err)
						require.EqualValues(t, part*(received+1), u.Size())
						whole = goOn(u)
					}
					for n := range received + 1 {
						_, err = u.Append(t.Context(), int64(part*n), part, bytes.NewReader(content[part*n:][:part]))
					}
					if err == nil {
						require.Zero(t, received) // as before the first part, there is no record
					}
					require.NotEmpty(t, whole)
					if name == "append" {
						u, err := two.ResumeUpload(t.Context(), "r", u.ID(), nil)
						require.NoError(t, err)
						_, err = u.Commit(t.Context(), digest.FromBytes(whole), nil)
						require.NoError(t, err)
					}
					time.Sleep(storage.DefaultUploadTTL)
					_, err = two.ExpireUploads(t.Context())
					require.NoError(t, err)
					d := digest.FromBytes(whole)
					if strings.Contains(name, "algorithm") {
						d = digest.SHA512.FromBytes(whole)
					}
					got, err := readBlob(t.Context(), two, "r", d)
					require.NoError(t, err)
					require.True(t, bytes.Equal(whole, got))
				})
			})
		}
	}
}

// TestCommitAfterLostResponse is TestUploadContinuedAfterLostResponse for an upload whose
// last bytes come with the commit. The other replica commits it before the write is repeated, so the
// client may learn that the upload has ended.
func TestCommitAfterLostResponse(t *testing.T) {
	const part = 3 * storage.InlineSize
	content := random(1, 2*part)
	d := digest.FromBytes(content)
	driver, written := newMemory(t), 0
	r := &resent{Driver: driver, which: func(op, key string) bool {
		if op == "Put" && strings.HasPrefix(key, "u/") {
			written++
		}
		return written == 2
	}}
	one, two := newStore(t, r, nil), newStore(t, driver, nil)
	u, err := one.CreateUpload(t.Context(), "r", nil)
	require.NoError(t, err)
	_, err = u.Append(t.Context(), 0, part, bytes.NewReader(content[:part]))
	require.NoError(t, err)
	r.between = func() {
		u, err := two.ResumeUpload(t.Context(), "r", u.ID(), nil)
		require.NoError(t, err)
		_, err = u.Commit(t.Context(), d, nil)
		require.NoError(t, err)
	}
	_, err = u.Commit(t.Context(), d, &registry.Chunk{Offset: part, Length: part, Body: bytes.NewReader(content[part:])})
	if err != nil {
		require.ErrorIs(t, err, registry.ErrUploadUnknown)
	}
	require.True(t, r.done)
	got, err := readBlob(t.Context(), two, "r", d)
	require.NoError(t, err)
	require.Equal(t, content, got)
}

// TestDeleteAfterLostResponse repeats each write of a delete in turn, because its response was
// lost. What was deleted can be restored.
func TestDeleteAfterLostResponse(t *testing.T) {
	for name, ref := range map[string]func(d digest.Digest) reference.Ref{
		"tag":        func(digest.Digest) reference.Ref { return byTag("v1") },
		"manifest":   byDigest,
		"repository": func(digest.Digest) reference.Ref { return reference.Ref{} },
	} {
		for _, tag := range [][]string{{}, {"v1"}, {"v1", "v2"}} {
			if name == "tag" && len(tag) == 0 {
				continue
			}
			for _, response := range []error{driver.ErrNotExist, driver.ErrChanged} {
				t.Run(fmt.Sprint(name, " ", len(tag), " ", response), func(t *testing.T) {
					for n := 1; ; n++ {
						driver, writes := newMemory(t), 0
						s := newStore(t, driver, withHistory)
						content := image("one", nil, pushBlob(t, s, "r", []byte("{}")))
						d := putImage(t, s, "r", content, tags(tag...)).Digest
						which := func(string, string) bool { writes++; return writes == n }
						r := &resent{Driver: driver, response: response, which: which}
						one := newStore(t, r, withHistory)
						ref := ref(d)
						if ref == (reference.Ref{}) {
							_ = one.DeleteRepository(t.Context(), "r", nil)
						} else {
							_ = one.DeleteManifest(t.Context(), "r", ref, nil)
						}
						_, err := s.Restore(t.Context(), "r", ref, nil)
						require.NoError(t, err, n)
						require.Equal(t, tag, collect(t, s.Tags(t.Context(), "r", nil)), n)
						got, err := s.GetManifest(t.Context(), "r", byDigest(d))
						require.NoError(t, err, n)
						require.Equal(t, content, got.Content, n)
						if !r.done {
							require.Greater(t, n, 3)
							return
						}
					}
				})
			}
		}
	}
}

// TestTagMoveAfterLostResponse moves a tag on before the write that moved it is repeated. The
// history still has the manifest that the tag pointed at first.
func TestTagMoveAfterLostResponse(t *testing.T) {
	driver := newMemory(t)
	s := newStore(t, driver, withHistory)
	m := newMovingTag(t, s)
	moves := 0
	r := &resent{Driver: driver, which: func(op, key string) bool {
		if op == "Put" && key == "r/r/t/t" {
			moves++
		}
		return moves == 2
	}}
	one := newStore(t, r, withHistory)
	r.between = func() { putImage(t, s, "r", image("on", nil, m.blobs[m.from]...), tags("t")) }
	require.NoError(t, m.move(t.Context(), one))
	require.True(t, r.done)
	require.True(t, slices.ContainsFunc(collect(t, s.History(t.Context(), "r", nil)), func(e registry.HistoryEntry) bool {
		return e.Before != nil && e.Before.Digest == m.from
	}))
	collected(t, s, untagged)
	_, err := s.Restore(t.Context(), "r", byTag("t"), &registry.RestoreOptions{To: m.from})
	require.NoError(t, err)
}

// TestUploadRecordRewrittenAfterCommit loses the response of the write of the first record of an
// upload. Another replica is asked for the offset and commits the upload. Then the write is
// repeated. Whatever the client does with the upload afterwards, the blob stays.
func TestUploadRecordRewrittenAfterCommit(t *testing.T) {
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
		// The other replica commits with the id that the client has, after a request for the
		// offset, or after another part.
		for _, first := range []string{"", "status ", "append "} {
			t.Run(fmt.Sprint(first, "commit, then ", name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					driver := newMemory(t)
					r := &resent{Driver: driver, which: func(op, key string) bool {
						return op == "Put" &&
							strings.HasPrefix(key, "u/")
					}}
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
						// Another repository has data of its own, and is found first.
						pushBlob(t, newStore(t, unindexed{driver}, nil), "a", content[:part])
						_, err = driver.Put(t.Context(), "b/sha256/"+digest.FromBytes(
							content[:part]).Encoded()[:2]+"/"+digest.FromBytes(content[:part]).Encoded()+"/a", nil, nil)
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

// unindexed is a driver whose lists hide the index of shared blobs.
type unindexed struct{ driver.Driver }

func (d unindexed) List(ctx context.Context, prefix string, opts *driver.ListOptions) iter.Seq2[driver.Info, error] {
	if strings.HasPrefix(prefix, "b/") {
		return func(func(driver.Info, error) bool) {}
	}
	return d.Driver.List(ctx, prefix, opts)
}
