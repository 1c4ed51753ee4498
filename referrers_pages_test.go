package registry_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/registrytest"
)

// TestReferrersPagesLoseNone follows the links of lists whose pages end for different reasons: the
// number of referrers, their size, and the bytes read for a page. If a page skipped a referrer, it
// would hide a signature.
func TestReferrersPagesLoseNone(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ referrers, size, pageSize int }{
		{6, 3_900_000, 1000}, {12, 3_000_000, 1000}, {20, 1_500_000, 1000}, {30, 500_000, 9}, {150, 100, 64},
		{200, 60_000, 128},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			s, client := newRegistry(t, &registry.Options{PageSize: c.pageSize})
			subject := registrytest.RandomImage(1, 1, 10).Descriptor
			var all, some []string
			for i := range c.referrers {
				size, artifactType := c.size, fmt.Sprintf("a/%d", i%3)
				if i%4 == 0 {
					size = random.IntN(2000)
				}
				artifact := registrytest.Artifact(artifactType, subject,
					map[string]string{"i": fmt.Sprint(i), "x": strings.Repeat("x", size)})
				require.NoError(t, artifact.Push(t.Context(), s.Store, "a"))
				all = append(all, string(artifact.Descriptor.Digest))
				if i%3 != 0 {
					some = append(some, string(artifact.Descriptor.Digest))
				}
			}
			path := "/v2/a/referrers/" + string(subject.Digest)
			require.ElementsMatch(t, all, digestsOf(client.referrers(path)))
			require.ElementsMatch(t, some, digestsOf(client.referrers(path+"?artifactType=a/1&artifactType=a/2")))
		})
	}
}

func digestsOf(pages [][]descriptor) []string {
	var all []string
	for _, page := range pages {
		for _, desc := range page {
			all = append(all, string(desc.Digest))
		}
	}
	return all
}
