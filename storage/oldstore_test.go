package storage_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage"
)

func TestOldStoreOpenedServesEverything(t *testing.T) {
	o := readOldServed(t)
	s := openOldStore(t, unpackOldStore(t, o))
	requireSame(t, o, surveyOldStore(t, s, o))
	for name, want := range o.Secrets {
		secret, err := s.SharedSecret(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, want, hex.EncodeToString(secret))
	}

	// A filtered list of referrers that have no hints.
	v3 := o.repository(oldApp).Tags["v3"]
	require.Len(t, o.repository(oldApp).Referrers[v3], 3)
	sbom := collect(t, s.Referrers(t.Context(), oldApp, digest.Digest(v3),
		&registry.ReferrersOptions{ArtifactTypes: []string{"application/x-sbom"}}))
	require.Len(t, sbom, 1)
	require.Equal(t, "sbom", sbom[0].Annotations["text"])
}

func TestOldStoreUploadsContinueByTheirOldIDs(t *testing.T) {
	o := readOldServed(t)
	s := openOldStore(t, unpackOldStore(t, o, "in the record", "in a data object", "committing"))
	for _, u := range o.Uploads {
		t.Run(u.Label, func(t *testing.T) {
			resume := &registry.ResumeOptions{Owner: u.Owner}
			up, err := s.ResumeUpload(t.Context(), u.Repository, u.ID, resume)
			if u.Label == "cancelled" {
				require.ErrorIs(t, err, registry.ErrUploadUnknown)
				return
			}
			require.NoError(t, err)
			require.Equal(t, u.Size, up.Size())
			_, err = s.ResumeUpload(t.Context(), u.Repository, u.ID, &registry.ResumeOptions{Owner: "another"})
			require.ErrorIs(t, err, registry.ErrUploadUnknown)

			content := repeatLine(u.Line, int(u.Size))
			if u.Label != "committing" { // nothing is added to one that was claimed
				rest := []byte("the rest\n")
				_, err = up.Append(t.Context(), u.Size, int64(len(rest)), bytes.NewReader(rest))
				require.NoError(t, err)
				content = append(content, rest...)
			}
			d := digest.FromBytes(content)
			_, err = up.Commit(t.Context(), d, nil)
			require.NoError(t, err)
			got, err := readBlob(t.Context(), s, u.Repository, d)
			require.NoError(t, err)
			require.Equal(t, content, got)
			_, err = s.ResumeUpload(t.Context(), u.Repository, u.ID, resume)
			require.ErrorIs(t, err, registry.ErrUploadUnknown)
		})
	}
}

func TestOldStoreExpiredUploadDropsItsBytes(t *testing.T) {
	o := readOldServed(t)
	d := unpackOldStore(t, o, "in the record")
	s := openOldStore(t, d)
	_, err := s.ExpireUploads(t.Context())
	require.NoError(t, err)
	require.Len(t, keysBelow(t, d, "u/"), 1)
	i := slices.IndexFunc(o.Uploads, func(u oldUpload) bool { return u.Label == "expired in two requests" })
	id := filepath.Base(o.Uploads[i].Key)
	for _, key := range keysBelow(t, d, "data/") {
		require.NotContains(t, key, id)
	}
}

