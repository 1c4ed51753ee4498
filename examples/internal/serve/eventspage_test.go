package serve

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/outbox"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/memory"
)

var update = flag.Bool("update", false, "write the JSON of TestEventsPage into docs/events.md")

const eventsPage = "../../../docs/events.md"

// block is a block of JSON or of a request in the page. A comment before it has its name.
var block = regexp.MustCompile("(?s)<!-- test: ([a-z-]+) -->\n```[a-z]*\n(.*?)```\n")

// TestEventsPage compares the events and messages in docs/events.md with those of a registry. IDs
// and times are fixed. With -update, it writes them into the page.
func TestEventsPage(t *testing.T) {
	want := examples(t)
	page, err := os.ReadFile(eventsPage)
	require.NoError(t, err)
	if *update {
		page = block.ReplaceAllFunc(page, func(b []byte) []byte {
			m := block.FindSubmatchIndex(b)
			return append(append(slices.Clone(b[:m[4]]), want[string(b[m[2]:m[3]])]...), b[m[5]:]...)
		})
		require.NoError(t, os.WriteFile(eventsPage, page, 0o600))
	}
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		require.Contains(t, want, m[1], "the page has an unknown block")
		require.Equal(t, want[m[1]], m[2], "block %s; -update writes it", m[1])
		delete(want, m[1])
	}
	require.Empty(t, slices.Collect(maps.Keys(want)), "the page lacks blocks")
}

// examples returns the blocks of the page by name.
func examples(t *testing.T) map[string]string {
	t.Helper()
	blocks := map[string]string{}
	events := record(t)
	for name, e := range events {
		blocks[name] = indented(t, e)
	}
	push := events["push"]
	for _, name := range []string{format.NameJSON, format.NameCNCF, format.NameHarbor, format.NameCloudEvents,
		format.NameCloudEventsBinary, format.NameCloudEventsBatch} {
		f, err := format.Named(name, &format.Options{ExternalURL: "https://registry.example"})
		require.NoError(t, err)
		messages, err := f.Encode([]notification.Event{push})
		require.NoError(t, err)
		blocks["format-"+name] = message(t, messages[0])
	}
	blocks["openssl"] = signing(t)
	return blocks
}

// signing returns the shell commands that sign a request, with the signature that they print.
func signing(t *testing.T) string {
	t.Helper()
	const secret, body = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr", `{"events":[]}`
	const id, timestamp = "0199c2f0-5a7e-7000-8e41-9f0b6c2d7a35", "1791797400"
	key, err := base64.StdEncoding.DecodeString(secret)
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "." + body))
	return `secret=whsec_` + secret + `
id=` + id + ` timestamp=` + timestamp + `
printf %s '` + body + `' >body.json
key=$(printf %s "${secret#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
signature=v1,$({ printf %s. "$id" "$timestamp"; cat body.json; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)
echo "$signature"   # v1,` + base64.StdEncoding.EncodeToString(mac.Sum(nil)) + `

# A request for your receiver. With this timestamp, it must refuse it as too old: try timestamp=$(date +%s) as well.
curl -i https://ci.example/hook --data-binary @body.json -H 'Content-Type: application/json' \
  -H "webhook-id: $id" -H "webhook-timestamp: $timestamp" -H "webhook-signature: $signature"
`
}

// message returns a message as the page shows it: the headers, and the body with line breaks.
func message(t *testing.T, m format.Message) string {
	t.Helper()
	out := "Content-Type: " + m.ContentType + "\n"
	for _, name := range slices.Sorted(maps.Keys(m.Header)) {
		out += name + ": " + m.Header.Get(name) + "\n"
	}
	return out + "\n" + indented(t, json.RawMessage(m.Body))
}

func indented(t *testing.T, v any) string {
	t.Helper()
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	require.NoError(t, enc.Encode(v))
	return out.String()
}

// recorder keeps the events of the last operation.
type eventRecorder struct{ last []notification.Event }

