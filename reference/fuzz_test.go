package reference_test

import (
	"errors"
	"strings"
	"testing"

	distribution "github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

// FuzzName compares CheckName with distribution/reference.
func FuzzName(f *testing.F) {
	for _, s := range []string{"", "a", "library/busybox", "a/b/c", "a.b", "a..b", "a_b", "a__b", "a___b", "a-_b",
		"a---b", "a--",
		"A/b", "a/B", "a//b", "/a", "a/", "../a", "host:5000/a", "[::1]/a", "example.com/a", "localhost/a", "a\n", "ä",
		long, long + "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := reference.CheckName(name)

		// WithName takes a first component that looks like a host for a host. It then permits upper
		// case, a port and an IPv6 address there, and does not count its length. Behind a host,
		// every component belongs to the name, so the two rules are the same.
		_, want := distribution.WithName("registry.example/" + name)
		require.Equal(t, want == nil, err == nil, "%q: got %v, want %v", name, err, want)

		// Without a host, WithName must accept every name that CheckName accepts.
		if err == nil {
			_, want := distribution.WithName(name)
			require.NoError(t, want, "%q", name)
		} else {
			checkError(t, err, reference.ErrName, "")
		}
	})
}

// FuzzTag compares CheckTag with distribution/reference; the two rules are the same.
func FuzzTag(f *testing.F) {
	for _, s := range []string{"", "latest", "_", ".", "-a", "v1.0", "a/b", "a:b", "a+b", "A\n", "é", long[:128],
		long[:129]} {
		f.Add(s)
	}
	named, err := distribution.WithName("a")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, tag string) {
		err := reference.CheckTag(tag)
		_, want := distribution.WithTag(named, tag)
		require.Equal(t, want == nil, err == nil, "%q: got %v, want %v", tag, err, want)
		if err != nil {
			checkError(t, err, reference.ErrTag, "")
		}
	})
}

// FuzzDigest compares ParseDigest with go-digest.
func FuzzDigest(f *testing.F) {
	for _, s := range []string{"", ":", "sha256", "sha256:", "sha256:" + hex64, "sha512:" + hex128,
		"sha384:" + hex64 + hex64[:32], "sha384:0",
		"sha256:" + hex128, "sha256:A" + hex64[1:], "SHA256:" + hex64, "md5:0", "md5:0\n", "blake3:" + hex64,
		"a+b.c_d-e:Z=_-", "a+:0", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := reference.ParseDigest(s)
		_, want := digest.Parse(s)
		switch {
		case strings.HasPrefix(s, "sha384:"):
			// go-digest supports sha384, which neither specification registers.
			want = digest.ErrDigestUnsupported
			if !digest.DigestRegexpAnchored.MatchString(s) {
				want = digest.ErrDigestInvalidFormat
			}
		case strings.HasPrefix(s, "sha256:"), strings.HasPrefix(s, "sha512:"):
		default:
			// For an unknown algorithm, go-digest distinguishes malformed from unsupported digests
			// as ParseDigest does.
			require.Error(t, want)
		}
		require.Equal(t, want == nil, err == nil, "%q: got %v, want %v", s, err, want)
		require.Equal(t, want == digest.ErrDigestUnsupported, errors.Is(err, reference.ErrDigestUnsupported),
			"%q: got %v, want %v", s, err, want)
		if err != nil {
			checkError(t, err, reference.ErrDigest, "")
			require.Empty(t, d)
			return
		}
		require.Equal(t, s, string(d))
	})
}

// FuzzRef checks that ParseRef returns a tag or a digest whose String is the input.
func FuzzRef(f *testing.F) {
	for _, s := range []string{"", "latest", "sha256:" + hex64, "sha256:x", "md5:0", "a@b", "sha256-" + hex64} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := reference.ParseRef(s)
		if err != nil {
			require.True(t, errors.Is(err, reference.ErrTag) != errors.Is(err, reference.ErrDigest), "%v", err)
			require.Zero(t, ref)
			return
		}
		require.NoError(t, ref.Check())
		require.Equal(t, s, ref.String())
		require.True(t, (ref.Tag == "") != (ref.Digest == ""))
	})
}
