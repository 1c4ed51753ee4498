package registry

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
)

// requireMarshalled checks that a descriptor and its texts are encoded like by marshal.
func requireMarshalled(t *testing.T, d *ocispec.Descriptor) {
	t.Helper()
	want, err := marshal(d)
	require.NoError(t, err)
	var keys []string
	require.Equal(t, "before"+string(want), string(appendDescriptor([]byte("before"), d, &keys)))

	texts := append([]string{d.MediaType, d.ArtifactType}, d.URLs...)
	want, err = marshal(texts)
	require.NoError(t, err)
	require.Equal(t, string(want), string(appendTexts(nil, texts)))
}

func TestAppendDescriptorIsMarshal(t *testing.T) {
	var all strings.Builder
	for c := range 0x3000 {
		all.WriteRune(rune(c))
	}
	for c := range 256 {
		all.WriteByte(byte(c)) // mostly invalid
	}
	for _, d := range []ocispec.Descriptor{
		{},
		{MediaType: "application/json", Digest: digest.FromString("x"), Size: -1},
		{URLs: []string{}, Annotations: map[string]string{}, Data: []byte{}, Platform: &ocispec.Platform{}},
		{
			MediaType: all.String(), Size: 1 << 60, URLs: []string{"", "<&>", all.String()},
			Annotations: map[string]string{"b": "2", "a": "1", "": all.String(), all.String(): "", "\xff": "x", "\xfe": "y"},
			Data:        []byte(all.String()), ArtifactType: all.String(),
			Platform: &ocispec.Platform{Architecture: "arm\n", OS: "linux", OSVersion: "1\x00", OSFeatures: []string{"a", "b"},
				Variant: "v7"},
		},
	} {
		requireMarshalled(t, &d)
	}
}

func FuzzAppendDescriptor(f *testing.F) {
	f.Add("application/json", "sha256:00", int64(1), "url", "key", "value", "other", []byte{1}, "os")
	f.Add("\u2028", "\xff", int64(-1), "\"\\", "\n", "<>&", "\x7f", []byte{}, "")
	f.Fuzz(func(t *testing.T, mediaType, dgst string, size int64, url, key, value, other string, data []byte, os string) {
		d := &ocispec.Descriptor{
			MediaType: mediaType, Digest: digest.Digest(dgst), Size: size, URLs: []string{url, other},
			Annotations: map[string]string{key: value, other: key, value: url}, Data: data, ArtifactType: other,
			Platform: &ocispec.Platform{OS: os, Architecture: key, OSVersion: os, OSFeatures: []string{value, os}, Variant: url},
		}
		requireMarshalled(t, d)
		d.Platform, d.Annotations, d.URLs = nil, nil, nil
		requireMarshalled(t, d)
	})
}
