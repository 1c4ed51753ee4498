package reference_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	hex128 = hex64 + hex64
	long   = strings.Repeat("a", reference.MaxNameLength)
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		"a", "0", "library/busybox", "a/b/c/d/e", "a.b", "a_b", "a__b", "a-b", "a---b", "a.b_c__d-e--f/g.h",
		"localhost/a", "example.com/a", "127.0.0.1/a", "manifests/blobs/tags/list", long, "a/" + long[2:],
	} {
		require.NoError(t, reference.CheckName(name), name)
	}
	for name, want := range map[string]string{
		"":                         "empty",
		long + "a":                 "longer than 255 bytes",
		"A":                        `upper-case letter "A" at byte 0`,
		"library/Busybox":          `upper-case letter "B" at byte 8`,
		"/a":                       `misplaced separator "/" at byte 0`,
		"a/":                       "ends with a separator",
		"a//b":                     `misplaced separator "/" at byte 2`,
		"..":                       `misplaced separator "." at byte 0`,
		"a/../b":                   `misplaced separator "." at byte 2`,
		"a/./b":                    `misplaced separator "." at byte 2`,
		"a..b":                     `misplaced separator "." at byte 2`,
		"a.":                       "ends with a separator",
		".a":                       `misplaced separator "." at byte 0`,
		"a./b":                     `misplaced separator "/" at byte 2`,
		"a___b":                    `misplaced separator "_" at byte 3`,
		"a_":                       "ends with a separator",
		"a_-b":                     `misplaced separator "-" at byte 2`,
		"a-_b":                     `misplaced separator "_" at byte 2`,
		"a-.b":                     `misplaced separator "." at byte 2`,
		"-a":                       `misplaced separator "-" at byte 0`,
		"a--":                      "ends with a separator",
		"a:b":                      `not allowed: ":" at byte 1`,
		"a@b":                      `not allowed: "@" at byte 1`,
		"a b":                      `not allowed: " " at byte 1`,
		"a\x00":                    `not allowed: "\x00" at byte 1`,
		"a\n":                      `not allowed: "\n" at byte 1`,
		"a%2fb":                    `not allowed: "%" at byte 1`,
		`a\b`:                      `not allowed: "\\" at byte 1`,
		"ä":                        `not allowed: "\xc3" at byte 0`,
		"\xff":                     `not allowed: "\xff" at byte 0`,
		strings.Repeat("\xff", 99): "not allowed",
	} {
		checkError(t, reference.CheckName(name), reference.ErrName, want)
	}
}

func TestCheckTag(t *testing.T) {
	for _, tag := range []string{"a", "A", "0", "_", "latest", "v1.2.3-rc.1_x", "_.-", "a..b", "a--", "sha256-" + hex64,
		strings.Repeat("a", reference.MaxTagLength)} {
		require.NoError(t, reference.CheckTag(tag), tag)
	}
	for tag, want := range map[string]string{
		"":                       "empty",
		strings.Repeat("a", 129): "longer than 128 bytes",
		".a":                     `begins with "." at byte 0`,
		"-a":                     `begins with "-" at byte 0`,
		"..":                     `begins with "." at byte 0`,
		"a/b":                    `not allowed: "/" at byte 1`,
		"a:b":                    `not allowed: ":" at byte 1`,
		"a+b":                    `not allowed: "+" at byte 1`,
		"a ":                     `not allowed: " " at byte 1`,
		"a\r\n":                  `not allowed: "\r" at byte 1`,
		"é":                      `not allowed: "\xc3" at byte 0`,
	} {
		checkError(t, reference.CheckTag(tag), reference.ErrTag, want)
	}
}

