package objectkey_test

import (
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/objectkey"
)

func TestEscapeIsUndoneByUnescape(t *testing.T) {
	for name, want := range map[string]string{"app": "app", "a.b/c-d/e_f": "a.b.~c-d.~e_f"} {
		require.Equal(t, want, objectkey.Escape(name))
		require.Equal(t, name, objectkey.Unescape(want))
	}
}

func TestPathDigestRejectsWhatIsNoDigest(t *testing.T) {
	d := digest.FromString("content")
	require.Equal(t, d, objectkey.PathDigest("r/app/b/"+objectkey.DigestPath(d)))
	require.Equal(t, d, objectkey.PathDigest(objectkey.DigestPath(d)))
	for _, key := range []string{"", "sha256", "r/app/b/sha256/", "r/app/t/v1", "r/app/b/md5/" + d.Encoded(),
		"r/app/b/sha256/" + d.Encoded()[1:]} {
		require.Empty(t, objectkey.PathDigest(key), "%q", key)
	}
}

func TestEndsIn(t *testing.T) {
	d, other := digest.FromString("content"), digest.FromString("other")
	key := "r/app/b/" + objectkey.DigestPath(d)
	require.True(t, objectkey.EndsIn(key, d))
	require.False(t, objectkey.EndsIn(key, other))
	require.False(t, objectkey.EndsIn(key, ""))
	require.False(t, objectkey.EndsIn(key, digest.Digest(d.Encoded())))
	require.False(t, objectkey.EndsIn(key[1:len(key)-1], d))
	require.False(t, objectkey.EndsIn("r/app/b/xsha256/"+d.Encoded(), d))
	require.False(t, objectkey.EndsIn(objectkey.DigestPath(d), d), "no key")
	require.False(t, objectkey.EndsIn("", d))
}
