package web_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/storage/memory"
)

// TestReplicas: what one replica has deleted, another one offers to restore, and restores.
func TestReplicas(t *testing.T) {
	d := memory.New(nil)
	one := newSiteOver(t, d, nil)
	two := newSiteAgain(t, d, nil)
	image := one.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	page := one.get(t, "ann", "/repositories/acme/app/-/delete?digest="+image.String())
	done := two.submitDelete(t, "ann", page)
	after := one.follow(t, "ann", done)
	require.Contains(t, after.text, "Deleted: v1")
	require.False(t, one.exists(t, "acme/app", byTag("v1")))
	require.Contains(t, one.follow(t, "ann", one.submitAll(t, "ann", after, ".undo form")).text, "Restored: v1")
	require.True(t, two.exists(t, "acme/app", byTag("v1")))
}

// TestDeleteAgainstPush: of a delete of a tag and a push that moves it, one wins, and the other one fails or comes
// before. The image of the push is never lost.
func TestDeleteAgainstPush(t *testing.T) {
	s := newSite(t, nil)
	b := s.registry.Backend(s.identity(t, "ann"))
	old := pushImage(t, b, "acme/app", "keep", amd64, "old")
	fresh := pushImage(t, b, "acme/app", "new", amd64, "new")
	content := map[string]*registry.Manifest{}
	for name, d := range map[string]reference.Ref{"old": {Digest: old}, "new": {Digest: fresh}} {
		m, err := b.GetManifest(t.Context(), "acme/app", d)
		require.NoError(t, err)
		content[name] = m
	}
	put := func(m *registry.Manifest, name string) error {
		_, err := b.PutManifest(t.Context(), "acme/app", m.Descriptor.MediaType, m.Content,
			&registry.PutOptions{Tags: []registry.TagPut{{Name: name}}})
		return err
	}
	for i := range 20 {
		name := fmt.Sprintf("t%d", i)
		require.NoError(t, put(content["old"], name))
		var wg sync.WaitGroup
		var pushed error
		statuses := make([]int, 2)
		wg.Go(func() { pushed = put(content["new"], name) })
		for n := range statuses {
			wg.Go(func() {
				statuses[n] = s.raw(t, "ann", "POST", "/repositories/acme/app/-/delete",
					"tag="+name+"&tag-version=%22"+old.String()+"%22").StatusCode
			})
		}
		wg.Wait()
		require.NoError(t, pushed)
		require.Subset(t, []int{http.StatusSeeOther, http.StatusConflict}, statuses)
		require.False(t, statuses[0] == http.StatusSeeOther && statuses[1] == http.StatusSeeOther, "two deletes have won")
		now, err := s.store.StatManifest(t.Context(), "acme/app", byTag(name), nil)
		require.NoError(t, err, "a delete of the old image has removed the tag of the new one")
		require.Equal(t, fresh, now.Digest)
	}
}
