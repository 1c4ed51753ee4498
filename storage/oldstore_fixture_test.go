package storage_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// The tests of oldstore_test.go open a store that commit 836637d wrote. testdata/oldstore/README.md
// describes its files. The tests must pass in every later version.

// oldServed is what the old program says about the store.
type oldServed struct {
	Repositories []oldRepository
	Items        []oldItem
	Uploads      []oldUpload
	Subjects     []struct{ Repository, Digest, Content string }
	Secrets      map[string]string
}

type oldRepository struct {
	Name      string
	Listed    bool
	Tags      map[string]string
	Referrers map[string][]string
	History   []oldEvent
}

type oldEvent struct {
	ID, Change, By, Tag string
	Tags                []string
	Before, After       string
	Unconfirmed         bool
}

type oldItem struct {
	Label, Repository, Kind, Digest, MediaType string
	Size                                       int64
	Served                                     bool
}

type oldUpload struct {
	Label, Repository, Owner, ID, Key, Line string
	Size                                    int64
}

const (
	oldApp = "team/app"
	// oldAge is the age of all objects, longer than the default grace period.
	oldAge = 48 * time.Hour
	// oldUploadTTL spares the uploads except those that unpackOldStore makes older.
	oldUploadTTL = 30 * 24 * time.Hour
	oldHistory   = 100 * 365 * 24 * time.Hour
)

func readOldServed(t *testing.T) *oldServed {
	b, err := os.ReadFile("testdata/oldstore/served.json")
	require.NoError(t, err)
	var o oldServed
	require.NoError(t, json.Unmarshal(b, &o))
	return &o
}

// unpackOldStore writes a copy of the store and returns a driver on it. Every object is oldAge old.
// Records of uploads are older than oldUploadTTL, except those that the labels of want name.
func unpackOldStore(t *testing.T, o *oldServed, want ...string) storage.Driver {
	dir := t.TempDir()
	f, err := os.Open("testdata/oldstore/store.txt")
	require.NoError(t, err)
	defer f.Close()
	var young []string
	for _, u := range o.Uploads {
		if slices.Contains(want, u.Label) {
			young = append(young, u.Key)
		}
	}
	r := bufio.NewReader(f)
	for {
		header, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		path, content := readOldObject(t, header, r)
		modified := time.Now().Add(-oldAge)
		switch {
		case strings.HasPrefix(path, "c/"): // a delete of a repository spares blobs that came after it began
			modified = modified.Add(time.Hour)
		case bytes.HasPrefix(content, []byte(`{"state":"refused"`)): // goes after a minute, whatever the grace period
			modified = time.Now().Add(-time.Hour)
		case strings.HasPrefix(path, "u/") && !slices.Contains(young, path):
			modified = time.Now().Add(-2 * oldUploadTTL)
		}
		path = filepath.Join(dir, "objects", filepath.FromSlash(path))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, content, 0o600))
		require.NoError(t, os.Chtimes(path, modified, modified))
	}
	d, err := disk.New(dir, &disk.Options{NoSync: true})
	require.NoError(t, err)
	return d
}

// readOldObject reads the object after a line "-- FORM SIZE PATH".
func readOldObject(t *testing.T, header string, r *bufio.Reader) (path string, content []byte) {
	var form string
	var size int
	_, err := fmt.Sscanf(header, "-- %s %d %s\n", &form, &size, &path)
	require.NoError(t, err, header)
	if form == "text" {
		content = make([]byte, size)
		_, err = io.ReadFull(r, content)
		require.NoError(t, err)
	}
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	switch form {
	case "text":
		require.Equal(t, "\n", line, path)
	case "base64":
		content, err = base64.StdEncoding.DecodeString(strings.TrimSuffix(line, "\n"))
		require.NoError(t, err)
	case "repeat":
		content = repeatLine(line, size)
	}
	require.Len(t, content, size, path)
	return path, content
}

func repeatLine(line string, size int) []byte {
	return bytes.Repeat([]byte(line), size/len(line)+1)[:size]
}

func openOldStore(t *testing.T, d storage.Driver) *storage.Store {
	return newStore(t, d, &storage.Options{History: oldHistory, UploadTTL: oldUploadTTL})
}

