package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
)

// counted is a Backend whose lists have as many elements as the name of the repository says. Each
// element has the name of the repository.
type counted struct{ registry.Unimplemented }

func (counted) Referrers(_ context.Context, repo string, _ digest.Digest,
	_ *registry.ReferrersOptions) iter.Seq2[ocispec.Descriptor, error] {
	return func(yield func(ocispec.Descriptor, error) bool) {
		n, _ := strconv.Atoi(repo)
		for i := range n {
			d := digest.FromString(fmt.Sprint(repo, i))
			if !yield(ocispec.Descriptor{MediaType: "a/b", Digest: d, Annotations: map[string]string{"in": repo}}, nil) {
				return
			}
		}
	}
}

func (counted) Tags(_ context.Context, repo string, _ *registry.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		n, _ := strconv.Atoi(repo)
		for i := range n {
			if !yield(fmt.Sprintf("t-%s-%d", repo, i), nil) {
				return
			}
		}
	}
}

// TestConcurrentListsDoNotMix requests lists of many sizes at the same time, some of them equal. A
// buffer that is used again too early would show up as a wrong list.
func TestConcurrentListsDoNotMix(t *testing.T) {
	reg, err := registry.New(counted{}, &registry.Options{PageSize: 5000})
	require.NoError(t, err)
	for _, version := range []int{1, 2} {
		srv := httptest.NewUnstartedServer(reg)
		srv.EnableHTTP2 = version == 2
		srv.StartTLS()
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 30 {
					n := []int{0, 1, 20, 300, 500, 1500}[(worker/2+i)%6]
					if err := checkCounted(srv, n, version); err != nil {
						t.Errorf("%d elements: %v", n, err)
					}
				}
			})
		}
		wg.Wait()
		srv.Close()
	}
}

// checkCounted checks both lists of the repository that is named n.
func checkCounted(srv *httptest.Server, n, version int) error {
	var list struct {
		Manifests []ocispec.Descriptor
		Tags      []string
	}
	for _, path := range []string{"/referrers/" + fixedBlob, "/tags/list"} {
		resp, err := srv.Client().Get(srv.URL + "/v2/" + strconv.Itoa(n) + path)
		if err != nil {
			return err
		}
		err = json.NewDecoder(resp.Body).Decode(&list)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || resp.ProtoMajor != version {
			return fmt.Errorf("%s: status %d, HTTP/%d: %w", path, resp.StatusCode, resp.ProtoMajor, err)
		}
	}
	if len(list.Manifests) != n || len(list.Tags) != n {
		return fmt.Errorf("%d referrers and %d tags", len(list.Manifests), len(list.Tags))
	}
	for i := range n {
		d, tag := list.Manifests[i], fmt.Sprintf("t-%d-%d", n, i)
		want := digest.FromString(fmt.Sprint(strconv.Itoa(n), i))
		if d.Digest != want || d.Annotations["in"] != strconv.Itoa(n) || list.Tags[i] != tag {
			return fmt.Errorf("element %d is %v and %s", i, d, list.Tags[i])
		}
	}
	return nil
}
