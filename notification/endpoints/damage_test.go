package endpoints_test

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/storage/memory"
)

// TestLeftBehind: what a process has left that was killed in a removal is removed within two days.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, d := newReceivers(), memory.New(nil)
		p := start(t, d, n, nil)
		id, _ := p.create(t, "registry", "ci", nil)
		other, _ := p.create(t, "registry", "other", nil)
		n.status("ci", 422)
		p.send(t, push("acme/app", "v1"))
		time.Sleep(5 * time.Minute)
		n.status("ci", 200)
		p.send(t, push("acme/app", "v2"))
		synctest.Wait()
		require.NoError(t, d.Delete(t.Context(), "d/e/~/~/"+string(id), ""))
		time.Sleep(48 * time.Hour)
		for _, key := range keys(t, d, "d/") {
			require.NotContains(t, key, string(id))
		}
		require.Len(t, p.deliveries(t, other, false), 2)
	})
}

// TestDamage: objects that cannot be read hold up nothing else.
func TestDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, content := range []string{"", "garbage", "{}", `{"fact":null}`, `{"fact":[]}`, `{"fact":{}}`,
			`{"fact":{"id":"registry.aaaaaaaaaaaaaaab","tags":["[a"]}}`} {
			n, d, log := newReceivers(), memory.New(nil), &lines{}
			p := start(t, d, n, func(o *endpoints.Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
			put := func(key string) {
				_, err := d.Put(t.Context(), key, strings.NewReader(content), nil)
				require.NoError(t, err)
			}
			id, _ := p.create(t, "registry", "ci", nil)
			put("d/e/~/~/registry.aaaaaaaaaaaaaaaa")
			put("d/e/~/~/x")
			put("d/g")
			put("d/l/" + string(id) + "/x")
			put("d/l/" + string(id) + "/ff239530-53ff-8fff-6c66-696e898bb5cf")
			put("d/h/x")
			n.status("ci", 500)
			p.send(t, push("acme/app", "v1"))
			p.send(t, push("acme/app", "v2"))
			time.Sleep(time.Minute)
			waiting := keys(t, d, "d/p/")
			require.Len(t, waiting, 2)
			put(waiting[1])
			p.kill()
			n.status("ci", 200)
			q := start(t, d, n, nil)
			time.Sleep(20 * time.Minute)
			got := n.at("ci")
			require.Len(t, got, 2)
			require.Equal(t, notification.Missing, got[1].Action)
			require.Equal(t, "corrupt", got[1].Gap.Reason)
			require.NotEmpty(t, q.deliveries(t, id, false))
			require.Contains(t, log.String(), "cannot be used")
			list := 0
			for _, err := range q.All(t.Context(), "") {
				require.NoError(t, err)
				list++
			}
			require.Equal(t, 1, list)
			require.Empty(t, keys(t, d, "d/p/"))
			q.stop()
		}
	})
}