// surveyOldStore returns what s says about the repositories and items of o, in the form of o. It
// reads the content of every item that is served.
func surveyOldStore(t *testing.T, s *storage.Store, o *oldServed) *oldServed {
	now := &oldServed{Items: slices.Clone(o.Items)}
	for i := range now.Items {
		now.Items[i].Served = readOldItem(t, s, &now.Items[i])
	}
	listed := collect(t, s.Repositories(t.Context(), nil))
	for _, r := range o.Repositories {
		n := oldRepository{
			Name: r.Name, Listed: slices.Contains(listed, r.Name), Tags: map[string]string{}, Referrers: map[string][]string{},
		}
		for tag, err := range s.Tags(t.Context(), r.Name, nil) {
			if err != nil {
				require.ErrorIs(t, err, registry.ErrNameUnknown)
				break
			}
			m, err := s.GetManifest(t.Context(), r.Name, byTag(tag))
			require.NoError(t, err, "%s:%s", r.Name, tag)
			n.Tags[tag] = string(m.Descriptor.Digest)
		}
		for _, subject := range oldSubjects(o, r.Name) {
			for _, d := range collect(t, s.Referrers(t.Context(), r.Name, digest.Digest(subject), nil)) {
				n.Referrers[subject] = append(n.Referrers[subject], string(d.Digest))
			}
		}
		n.History = oldHistoryOf(t, s, r.Name)
		now.Repositories = append(now.Repositories, n)
	}
	return now
}

func oldSubjects(o *oldServed, repo string) []string {
	var subjects []string
	for _, s := range o.Subjects {
		if s.Repository == repo {
			subjects = append(subjects, s.Digest)
		}
	}
	for _, it := range o.Items {
		if it.Repository == repo && it.Kind == "manifest" {
			subjects = append(subjects, it.Digest)
		}
	}
	return subjects
}

// readOldItem reads an item and reports whether it is in its repository.
func readOldItem(t *testing.T, s *storage.Store, it *oldItem) bool {
	d := digest.Digest(it.Digest)
	var content []byte
	if it.Kind == "blob" {
		b, err := readBlob(t.Context(), s, it.Repository, d)
		if err != nil {
			require.ErrorIs(t, err, registry.ErrBlobUnknown, it.Label)
			return false
		}
		content = b
	} else {
		m, err := s.GetManifest(t.Context(), it.Repository, byDigest(d))
		if err != nil {
			require.ErrorIs(t, err, registry.ErrManifestUnknown, it.Label)
			return false
		}
		require.Equal(t, it.MediaType, m.Descriptor.MediaType, it.Label)
		content = m.Content
	}
	require.Len(t, content, int(it.Size), it.Label)
	require.Equal(t, d, d.Algorithm().FromBytes(content), it.Label)
	return true
}

func oldHistoryOf(t *testing.T, s *storage.Store, repo string) []oldEvent {
	var events []oldEvent
	for e, err := range s.History(t.Context(), repo, nil) {
		if err != nil {
			require.ErrorIs(t, err, registry.ErrUnsupported)
			break
		}
		h := oldEvent{
			ID: e.ID, Change: string(e.Change), By: e.By, Tag: e.Tag, Tags: e.Tags, Unconfirmed: e.Unconfirmed,
		}
		if e.Before != nil {
			h.Before = string(e.Before.Digest)
		}
		if e.After != nil {
			h.After = string(e.After.Digest)
		}
		events = append(events, h)
	}
	return events
}

// without returns o as if the items that the labels name were not served any more.
func (o *oldServed) without(t *testing.T, labels ...string) *oldServed {
	n := &oldServed{Repositories: slices.Clone(o.Repositories), Items: slices.Clone(o.Items)}
	for _, label := range labels {
		i := slices.IndexFunc(n.Items, func(it oldItem) bool { return it.Label == label })
		require.GreaterOrEqual(t, i, 0, label)
		require.True(t, n.Items[i].Served, label)
		n.Items[i].Served = false
	}
	return n
}

// repository returns the repository of a name, to be changed.
func (o *oldServed) repository(name string) *oldRepository {
	i := slices.IndexFunc(o.Repositories, func(r oldRepository) bool { return r.Name == name })
	return &o.Repositories[i]
}

// requireSame compares two surveys item by item, for the sake of short messages.
func requireSame(t *testing.T, want, got *oldServed) {
	t.Helper()
	for i, it := range want.Items {
		require.Equal(t, it.Served, got.Items[i].Served, "%s: %s", it.Repository, it.Label)
	}
	for i, r := range want.Repositories {
		require.Equal(t, r, got.Repositories[i])
	}
}

func (o *oldServed) item(t *testing.T, label string) *oldItem {
	i := slices.IndexFunc(o.Items, func(it oldItem) bool { return it.Label == label })
	require.GreaterOrEqual(t, i, 0, label)
	return &o.Items[i]
}

func keysBelow(t *testing.T, d storage.Driver, prefix string) []string {
	var keys []string
	for _, info := range collect(t, d.List(t.Context(), prefix, nil)) {
		keys = append(keys, info.Key)
	}
	return keys
}

func readOldRecord(t *testing.T, d storage.Driver, key string) []byte {
	r, _, err := d.Open(t.Context(), key, nil)
	require.NoError(t, err)
	defer r.Close()
	record, err := io.ReadAll(r)
	require.NoError(t, err)
	return record
}