func (r *eventRecorder) Notify(_ context.Context, events []notification.Event) error {
	r.last = slices.Clone(events)
	return nil
}

// record runs every operation that has an event. It returns the events by the names of the blocks.
func record(t *testing.T) map[string]notification.Event {
	t.Helper()
	store, err := storage.New(t.Context(), memory.New(nil), &storage.Options{History: time.Hour})
	require.NoError(t, err)
	sink := &eventRecorder{}
	reg, err := registry.New(store, &registry.Options{Sink: sink, Instance: "registry-1/17",
		RequestID: func(*http.Request) string { return "0199c2f0-5a7e-7b10-9d3c-4c6f2b8e1a90" },
		Authenticator: auth.AuthenticatorFunc(func(*http.Request) (auth.Identity, error) {
			return auth.Identity{Name: "ann"}, nil
		}),
		Authorizer: auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil }),
	})
	require.NoError(t, err)
	events := map[string]notification.Event{}
	keep := func(name string, index int) {
		e := sink.last[index]
		number := len(events)
		e.ID = fmt.Sprintf("0199c2f0-5a7e-7%03d-8e41-9f0b6c2d7a35", number)
		e.Time = time.Date(2026, 10, 12, 9, 30, number, 123456789, time.UTC)
		events[name] = e
	}
	operations(t, store, reg, keep)
	sink.last = []notification.Event{reindexed(t)}
	keep("found", 0)
	keep("missing", 0)
	gap := events["missing"]
	events["missing"] = notification.Event{ID: gap.ID, Time: gap.Time, Action: notification.Missing,
		Instance: gap.Instance, Gap: &notification.Gap{
			Stream: "0199c2ee-01b3-7c55-8e41-77aa10cc93fe", Events: 1200, Reason: "age",
			First: gap.Time.Add(-8 * 24 * time.Hour), Last: gap.Time.Add(-7 * 24 * time.Hour)}}
	sink.last = []notification.Event{exceeded(t)}
	keep("quota", 0)
	sink.last = []notification.Event{joined(t)}
	keep("account", 0)
	return events
}

// joined returns the event of a user who joins a team, with a fixed ID of the organisation.
func joined(t *testing.T) notification.Event {
	t.Helper()
	sink := &eventRecorder{}
	people, err := accounts.New(memory.New(nil), &accounts.Options{Sink: sink})
	require.NoError(t, err)
	by := accounts.Actor{Name: "ann"}
	ann, err := people.CreateUser(t.Context(), by, "ann", "", nil)
	require.NoError(t, err)
	bob, err := people.CreateUser(t.Context(), by, "bob", "", nil)
	require.NoError(t, err)
	acme, err := people.CreateOrganisation(t.Context(), by, "acme", ann.ID, nil)
	require.NoError(t, err)
	_, err = people.CreateTeam(t.Context(), by, acme.ID, "dev", nil)
	require.NoError(t, err)
	by.Reason = "new colleague"
	require.NoError(t, people.JoinTeam(t.Context(), by, acme.ID, "dev", bob.ID))
	e := sink.last[0]
	require.Equal(t, string(acme.ID), e.Account.ID)
	e.Account.ID = "mzxw6ytboi2dqmrq"
	return e
}

// exceeded returns the event of a push that exceeds a soft limit.
func exceeded(t *testing.T) notification.Event {
	t.Helper()
	driver, sink := memory.New(nil), &eventRecorder{}
	store, err := storage.New(t.Context(), driver, nil)
	require.NoError(t, err)
	limits, err := quota.NewLimits([]quota.Limit{{Prefix: "ann", Max: quota.Amounts{Bytes: 100_000},
		Soft: quota.Amounts{Bytes: 1000}}})
	require.NoError(t, err)
	quotas, err := quota.New(store, store, driver, limits, &quota.Options{Sink: sink, Instance: "registry-1/17"})
	require.NoError(t, err)
	reg, err := registry.New(quotas, nil)
	require.NoError(t, err)
	b := reg.Backend(auth.Identity{Name: "ann"})
	require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), b, "ann/app", "v1"))
	require.Len(t, sink.last, 1)
	return sink.last[0]
}

