package registrytest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
)

// awkwardTags returns, in order, tags that file systems, routers and sorting can confuse.
func awkwardTags() []string {
	tags := []string{
		"latest", "LATEST", "Latest", "v1", "v1.0", "v1-0", "v1_0", "v10", "v2", "1", "10", "9", "_", "__", "_.", "_..",
		"a..b", "a.", "a-", "a_",
		"a", "A", "b", "con", "nul", "aux.txt", "x.lock", "x.tmp", "x.attrs", "manifests", "list", "tags",
		"sha256-" + strings.Repeat("0", 64),
		"sha256-" + strings.Repeat("0", 64) + ".sig", long("m", 128), long("M", 128), long("m", 127) + "-",
	}
	slices.Sort(tags)
	return tags
}

// awkwardNames returns, in order, names of at most limit bytes that file systems, routers and
// sorting can confuse.
func awkwardNames(limit int) []string {
	names := []string{
		"a", "a/b", "a/b/c", "a-b", "a.b", "a_b", "a__b", "a--b", "a0", "ab", "a/b-c", "a/b.c", "a/b0", "a-b/c", "a.b/c",
		"aa", "b", "0", "9/9",
		"v2", "tags/list", "x/tags/list", "blobs/uploads", "x/blobs/uploads", "manifests/latest", "x/manifests",
		"referrers", "library/busybox",
		"con", "nul/aux", "x.lock", "x.tmp/y", "localhost/x", long("m", limit), long("n/", limit),
		strings.Repeat("q/", (limit-1)/2) + "q",
		long("m", min(200, limit)) + "x", strings.Repeat("w", min(128, limit/2)) + "/" +
			strings.Repeat("w", min(126, limit/2-1)),
	}
	names = slices.DeleteFunc(names, func(n string) bool { return len(n) > limit || reference.CheckName(n) != nil })
	slices.Sort(names)
	return slices.Compact(names)
}

// checkList requires that list yields want in order, also from each position, in pages, and with
// each hint.
func checkList(t *testing.T, want []string, list func(*registry.ListOptions) iter.Seq2[string, error]) {
	t.Helper()
	got, err := collect(list(nil), -1)
	require.NoError(t, err)
	require.Equal(t, want, got)
	for i, after := range want {
		for _, hint := range []int{0, 1, 2, 1000} {
			opts := &registry.ListOptions{After: after, PageHint: hint}
			got, err := collect(list(opts), -1)
			require.NoError(t, err)
			require.Equal(t, append([]string{}, want[i+1:]...), got, "after %q", after)
		}
		got, err := collect(list(&registry.ListOptions{After: after, PageHint: 3}), 3)
		require.NoError(t, err)
		require.Equal(t, append([]string{}, want[i+1:min(i+4, len(want))]...), got, "3 after %q", after)
	}
	for _, after := range []string{"0", "a0a", "lates", "latest0", "v1-", "zzz"} { // none of these exists
		got, err := collect(list(&registry.ListOptions{After: strings.TrimRight(after, "-")}), -1)
		require.NoError(t, err)
		at, found := slices.BinarySearch(want, strings.TrimRight(after, "-"))
		if found {
			at++
		}
		require.Equal(t, append([]string{}, want[at:]...), got, "after %q", after)
	}
}

func (s *suite) tagsOrder(t *testing.T) {
	b, w := s.new(t)
	tags := awkwardTags()
	for i, tag := range tags {
		push(t, w, "a/b", tiny(i%3), tag)
	}
	push(t, w, "a/b-c", tiny(0), "elsewhere")
	push(t, w, "a", tiny(0), "elsewhere")
	checkList(t, tags, func(opts *registry.ListOptions) iter.Seq2[string,
		error] {
		return b.Tags(t.Context(), "a/b", opts)
	})
	for i, tag := range tags {
		requireManifest(t, b, "a/b", tiny(i%3), tag)
	}
}

func (s *suite) tagsOfNone(t *testing.T) {
	b, w := s.new(t)
	for _, opts := range []*registry.ListOptions{nil, {After: "x"}} {
		_, err := collect(b.Tags(t.Context(), "a/b", opts), -1)
		requireError(t, err, registry.ErrNameUnknown)
	}
	push(t, w, "a/b", tiny(1))
	requireTags(t, b, "a/b")
	for _, repo := range []string{"a", "a/b/c", "a/bb"} {
		_, err := collect(b.Tags(t.Context(), repo, nil), -1)
		requireError(t, err, registry.ErrNameUnknown)
	}
}

func (s *suite) repositoriesOrder(t *testing.T) {
	b, w := s.new(t)
	requireRepositories(t, b)
	names := awkwardNames(s.MaxName)
	for i, name := range names {
		push(t, w, name, tiny(i), "v1")
	}
	checkList(t, names, func(opts *registry.ListOptions) iter.Seq2[string,
		error] {
		return b.Repositories(t.Context(), opts)
	})
	for i, name := range names {
		requireManifest(t, b, name, tiny(i), "v1")
		requireTags(t, b, name, "v1")
	}
}