func TestCheckDigest(t *testing.T) {
	for _, s := range []string{"sha256:" + hex64, "sha512:" + hex128} {
		d, err := reference.ParseDigest(s)
		require.NoError(t, err)
		require.Equal(t, digest.Digest(s), d)
		require.NotPanics(t, func() { d.Verifier() })
	}
	for s, want := range map[string]string{
		"":                                `no ":"`,
		hex64:                             `no ":"`,
		":":                               "algorithm is cut short",
		":" + hex64:                       "algorithm is cut short",
		"sha256":                          `no ":"`,
		"sha256:":                         "wrong length for sha256",
		"sha256:" + hex64[1:]:             "wrong length for sha256",
		"sha256:" + hex64 + "0":           "wrong length for sha256",
		"sha256:" + hex128:                "wrong length for sha256",
		"sha512:" + hex64:                 "wrong length for sha512",
		"sha256:A" + hex64[1:]:            `hexadecimal digit: "A" at byte 7`,
		"sha256:" + hex64[1:] + "g":       `hexadecimal digit: "g" at byte 70`,
		"sha256:" + hex64[2:] + "/.":      `hexadecimal digit: "/" at byte 69`,
		"SHA256:" + hex64:                 `not allowed in an algorithm: "S" at byte 0`,
		"sha256 :" + hex64:                `not allowed in an algorithm: " " at byte 6`,
		"sha256+:" + hex64:                "algorithm is cut short",
		"a..b:c":                          `not allowed in an algorithm: "." at byte 2`,
		"md5:":                            `nothing follows`,
		"md5:a:b":                         `not allowed: ":" at byte 5`,
		"md5:a/../b":                      `not allowed: "/" at byte 5`,
		"md5:\xff":                        `not allowed: "\xff" at byte 4`,
		strings.Repeat("sha256:", 100000): "wrong length",
	} {
		err := reference.CheckDigest(s)
		checkError(t, err, reference.ErrDigest, want)
		require.NotErrorIs(t, err, reference.ErrDigestUnsupported, "%.99q", s)
		d, err := reference.ParseDigest(s)
		require.Error(t, err)
		require.Empty(t, d)
	}
	for _, s := range []string{"md5:d41d8cd98f00b204e9800998ecf8427e", "blake3:" + hex64, "sha384:" + hex64,
		"multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8",
		"sha256+b64u:LCa0a2j_xo_5m0U8HTBBNBNCLXBkg7-g-YpeiGJm564=",
		"x:" + strings.Repeat("a", 100000)} {
		err := reference.CheckDigest(s)
		checkError(t, err, reference.ErrDigestUnsupported, "only sha256 and sha512")
		require.ErrorIs(t, err, reference.ErrDigest)
	}
}

func TestRef(t *testing.T) {
	for s, want := range map[string]reference.Ref{
		"latest":           {Tag: "latest"},
		"sha256":           {Tag: "sha256"},
		"sha256-" + hex64:  {Tag: "sha256-" + hex64},
		"sha256:" + hex64:  {Digest: digest.Digest("sha256:" + hex64)},
		"sha512:" + hex128: {Digest: digest.Digest("sha512:" + hex128)},
	} {
		ref, err := reference.ParseRef(s)
		require.NoError(t, err, s)
		require.Equal(t, want, ref)
		require.Equal(t, s, ref.String())
		require.NoError(t, ref.Check())
	}
	for s, want := range map[string]error{
		"":                         reference.ErrTag,
		".":                        reference.ErrTag,
		"a@sha256":                 reference.ErrTag,
		"sha256:baddigeststring":   reference.ErrDigest,
		"a:b":                      reference.ErrDigestUnsupported,
		"latest@sha256:" + hex64:   reference.ErrDigest,
		"blake3:" + hex64:          reference.ErrDigestUnsupported,
		"sha256:" + hex64 + "/../": reference.ErrDigest,
	} {
		ref, err := reference.ParseRef(s)
		require.ErrorIs(t, err, want, s)
		require.Zero(t, ref)
	}
	require.ErrorIs(t, reference.Ref{}.Check(), reference.ErrTag)
	require.ErrorIs(t, reference.Ref{Tag: "a/b"}.Check(), reference.ErrTag)
	require.ErrorIs(t, reference.Ref{Digest: "latest"}.Check(), reference.ErrDigest)
	require.ErrorIs(t, reference.Ref{Tag: "latest", Digest: digest.Digest("sha256:" + hex64)}.Check(), reference.ErrTag)
}

func TestQuote(t *testing.T) {
	require.Equal(t, `""`, reference.Quote(""))
	require.Equal(t, `"a\r\n\"\x00\u00e4\xff"`, reference.Quote("a\r\n\"\x00ä\xff"))
	require.Equal(t, `"`+long[:64]+`"`, reference.Quote(long[:64]))
	require.Equal(t, `"`+long[:64]+`"...`, reference.Quote(long))
}

func TestAllocations(t *testing.T) {
	sha512 := "sha512:" + hex128
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_ = reference.CheckName(long)
		_ = reference.CheckTag("latest")
		_, _ = reference.ParseRef("latest")
		_ = reference.CheckDigest(sha512)
		_, _ = reference.ParseRef(benchDigest)
	}))
}

// checkError fails unless err wraps kind, contains want, is short, and is printable ASCII on one
// line.
func checkError(t *testing.T, err, kind error, want string) {
	t.Helper()
	require.ErrorIs(t, err, kind)
	require.Contains(t, err.Error(), want)
	require.Less(t, len(err.Error()), 400)
	for _, c := range []byte(err.Error()) {
		require.True(t, ' ' <= c && c <= '~', "%q", err)
	}
}