func TestOldStoreInterruptedOperationsCanBeRepeated(t *testing.T) {
	o := readOldServed(t)
	d := unpackOldStore(t, o)
	s := openOldStore(t, d)

	// A push that was killed before its manifest was visible, and one that was refused, as the layer
	// was missing.
	pushBlob(t, s, oldApp, []byte("small blob missing layer\n"))
	for label, tag := range map[string]string{"pending image": "pending", "refused image": "refused"} {
		record := readOldRecord(t, d, "r/team.~app/m/"+strings.Replace(o.item(t, label).Digest, ":", "/", 1))
		_, content, _ := bytes.Cut(record, []byte("\n"))
		desc := putImage(t, s, oldApp, content, tags(tag))
		require.Equal(t, o.item(t, label).Digest, string(desc.Digest))
	}

	// A push that was killed between the two writes of a tag leaves its manifest, and the tag is
	// where it was. Others can move the tag.
	v4, err := s.GetManifest(t.Context(), oldApp, byDigest(digest.Digest(o.item(t, "image v4").Digest)))
	require.NoError(t, err)
	err = s.DeleteManifest(t.Context(), oldApp, byDigest(v4.Descriptor.Digest),
		&registry.DeleteOptions{Keep: func(tag string) bool { return tag == "latest" }})
	require.ErrorIs(t, err, registry.ErrDenied, "the pending move of a protected tag protects the manifest")
	putImage(t, s, oldApp, v4.Content, tags("latest"))
	latest, err := s.StatManifest(t.Context(), oldApp, byTag("latest"), nil)
	require.NoError(t, err)
	require.Equal(t, v4.Descriptor.Digest, latest.Digest)

	// Deletes that were killed.
	half := digest.Digest(o.item(t, "half deleted image").Digest)
	require.NoError(t, s.DeleteManifest(t.Context(), oldApp, byDigest(half), nil))
	_, err = s.StatManifest(t.Context(), oldApp, byTag("half"), nil)
	require.ErrorIs(t, err, registry.ErrManifestUnknown)
	require.NoError(t, s.DeleteBlob(t.Context(), oldApp, digest.Digest(o.item(t, "half deleted blob").Digest), nil))
	require.NoError(t, s.DeleteRepository(t.Context(), "team/half", nil))

	// The delete that had removed the tag and the one that goes on with it count as one.
	untagged := digest.Digest(o.item(t, "half deleted image without its tag").Digest)
	require.NoError(t, s.DeleteManifest(t.Context(), oldApp, byDigest(untagged), nil))
	_, err = s.Restore(t.Context(), oldApp, byDigest(untagged), nil)
	require.NoError(t, err)
	requireWhole(t, s, oldApp, byTag("half-gone"))

	// A blob whose link was condemned is pushed and named again.
	condemned := pushBlob(t, s, "a/condemned", repeatLine("large blob condemned\n", 17<<10))
	require.Equal(t, o.item(t, "condemned").Digest, string(condemned.Digest))
	putImage(t, s, "a/condemned", image("names it", nil, condemned), tags("v1"))

	// The subjects of referrers that came without them, one of which a collector awaited.
	for _, subject := range o.Subjects {
		desc := putImage(t, s, subject.Repository, []byte(subject.Content), nil)
		require.Equal(t, subject.Digest, string(desc.Digest))
		require.Len(t, collect(t, s.Referrers(t.Context(), subject.Repository, desc.Digest, nil)), 1)
	}
	marked := o.item(t, "marked referrer")
	record := readOldRecord(t, d, "r/a.~referrers/m/"+strings.Replace(marked.Digest, ":", "/", 1))
	require.Contains(t, string(record), `{"state":"ok"`, "the push of the subject takes the mark of the collector off")

	for range 2 {
		_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
		require.NoError(t, err)
	}
	_, err = readBlob(t.Context(), s, "a/condemned", condemned.Digest)
	require.NoError(t, err)
	for _, tag := range collect(t, s.Tags(t.Context(), oldApp, nil)) {
		requireWhole(t, s, oldApp, byTag(tag))
	}
}

// requireWhole reads an image with its blobs.
func requireWhole(t *testing.T, s *storage.Store, repo string, ref reference.Ref) {
	t.Helper()
	m, err := s.GetManifest(t.Context(), repo, ref)
	require.NoError(t, err, "%s %v", repo, ref)
	var named struct {
		Config                   struct{ Digest digest.Digest }
		Layers, Blobs, Manifests []struct{ Digest digest.Digest }
	}
	require.NoError(t, json.Unmarshal(m.Content, &named))
	blobs := append(named.Layers, named.Blobs...)
	if named.Config.Digest != "" {
		blobs = append(blobs, named.Config)
	}
	for _, b := range blobs {
		content, err := readBlob(t.Context(), s, repo, b.Digest)
		require.NoError(t, err, "%s %v %s", repo, ref, b.Digest)
		require.Equal(t, b.Digest, b.Digest.Algorithm().FromBytes(content))
	}
	for _, child := range named.Manifests {
		requireWhole(t, s, repo, byDigest(child.Digest))
	}
}

// oldGarbage are the items that a collection removes, whatever its options.
var oldGarbage = []string{
	"condemned", "unreferenced small", "unreferenced large", "config of pending", "config of refused", "half deleted blob",
	"config of team/half:v1", "layer of team/half:v1", "image team/half:v1", "config of team/half:v2",
	"layer of team/half:v2",
}

func TestOldStoreCollectedKeepsWhatIsNeeded(t *testing.T) {
	o := readOldServed(t)
	d := unpackOldStore(t, o, "in the record", "in a data object", "committing")
	s := openOldStore(t, d)
	want := o.without(t, oldGarbage...)
	want.repository("team/half").Listed = false

	_, err := s.Collect(t.Context(), &storage.CollectOptions{DryRun: true})
	require.NoError(t, err)
	requireSame(t, o, surveyOldStore(t, s, o))

	for range 2 { // the second finds nothing more
		_, err = s.Collect(t.Context(), nil)
		require.NoError(t, err)
		got := surveyOldStore(t, s, o)
		want.repository("team/half").History = requireEndedDelete(t, o, got)
		requireSame(t, want, got)
	}
	require.Empty(t, keysBelow(t, d, "dead/"))
	require.Len(t, keysBelow(t, d, "u/"), 3)
	// team/app has the base layer, one in two parts, and that of a deleted image; the two deleted
	// repositories have one each, and so have two uploads.
	require.Len(t, keysBelow(t, d, "data/"), 7)
	require.Empty(t, keysBelow(t, d, "r/a.~condemned/"))
	require.Empty(t, keysBelow(t, d, "r/team.~half/m/"))
	for _, key := range keysBelow(t, d, "r/team.~app/x/") {
		require.False(t, strings.HasSuffix(key, "/pending") || strings.HasSuffix(key, "/gone"), key)
	}

	restoreOldStore(t, s, o)
	continueOldStore(t, s, o)
}

