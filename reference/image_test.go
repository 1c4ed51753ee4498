package reference_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/reference"
)

func TestParseFillsInDefaults(t *testing.T) {
	tag := func(host, repository, tag string) reference.Image {
		return reference.Image{Host: host, Repository: repository, Ref: reference.Ref{Tag: tag}}
	}
	by := func(host, repository, d string) reference.Image {
		return reference.Image{Host: host, Repository: repository, Ref: reference.Ref{Digest: digest.Digest(d)}}
	}
	sha256, sha512 := "sha256:"+hex64, "sha512:"+hex128
	for s, want := range map[string]reference.Image{
		"ubuntu":                            tag("docker.io", "library/ubuntu", "latest"),
		"ubuntu:24.04":                      tag("docker.io", "library/ubuntu", "24.04"),
		"ubuntu@" + sha256:                  by("docker.io", "library/ubuntu", sha256),
		"jwilder/nginx-proxy:1.0":           tag("docker.io", "jwilder/nginx-proxy", "1.0"),
		"library/ubuntu":                    tag("docker.io", "library/ubuntu", "latest"),
		"docker.io/ubuntu":                  tag("docker.io", "library/ubuntu", "latest"),
		"index.docker.io/ubuntu":            tag("docker.io", "library/ubuntu", "latest"),
		"docker.io/docker.io/x":             tag("docker.io", "docker.io/x", "latest"),
		"registry-1.docker.io/ubuntu":       tag("registry-1.docker.io", "ubuntu", "latest"),
		"ghcr.io/a":                         tag("ghcr.io", "a", "latest"),
		"host:5000/a/b@" + sha256:           by("host:5000", "a/b", sha256),
		"host:5000/a/b:Tag_1.x-y":           tag("host:5000", "a/b", "Tag_1.x-y"),
		"localhost/x":                       tag("localhost", "x", "latest"),
		"localhost:80/x":                    tag("localhost:80", "x", "latest"),
		"localhost":                         tag("docker.io", "library/localhost", "latest"),
		"localhost:5000":                    tag("docker.io", "library/localhost", "5000"),
		"host/x":                            tag("docker.io", "host/x", "latest"),
		"Host/x":                            tag("Host", "x", "latest"),
		"127.0.0.1/x":                       tag("127.0.0.1", "x", "latest"),
		"127.0.0.1:5000/x:1":                tag("127.0.0.1:5000", "x", "1"),
		"[::1]/x":                           tag("[::1]", "x", "latest"),
		"[2001:db8::1]:5000/x:1":            tag("[2001:db8::1]:5000", "x", "1"),
		"a/b:tag@" + sha256:                 by("docker.io", "a/b", sha256),
		"a/b:tag@" + sha512:                 by("docker.io", "a/b", sha512),
		"a/" + hex64:                        tag("docker.io", "a/"+hex64, "latest"),
		hex64 + ":v1":                       tag("docker.io", "library/"+hex64, "v1"),
		hex64 + "@" + sha256:                by("docker.io", "library/"+hex64, sha256),
		hex64[1:]:                           tag("docker.io", "library/"+hex64[1:], "latest"),
		"h.io/" + long:                      tag("h.io", long, "latest"),
		"a:" + strings.Repeat("t", 128):     tag("docker.io", "library/a", strings.Repeat("t", 128)),
		strings.Repeat("h", 252) + ".com/a": {},
		strings.Repeat("h", 250) + ".com/a": tag(strings.Repeat("h", 250)+".com", "a", "latest"),
	} {
		image, err := reference.Parse(s)
		if want == (reference.Image{}) {
			checkError(t, err, reference.ErrHost, "longer than 255 bytes")
			continue
		}
		require.NoError(t, err, s)
		require.Equal(t, want, image, s)
		require.NoError(t, reference.CheckName(image.Repository))
		require.NoError(t, image.Ref.Check())
		again, err := reference.Parse(image.String())
		require.NoError(t, err, s)
		require.Equal(t, image, again, s)
	}
	image, err := reference.Parse("localhost:5000/a:v1")
	require.NoError(t, err)
	require.Equal(t, "localhost:5000/a:v1", image.String())
	image, err = reference.Parse("a:v1@" + sha256)
	require.NoError(t, err)
	require.Equal(t, "docker.io/library/a@"+sha256, image.String())
}

