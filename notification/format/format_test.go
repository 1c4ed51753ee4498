package format_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/format"
)

func TestNamed(t *testing.T) {
	_, err := format.Named("cnfc", nil)
	require.EqualError(t, err, `format: "cnfc" is not one of cncf, harbor, cloudevents, cloudevents-binary, `+
		`cloudevents-batch and json`)
	for _, external := range []string{"registry.example", "https://", "%zz"} {
		_, err = format.Named(format.NameCNCF, &format.Options{ExternalURL: external})
		require.Error(t, err)
	}
	for _, name := range names {
		f, err := format.Named(name, nil)
		require.NoError(t, err)
		messages, err := f.Encode(nil)
		require.NoError(t, err)
		require.Empty(t, messages, name)
	}
}

// TestEventsCounted: whatever a format leaves out, the messages account for all events, and a count
// rises only when the last message about an event has been sent.
func TestEventsCounted(t *testing.T) {
	var all []notification.Event
	for _, s := range samples() {
		all = append(all, s.event)
	}
	for _, name := range names {
		f, err := format.Named(name, nil)
		require.NoError(t, err)
		for from := range all {
			for to := from + 1; to <= len(all); to++ {
				messages, err := f.Encode(all[from:to])
				require.NoError(t, err)
				events := 0
				ids := map[string]bool{}
				for _, m := range messages {
					events += m.Events
					require.False(t, ids[m.ID], "a message ID occurs twice")
					ids[m.ID] = true
					require.NotEmpty(t, m.EventIDs)
				}
				if len(messages) > 0 {
					require.Equal(t, to-from, events, name)
					require.Positive(t, messages[len(messages)-1].Events)
				}
			}
		}
	}
	f := format.Harbor(nil)
	messages, err := f.Encode([]notification.Event{all[2], all[0], all[10], all[1], all[12]})
	require.NoError(t, err)
	var counts []int
	for _, m := range messages {
		counts = append(counts, m.Events)
	}
	require.Equal(t, []int{0, 2, 3}, counts, "blob, push of two tags, move, push, missing")
}

// TestBatchID: the ID of a message with several events depends on all of them and on their order.
func TestBatchID(t *testing.T) {
	all := samples()
	a, b, c := all[0].event, all[1].event, all[3].event
	ids := map[string]bool{}
	for _, events := range [][]notification.Event{{a}, {a, b}, {b, a}, {a, c}, {a, b, c}} {
		messages, err := format.JSON().Encode(events)
		require.NoError(t, err)
		require.Len(t, messages, 1)
		require.False(t, ids[messages[0].ID])
		ids[messages[0].ID] = true
		require.Len(t, messages[0].ID, 36)
		require.True(t, strings.HasPrefix(messages[0].ID, events[0].ID[:20]), "it sorts like its first event")
	}
	a.ID, b.ID = "x", "y" // a host makes events of its own
	messages, err := format.JSON().Encode([]notification.Event{a, b})
	require.NoError(t, err)
	require.Regexp(t, `^x-[0-9a-f]{16}$`, messages[0].ID)
}

// TestUnknownAction: events of later versions pass in the formats that have every field.
func TestUnknownAction(t *testing.T) {
	e := notification.Event{ID: id(1), Action: "exceeded", Kind: "quota", Repository: "team/app", Actor: `a"b`}
	for _, name := range names {
		f, err := format.Named(name, nil)
		require.NoError(t, err)
		messages, err := f.Encode([]notification.Event{e})
		require.NoError(t, err)
		if name == format.NameCNCF || name == format.NameHarbor {
			require.Empty(t, messages, name)
			continue
		}
		require.Len(t, messages, 1)
		if name != format.NameJSON {
			text := string(messages[0].Body) + messages[0].Header.Get("Ce-Type")
			require.Contains(t, text, "registry.quota.exceeded")
		}
	}
}

func TestJSONRoundTrip(t *testing.T) {
	var all []notification.Event
	for _, s := range samples() {
		all = append(all, s.event)
	}
	messages, err := format.JSON().Encode(all)
	require.NoError(t, err)
	var got struct{ Events []notification.Event }
	require.NoError(t, json.Unmarshal(messages[0].Body, &got))
	require.Equal(t, all, got.Events)
}

func TestHarborRepositories(t *testing.T) {
	f := format.Harbor(&format.HarborOptions{
		ExternalURL: "https://registry.example:8443/base/",
		Public:      func(repository string) bool { return repository == "app" },
	})
	for repository, want := range map[string]string{
		"app":      `{"name":"app","namespace":"","repo_full_name":"app","repo_type":"public"}`,
		"a/b/c":    `{"name":"b/c","namespace":"a","repo_full_name":"a/b/c","repo_type":"private"}`,
		"team/app": `{"name":"app","namespace":"team","repo_full_name":"team/app","repo_type":"private"}`,
	} {
		e := samples()[3].event
		e.Repository = repository
		messages, err := f.Encode([]notification.Event{e})
		require.NoError(t, err)
		var got struct {
			EventData struct {
				Repository json.RawMessage
				Resources  []struct {
					URL string `json:"resource_url"`
				}
			} `json:"event_data"`
		}
		require.NoError(t, json.Unmarshal(messages[0].Body, &got))
		require.JSONEq(t, want, string(got.EventData.Repository))
		require.Equal(t, "registry.example:8443/base/"+repository+":v1", got.EventData.Resources[0].URL)
	}
}

// TestCloudEventsHeaders: values are encoded as the HTTP binding demands.
func TestCloudEventsHeaders(t *testing.T) {
	f := format.CloudEvents(format.Binary, &format.CloudEventsOptions{Source: "/a b/\"%\"/ü"})
	messages, err := f.Encode([]notification.Event{samples()[0].event})
	require.NoError(t, err)
	got := messages[0].Header.Get("Ce-Source")
	require.Equal(t, "/a%20b/%22%25%22/%C3%BC", got)
	decoded, err := url.PathUnescape(got)
	require.NoError(t, err)
	require.Equal(t, `/a b/"%"/ü`, decoded)
}

// TestCNCFWithoutExternalURL: a client cannot choose the host of a link.
func TestCNCFWithoutExternalURL(t *testing.T) {
	e := samples()[0].event
	e.Request.Host = "evil.example"
	messages, err := format.CNCF(&format.CNCFOptions{Addr: "node-1:5000"}).Encode([]notification.Event{e})
	require.NoError(t, err)
	require.NotContains(t, string(messages[0].Body), `"url"`)
	require.Contains(t, string(messages[0].Body), `"addr":"node-1:5000"`)
}

// TestCNCFUnknownDigest: a delete whose digest is not known must not look like one of the repository.
func TestCNCFUnknownDigest(t *testing.T) {
	for _, kind := range []notification.Kind{notification.Manifest, notification.Blob} {
		e := notification.Event{ID: id(1), Action: notification.Delete, Kind: kind, Repository: "team/app"}
		messages, err := format.CNCF(nil).Encode([]notification.Event{e})
		require.NoError(t, err)
		require.Empty(t, messages)
	}
}