// requireEndedDelete checks that the history of team/half says that the delete has ended, in the
// event that began it, and returns that history.
func requireEndedDelete(t *testing.T, o, got *oldServed) []oldEvent {
	isDelete := func(e oldEvent) bool { return e.Change == string(registry.ChangeDeleteRepository) }
	before, after := o.repository("team/half").History, got.repository("team/half").History
	began := before[slices.IndexFunc(before, isDelete)]
	require.True(t, began.Unconfirmed)
	began.Unconfirmed = false
	ended := slices.DeleteFunc(slices.Clone(after), func(e oldEvent) bool { return !isDelete(e) })
	require.Equal(t, []oldEvent{began}, ended)
	return after
}

// restoreOldStore brings back what the history holds.
func restoreOldStore(t *testing.T, s *storage.Store, o *oldServed) {
	_, err := s.Restore(t.Context(), oldApp, byTag("gone"), nil)
	require.NoError(t, err)
	requireWhole(t, s, oldApp, byTag("gone"))
	deleted := digest.Digest(o.item(t, "deleted image").Digest)
	res, err := s.Restore(t.Context(), oldApp, byDigest(deleted), nil)
	require.NoError(t, err)
	require.Len(t, res.Manifests, 1)
	require.ElementsMatch(t, []string{"old-1", "old-2"}, res.Manifests[0].Tags)
	requireWhole(t, s, oldApp, byTag("old-1"))
	for _, repo := range []string{"team/deleted", "team/half"} {
		res, err := s.Restore(t.Context(), repo, reference.Ref{}, nil)
		require.NoError(t, err)
		require.NotEmpty(t, res.Manifests, repo)
		require.Empty(t, res.Lost, repo)
		requireWhole(t, s, repo, byTag("v1"))
		requireWhole(t, s, repo, byTag("v2"))
	}
	_, err = s.Restore(t.Context(), oldApp, byTag("latest"), nil)
	require.NoError(t, err)
	latest, err := s.StatManifest(t.Context(), oldApp, byTag("latest"), nil)
	require.NoError(t, err)
	require.Equal(t, o.repository(oldApp).Tags["v2"], string(latest.Digest))
}

// continueOldStore works with the store as any client does.
func continueOldStore(t *testing.T, s *storage.Store, o *oldServed) {
	base := digest.Digest(o.item(t, "base layer").Digest)
	layer, err := s.MountBlob(t.Context(), "team/new", base, nil) // finds a source
	require.NoError(t, err)
	config := pushBlob(t, s, "team/new", []byte("a new config"))
	putImage(t, s, "team/new", image("new", nil, config, layer), tags("v1"))
	require.NoError(t, s.DeleteManifest(t.Context(), oldApp, byTag("stable"), nil))
	require.NoError(t, s.DeleteManifest(t.Context(), "team/other",
		byDigest(digest.Digest(o.item(t, "image in team/other").Digest)), nil))
	_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
	require.NoError(t, err)
	for _, repo := range collect(t, s.Repositories(t.Context(), nil)) {
		for _, tag := range collect(t, s.Tags(t.Context(), repo, nil)) {
			requireWhole(t, s, repo, byTag(tag))
		}
	}
	requireWhole(t, s, "team/new", byTag("v1"))
}

func TestOldStoreCollectedWithoutHistoryKeepsTagged(t *testing.T) {
	o := readOldServed(t)
	d := unpackOldStore(t, o)
	s := newStore(t, d, &storage.Options{UploadTTL: oldUploadTTL})
	want := o.without(t, append([]string{
		"untagged image", "image of a deleted tag", "config of untagged", "image v4", "config of v4", "marked referrer",
		"config of a marked referrer", "referrer without subject", "config of deleted", "layer of deleted",
		"half deleted image without its tag", "config of untagged by delete",
	}, oldGarbage...)...)
	for i := range want.Repositories {
		r := &want.Repositories[i]
		r.History = nil
		r.Listed = r.Listed && len(r.Tags) > 0
	}
	want.repository(oldApp).Referrers = map[string][]string{}
	v3 := o.repository(oldApp).Tags["v3"]
	want.repository(oldApp).Referrers[v3] = o.repository(oldApp).Referrers[v3]
	want.repository("a/referrers").Referrers = map[string][]string{}

	_, err := s.ExpireHistory(t.Context())
	require.NoError(t, err)
	for range 3 { // what becomes free by a collection goes with the next
		_, err = s.Collect(t.Context(), &storage.CollectOptions{Grace: -1, Untagged: true})
		require.NoError(t, err)
	}
	requireSame(t, want, surveyOldStore(t, s, o))
	require.Empty(t, keysBelow(t, d, "h/"))
	require.Empty(t, keysBelow(t, d, "u/"))
	require.Empty(t, keysBelow(t, d, "dead/"))
	require.Len(t, keysBelow(t, d, "data/"), 2)
	for _, r := range want.Repositories {
		for tag := range r.Tags {
			requireWhole(t, s, r.Name, byTag(tag))
		}
	}
}