func TestParseRefusesMalformedText(t *testing.T) {
	for _, c := range []struct {
		text string
		kind error
		want string
	}{
		{"", reference.ErrName, "empty"},
		{" ", reference.ErrName, `not allowed: " "`},
		{" ubuntu", reference.ErrName, `not allowed: " " at byte 0`},
		{"ubuntu ", reference.ErrName, `not allowed: " " at byte 6`},
		{"ubuntu latest", reference.ErrName, `not allowed: " "`},
		{"ubuntu:la test", reference.ErrTag, `not allowed: " "`},
		{"ubuntu\n", reference.ErrName, `not allowed: "\n"`},
		{"a\x00b", reference.ErrName, `not allowed: "\x00"`},
		{"ünter/x", reference.ErrName, "not allowed"},
		{"Ubuntu", reference.ErrName, `upper-case letter "U"`},
		{"a/Ubuntu", reference.ErrName, `upper-case letter "U"`},
		{"h.io/Ubuntu", reference.ErrName, `upper-case letter "U"`},
		{"/", reference.ErrName, "misplaced separator"},
		{"/a", reference.ErrName, "misplaced separator"},
		{"a/", reference.ErrName, "ends with a separator"},
		{"h.io/", reference.ErrName, "empty"},
		{"h.io//a", reference.ErrName, "misplaced separator"},
		{"../a", reference.ErrHost, "host"},
		{"a/../b", reference.ErrName, "misplaced separator"},
		{"h.io/../b", reference.ErrName, "misplaced separator"},
		{"a:", reference.ErrTag, "empty"},
		{":a", reference.ErrName, "empty"},
		{"a::b", reference.ErrTag, "not allowed"},
		{"a:b:c", reference.ErrTag, "not allowed"},
		{"a:b/c:d:e", reference.ErrHost, "host"},
		{"h.io:x/a", reference.ErrHost, "host"},
		{"h.io:/a", reference.ErrHost, "host"},
		{"h.io:-1/a", reference.ErrHost, "host"},
		{"-h.io/a", reference.ErrHost, "host"},
		{"h_x.io/a", reference.ErrHost, "host"},
		{"::1/a", reference.ErrHost, "host"},
		{"[::1/a", reference.ErrHost, "host"},
		{"[fe80::1%eth0]/a", reference.ErrHost, "host"},
		{"user:secret@h.io/a", reference.ErrDigest, ""},
		{"https://h.io/a", reference.ErrHost, "leave out the scheme"},
		{hex64, reference.ErrName, "the ID of an image"},
		{"a@", reference.ErrDigest, "no"},
		{"a@latest", reference.ErrDigest, "no"},
		{"a@sha256:" + hex64[1:], reference.ErrDigest, "wrong length"},
		{"a@sha256:" + strings.ToUpper(hex64), reference.ErrDigest, "lower-case"},
		{"a@md5:d41d8cd98f00b204e9800998ecf8427e", reference.ErrDigestUnsupported, "only sha256"},
		{"a@sha384:" + hex64 + hex64[:32], reference.ErrDigestUnsupported, "only sha256"},
		{"a@sha256:" + hex64 + "@sha256:" + hex64, reference.ErrDigest, "wrong length"},
		{"@sha256:" + hex64, reference.ErrName, "empty"},
		{"a:b c@sha256:" + hex64, reference.ErrTag, "not allowed"},
		{"a:" + strings.Repeat("t", 129), reference.ErrTag, "longer than 128 bytes"},
		{"h.io/" + long + "a", reference.ErrName, "longer than 255 bytes"},
		{long, reference.ErrName, "longer than 255 bytes"},
		{strings.Repeat("a/", 100000) + "a", reference.ErrName, "longer than 1024 bytes"},
		{strings.Repeat("é", 100000), reference.ErrName, "longer than 1024 bytes"},
	} {
		image, err := reference.Parse(c.text)
		require.Error(t, err, "%.99q", c.text)
		checkError(t, err, c.kind, c.want)
		require.Zero(t, image)
	}
}

// FuzzParse checks that Parse either refuses a text with a short, printable error or returns valid
// parts whose text is parsed to the same parts.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "ubuntu", "a/b:c", "h:5000/a/b@sha256:" + hex64, "[::1]:80/a", "a:b@sha512:" + hex128,
		"index.docker.io/a", "A/b", hex64, "https://a/b", "a@b@c", "ſ/a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		image, err := reference.Parse(s)
		if err != nil {
			require.Zero(t, image)
			require.Less(t, len(err.Error()), 400)
			return
		}
		require.NoError(t, reference.CheckName(image.Repository), "%q", s)
		require.NoError(t, image.Ref.Check(), "%q", s)
		again, err := reference.Parse(image.String())
		require.NoError(t, err, "%q", s)
		require.Equal(t, image, again, "%q", s)
	})
}
