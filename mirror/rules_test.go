package mirror

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

func TestRulesPermit(t *testing.T) {
	for name, row := range map[string]struct {
		allow, deny []string
		yes, no     [][2]string // repository and tag; a tag of "" stands for digests, blobs and lists
	}{
		"none": {nil, nil, [][2]string{{"a", ""}, {"a/b", "v1"}}, nil},
		"allow repositories": {[]string{"acme/**", "tool"}, nil,
			[][2]string{{"acme/a", ""}, {"acme/a/b", "v1"}, {"tool", "x"}, {"acme", ""}},
			[][2]string{{"other", ""}, {"tool/x", "v1"}}},
		"allow tags": {[]string{"acme/app:v*"}, nil,
			[][2]string{{"acme/app", "v1"}, {"acme/app", ""}}, [][2]string{{"acme/app", "latest"}, {"acme/other", ""}}},
		"deny repositories": {nil, []string{"secret/**"},
			[][2]string{{"a", "v1"}}, [][2]string{{"secret/a", ""}, {"secret/a", "v1"}}},
		"deny tags": {nil, []string{"**:latest"},
			[][2]string{{"a/b", "v1"}, {"a/b", ""}}, [][2]string{{"a/b", "latest"}, {"a", "latest"}}},
		"deny wins": {[]string{"acme/**"}, []string{"acme/old/*", "acme/app:v0*"},
			[][2]string{{"acme/app", "v1"}, {"acme/app", ""}}, [][2]string{{"acme/old/x", ""}, {"acme/app", "v0.1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newRules(&Upstream{Allow: row.allow, Deny: row.deny})
			require.NoError(t, err)
			for _, x := range row.yes {
				require.NoError(t, r.permit(x[0], x[1]), "%q", x)
			}
			for _, x := range row.no {
				require.ErrorIs(t, r.permit(x[0], x[1]), registry.ErrDenied, "%q", x)
			}
		})
	}
}

func TestRulesImage(t *testing.T) {
	now := time.Date(2026, 1, 10, 0, 0, 0, 0, time.UTC)
	for name, row := range map[string]struct {
		platforms []string
		minAge    time.Duration
		config    string
		refused   string
	}{
		"no rule":          {nil, 0, `{"os":"windows","architecture":"amd64"}`, ""},
		"allowed":          {[]string{"linux/amd64"}, 0, `{"os":"linux","architecture":"amd64"}`, ""},
		"any variant":      {[]string{"linux/arm"}, 0, `{"os":"linux","architecture":"arm","variant":"v6"}`, ""},
		"variant":          {[]string{"linux/arm/v7"}, 0, `{"os":"linux","architecture":"arm","variant":"v6"}`, "arm/v6"},
		"usual variant":    {[]string{"linux/arm64/v8"}, 0, `{"os":"linux","architecture":"arm64"}`, ""},
		"usual variant, 2": {[]string{"linux/arm/v7"}, 0, `{"os":"linux","architecture":"arm"}`, ""},
		"other OS":         {[]string{"linux/amd64"}, 0, `{"os":"windows","architecture":"amd64"}`, "windows/amd64"},
		"attestation":      {[]string{"linux/amd64"}, 0, `{"os":"unknown","architecture":"unknown"}`, ""},
		"artifact":         {[]string{"linux/amd64"}, time.Hour, `{}`, ""},
		"no JSON":          {[]string{"linux/amd64"}, time.Hour, `x`, "invalid character"},
		"too long":         {[]string{"linux/amd64"}, 0, `{"os":"` + strings.Repeat("x", 1000) + `"}`, "xxx/"},
		"old":              {nil, 24 * time.Hour, `{"created":"2026-01-08T23:59:00Z"}`, ""},
		"young":            {nil, 24 * time.Hour, `{"created":"2026-01-09T12:00:00Z"}`, "younger than 24h0m0s"},
		"from the future":  {nil, 24 * time.Hour, `{"created":"2036-01-09T12:00:00Z"}`, "younger than 24h0m0s"},
		"bad time":         {nil, 24 * time.Hour, `{"created":"yesterday"}`, "parsing time"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := newRules(&Upstream{Platforms: row.platforms, MinAge: row.minAge})
			require.NoError(t, err)
			f, err := parseFacts([]byte(row.config))
			if err != nil {
				require.ErrorContains(t, err, row.refused)
				return
			}
			require.LessOrEqual(t, len(f.platform.OS), maxPlatform)
			err = r.image(&f, now)
			if row.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, registry.ErrDenied)
			require.ErrorContains(t, err, row.refused)
		})
	}
}

// TestWeightOfDescriptors: what an upstream can make long counts.
func TestWeightOfDescriptors(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, desc := range []ocispec.Descriptor{
		{MediaType: long}, {ArtifactType: long}, {Data: []byte(long)}, {Annotations: map[string]string{"a": long}},
		{Annotations: map[string]string{long: ""}}, {URLs: []string{long}}, {Platform: &ocispec.Platform{OS: long}},
		{Platform: &ocispec.Platform{OSVersion: long}}, {Platform: &ocispec.Platform{OSFeatures: []string{"", long}}},
	} {
		require.GreaterOrEqual(t, weightOf([]ocispec.Descriptor{desc}), len(long))
	}
}

// TestMergeReferrersCopiesNothing: a client that reads one referrer of a long list costs no memory.
func TestMergeReferrersCopiesNothing(t *testing.T) {
	found := make([]ocispec.Descriptor, 10_000)
	for i := range found {
		found[i] = ocispec.Descriptor{Digest: digest.Digest(fmt.Sprintf("sha256:%064d", i)), ArtifactType: "a"}
	}
	none := func(func(ocispec.Descriptor, error) bool) {}
	o := registry.ReferrersOptions{After: found[10].Digest, ArtifactTypes: []string{"a"}}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			for desc, err := range mergeReferrers(none, found, o) {
				require.NoError(b, err)
				require.Equal(b, found[11].Digest, desc.Digest)
				break
			}
		}
	})
	require.Less(t, result.AllocedBytesPerOp(), int64(10_000))
}