// reindexed returns the event of a push whose own event was lost: it did not go through a registry.
func reindexed(t *testing.T) (found notification.Event) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		driver := memory.New(nil)
		store, err := storage.New(t.Context(), driver, nil)
		require.NoError(t, err)
		box, err := outbox.New(driver, nil, &outbox.Options{Instance: "registry-1/17"})
		require.NoError(t, err)
		require.NoError(t, box.Notify(t.Context(), []notification.Event{{ID: notification.NewID(), Time: time.Now()}}))
		time.Sleep(time.Second)
		require.NoError(t, registrytest.RandomImage(1, 1, 1000).Push(t.Context(), store, "ann/app", "v1", "latest"))
		time.Sleep(time.Hour)
		report, err := box.Reindex(t.Context(), store, nil)
		require.NoError(t, err)
		require.EqualValues(t, 1, report.Pushed)
		for entry, err := range box.Since(t.Context(), "", nil) {
			require.NoError(t, err)
			found = entry.Event
		}
	})
	return found
}

// operations runs the operations, and calls keep after each with the name and the index of its
// event.
func operations(t *testing.T, store *storage.Store, reg *registry.Registry, keep func(name string, index int)) {
	t.Helper()
	image, second := registrytest.RandomImage(1, 1, 1000), registrytest.RandomImage(2, 1, 1000)
	send := func(want int, method, path string, body []byte) {
		r := httptest.NewRequest(method, "https://registry.example"+path, bytes.NewReader(body))
		r.RemoteAddr = "192.0.2.7:51824"
		r.Header.Set("User-Agent", "docker/29.7.2")
		if strings.Contains(path, "/manifests/") && method == "PUT" {
			r.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
		}
		w := httptest.NewRecorder()
		reg.ServeHTTP(w, r)
		require.Equal(t, want, w.Code, "%s %s: %s", method, path, w.Body)
	}
	layer := digest.FromBytes(image.Blobs[1]).String()
	send(201, "POST", "/v2/ann/app/blobs/uploads/?digest="+layer, image.Blobs[1])
	keep("push-blob", 0)
	require.NoError(t, image.Push(t.Context(), store, "ann/app"))
	require.NoError(t, second.Push(t.Context(), store, "ann/app"))
	first := image.Descriptor.Digest.String()
	send(201, "PUT", "/v2/ann/app/manifests/"+first+"?tag=v1&tag=latest", image.Manifest)
	keep("push", 0)
	send(201, "PUT", "/v2/ann/app/manifests/latest", second.Manifest)
	keep("move", 1)
	send(201, "POST", "/v2/ann/other/blobs/uploads/?mount="+layer+"&from=ann/app", nil)
	keep("mount", 0)
	send(200, "GET", "/v2/ann/app/manifests/v1", nil)
	keep("pull", 0)
	send(200, "GET", "/v2/ann/app/blobs/"+layer, nil)
	keep("pull-blob", 0)
	send(202, "DELETE", "/v2/ann/app/manifests/v1", nil)
	keep("delete-tag", 0)
	send(202, "DELETE", "/v2/ann/app/manifests/"+second.Descriptor.Digest.String(), nil)
	keep("delete-manifest", 0)
	ann := reg.Backend(auth.Identity{Name: "ann"})
	restorer, ok := ann.(registry.Restorer)
	require.True(t, ok)
	_, err := restorer.Restore(t.Context(), "ann/app", reference.Ref{Digest: second.Descriptor.Digest}, nil)
	require.NoError(t, err)
	keep("restore", 0)
	send(202, "DELETE", "/v2/ann/other/blobs/"+layer, nil)
	keep("delete-blob", 0)
	require.NoError(t, ann.DeleteRepository(t.Context(), "ann/app", nil))
	keep("delete-repository", 0)
}