// referrers checks that referrers are in the order of their digests, each with its type and
// annotations, also from each position.
func (s *suite) referrers(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, w := s.new(t)
	subject := RandomImage(1, 1, 10)
	var want []ocispec.Descriptor
	refer := func(c *Content, artifactType string, annotations map[string]string) {
		push(t, w, "a/b", c)
		desc := c.Descriptor
		desc.ArtifactType, desc.Annotations = artifactType, annotations
		want = append(want, desc)
	}
	for i := range 12 {
		a := map[string]string{"number": fmt.Sprint(i)}
		artifactType := fmt.Sprint("application/x.type", i%3)
		refer(Artifact(artifactType, subject.Descriptor, a), artifactType, a)
	}
	untyped := Artifact("", subject.Descriptor, nil)
	refer(untyped, ocispec.MediaTypeEmptyJSON, nil)
	ref := fmt.Sprintf(`"subject":{"mediaType":"%s","digest":"%s","size":%d}`, subject.Descriptor.MediaType,
		subject.Descriptor.Digest, subject.Descriptor.Size)
	refer(custom(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[],`+ref+`}`), "", nil)
	five12 := as512(Artifact("application/x.512", subject.Descriptor, nil))
	refer(five12, "application/x.512", nil)
	push(t, w, "a/c", Artifact("application/x.elsewhere", subject.Descriptor, nil))
	push(t, w, "a/b", Artifact("application/x.another", descriptor("x/y", []byte("another")), nil))

	slices.SortFunc(want, func(a, b ocispec.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	check := func(want []ocispec.Descriptor, opts *registry.ReferrersOptions) {
		t.Helper()
		got, err := collect(b.Referrers(t.Context(), "a/b", subject.Descriptor.Digest, opts), -1)
		require.NoError(t, err)
		require.Equal(t, append([]ocispec.Descriptor{}, want...), got)
	}
	check(want, nil)
	push(t, w, "a/b", subject, "v1") // the subject may be pushed after its referrers
	check(want, &registry.ReferrersOptions{PageHint: 2})
	for i := range want {
		check(want[i+1:], &registry.ReferrersOptions{After: want[i].Digest})
		got, err := collect(b.Referrers(t.Context(), "a/b", subject.Descriptor.Digest,
			&registry.ReferrersOptions{After: want[i].Digest, PageHint: 2}), 2)
		require.NoError(t, err)
		require.Equal(t, append([]ocispec.Descriptor{}, want[i+1:min(i+3, len(want))]...), got)
	}
	for _, types := range [][]string{
		{"application/x.type0"}, {"application/x.type2"}, {ocispec.MediaTypeEmptyJSON}, {"application/x.none"},
		{"application/x.type2", "application/x.none", "application/x.type0"}, {"application/x.512", "application/x.512"}, {},
	} {
		var some []ocispec.Descriptor
		for _, d := range want {
			if len(types) == 0 || slices.Contains(types, d.ArtifactType) {
				some = append(some, d)
			}
		}
		check(some, &registry.ReferrersOptions{ArtifactTypes: types})
		check(some[min(1, len(some)):], &registry.ReferrersOptions{ArtifactTypes: types, After: first(some)})
	}
	checkScan(t, b, subject.Descriptor.Digest, want)
}

func first(descs []ocispec.Descriptor) digest.Digest {
	if len(descs) == 0 {
		return ""
	}
	return descs[0].Digest
}

// checkScan checks a Backend that calls ReferrersOptions.Scan: it must call Scan for each referrer
// before yielding it, in order, and stop where Scan returns false.
func checkScan(t *testing.T, b registry.Backend, subject digest.Digest, all []ocispec.Descriptor) {
	t.Helper()
	for end := range all {
		var scanned []digest.Digest
		got, err := collect(b.Referrers(t.Context(), "a/b", subject,
			&registry.ReferrersOptions{Scan: func(d digest.Digest, _ int64) bool {
				if len(scanned) == end {
					return false
				}
				scanned = append(scanned, d)
				return true
			}}), -1)
		require.NoError(t, err)
		if len(scanned) == 0 && len(got) == len(all) {
			continue // the backend does not call Scan
		}
		require.Equal(t, append([]ocispec.Descriptor{}, all[:end]...), got)
		for i, d := range scanned {
			require.Equal(t, all[i].Digest, d)
		}
	}
}

func (s *suite) referrersOfNone(t *testing.T) {
	b, w := s.new(t)
	requireReferrers(t, b, "a/b", zeros)
	img := RandomImage(1, 1, 10)
	push(t, w, "a/b", img, "v1")
	requireReferrers(t, b, "a/b", zeros)
	requireReferrers(t, b, "a/b", img.Descriptor.Digest)
	requireReferrers(t, b, "a/b", digest.SHA512.FromBytes(img.Manifest))
}

func (s *suite) referrersAtOnce(t *testing.T) {
	if s.Opaque {
		t.Skip("manifests are not looked into")
	}
	b, _ := s.new(t)
	const n = 200
	subject := tiny(1)
	push(t, b, "a/b", subject)
	arts := make([]*Content, n)
	var want []digest.Digest
	for i := range arts {
		arts[i] = Artifact("application/x.test", subject.Descriptor, map[string]string{"number": fmt.Sprint(i)})
		want = append(want, arts[i].Descriptor.Digest)
	}
	slices.Sort(want)
	requireAll(t, race(n, func(i int) error { return arts[i].Push(t.Context(), b, "a/b") }))
	requireReferrers(t, b, "a/b", subject.Descriptor.Digest, want...)
	for _, c := range arts {
		push(t, b, "a/b", c) // a repeated push changes nothing
	}
	requireReferrers(t, b, "a/b", subject.Descriptor.Digest, want...)
}
