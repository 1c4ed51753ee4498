package events

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distribution/distribution/v3/notifications"
	"github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/registrykit/registry/internal/e2e/harness"
	"github.com/stretchr/testify/require"
)

// TestReceiverOfDistribution sends the events of a push, a pull, a mount and deletes to a receiver
// that was written for the CNCF registry: it decodes them into the types of that registry, and
// refuses fields that these do not have.
func TestReceiverOfDistribution(t *testing.T) {
	var mu sync.Mutex
	var got []notifications.Event
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if kind := r.Header.Get("Content-Type"); kind != notifications.EventsMediaType {
			http.Error(w, kind, http.StatusUnsupportedMediaType)
			return
		}
		decoder := json.NewDecoder(r.Body)
		decoder.DisallowUnknownFields()
		var envelope struct { // notifications.Envelope, which is for senders, has events of any type
			Events []notifications.Event `json:"events"`
		}
		if err := decoder.Decode(&envelope); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, envelope.Events...)
	}))
	defer receiver.Close()
	server := harness.New(t, options(t, []string{"-log-level", "warn", "-webhook-allow-private",
		"-external-url", "https://registry.example",
		"-webhook", receiver.URL + "/events#format=cncf&actions=push,pull,mount,delete"}))
	manifest, layer := sequence(t, harness.NewClient(server.URL()))

	find := func(action, repo, tag string, d digest.Digest) (found notifications.Event) {
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range got {
				if e.Action == action && e.Target.Repository == repo && e.Target.Tag == tag && e.Target.Digest == d {
					found = e
					return true
				}
			}
			return false
		}, 10*time.Second, 10*time.Millisecond, "%s of %s:%s %s", action, repo, tag, d)
		return found
	}
	push := find(notifications.EventActionPush, "team/app", "v1", digest.FromBytes(manifest))
	require.Equal(t, imagespec.MediaTypeImageManifest, push.Target.MediaType)
	require.Equal(t, int64(len(manifest)), push.Target.Size)
	require.Equal(t, push.Target.Size, push.Target.Length) //nolint:staticcheck // old receivers read it
	require.Equal(t, "https://registry.example/v2/team/app/manifests/"+string(digest.FromBytes(manifest)), push.Target.URL)
	require.NotEmpty(t, push.ID)
	require.WithinDuration(t, time.Now(), push.Timestamp, time.Minute)
	require.Equal(t, http.MethodPut, push.Request.Method)
	require.Equal(t, server.Addr, push.Request.Host)
	require.True(t, strings.HasPrefix(push.Request.Addr, "127.0.0.1:"), push.Request.Addr)
	require.NotEmpty(t, push.Request.ID)
	require.NotEmpty(t, push.Request.UserAgent)
	require.NotEmpty(t, push.Source.InstanceID)

	find(notifications.EventActionPush, "team/app", "", digest.FromBytes(layer))
	find(notifications.EventActionPull, "team/app", "v1", digest.FromBytes(manifest))
	mount := find(notifications.EventActionMount, "team/other", "", digest.FromBytes(layer))
	require.Equal(t, "team/app", mount.Target.FromRepository)
	find(notifications.EventActionDelete, "team/app", "v1", "")
	find(notifications.EventActionDelete, "team/app", "", digest.FromBytes(manifest))
}

// sequence pushes an image, pulls it, mounts its layer, and deletes its tag and the image.
func sequence(t *testing.T, c *harness.Client) (manifest, layer []byte) {
	t.Helper()
	ctx := t.Context()
	config, layer := []byte(`{"os":"linux","architecture":"amd64"}`), harness.RandomBytes(1, 1000)
	for _, b := range [][]byte{config, layer} {
		_, err := c.PushBlob(ctx, "team/app", b)
		require.NoError(t, err)
	}
	manifest = harness.Manifest("one", config, layer)
	require.NoError(t, c.PutManifest(ctx, "team/app", "v1", imagespec.MediaTypeImageManifest, manifest))
	require.NoError(t, c.PullManifest(ctx, "team/app", "v1", digest.FromBytes(manifest)))
	location, err := c.Mount(ctx, "team/other", digest.FromBytes(layer), "team/app")
	require.NoError(t, err)
	require.Empty(t, location, "the layer was mounted")
	require.NoError(t, c.Delete(ctx, "/v2/team/app/manifests/v1"))
	require.NoError(t, c.Delete(ctx, "/v2/team/app/manifests/"+digest.FromBytes(manifest).String()))
	return manifest, layer
}

// harborReceiver is a receiver that was written for Harbor. No such receiver can be imported, so
// this one follows the rules of known ones (Argo CD Image Updater, Kargo): POST, JSON, the secret as
// the header Authorization, PUSH_ARTIFACT with a tag, the payload of Harbor's documentation.
type harborReceiver struct {
	secret string

	mu     sync.Mutex
	pushed []string // HOST/REPOSITORY:TAG@DIGEST
	others []string // types of other events
}

// harborPayload has the fields of Harbor's payload "Default" for artifacts.
type harborPayload struct {
	Type      string `json:"type"`
	OccurAt   int64  `json:"occur_at"`
	Operator  string `json:"operator"`
	EventData struct {
		Resources []struct {
			Digest      string `json:"digest"`
			Tag         string `json:"tag"`
			ResourceURL string `json:"resource_url"`
		} `json:"resources"`
		Repository struct {
			DateCreated  int64  `json:"date_created"`
			Name         string `json:"name"`
			Namespace    string `json:"namespace"`
			RepoFullName string `json:"repo_full_name"`
			RepoType     string `json:"repo_type"`
		} `json:"repository"`
		CustomAttributes map[string]string `json:"custom_attributes"`
	} `json:"event_data"`
}

func (h *harborReceiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(h.secret)) != 1 {
		http.Error(w, "incorrect webhook secret", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = h.receive(r, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (h *harborReceiver) receive(r *http.Request, body []byte) error {
	if r.Method != http.MethodPost || !strings.Contains(r.Header.Get("Content-Type"), "application/json") {
		return errors.New("not a webhook of Harbor")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	var p harborPayload
	if err := decoder.Decode(&p); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p.Type != "PUSH_ARTIFACT" {
		h.others = append(h.others, p.Type)
		return nil
	}
	if p.OccurAt == 0 || len(p.EventData.Resources) != 1 || p.EventData.Resources[0].Tag == "" {
		return fmt.Errorf("incomplete: %s", body)
	}
	resource, repo := p.EventData.Resources[0], p.EventData.Repository
	name := repo.RepoFullName
	if repo.Namespace+"/"+repo.Name != name {
		return fmt.Errorf("names that differ: %s", body)
	}
	host, rest, _ := strings.Cut(resource.ResourceURL, "/")
	if rest != name+":"+resource.Tag {
		return fmt.Errorf("another resource: %s", body)
	}
	h.pushed = append(h.pushed, host+"/"+name+":"+resource.Tag+"@"+resource.Digest)
	return nil
}

// TestReceiverOfHarbor sends the same events to a receiver that was written for Harbor.
func TestReceiverOfHarbor(t *testing.T) {
	h := &harborReceiver{secret: "Bearer of-harbor"}
	receiver := httptest.NewServer(h)
	defer receiver.Close()
	authorization := filepath.Join(t.TempDir(), "authorization")
	require.NoError(t, os.WriteFile(authorization, []byte(h.secret+"\n"), 0o600))
	server := harness.New(t, options(t, []string{"-log-level", "warn", "-webhook-allow-private",
		"-external-url", "https://registry.example", "-webhook-format", "harbor",
		"-webhook", receiver.URL + "/hook#actions=push,pull,delete&authorization-file=" + authorization}))
	manifest, _ := sequence(t, harness.NewClient(server.URL()))
	require.Eventually(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.pushed) == 1 && len(h.others) >= 2
	}, 10*time.Second, 10*time.Millisecond)
	h.mu.Lock()
	defer h.mu.Unlock()
	require.Equal(t, []string{"registry.example/team/app:v1@" + digest.FromBytes(manifest).String()}, h.pushed)
	require.ElementsMatch(t, []string{"PULL_ARTIFACT", "DELETE_ARTIFACT"}, h.others)
}
