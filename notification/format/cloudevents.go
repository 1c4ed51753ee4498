package format

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// Mode is the content mode of [CloudEvents].
type Mode int

const (
	// Structured sends each event as a JSON object with the content type
	// application/cloudevents+json.
	Structured Mode = iota
	// Binary sends the attributes of each event as headers that begin with "Ce-", and
	// [notification.Event] as the body. A signature of package webhook covers the body only: a
	// receiver that verifies it must take repository, tag and action from there.
	Binary
	// Batch sends all events as a JSON array with the content type
	// application/cloudevents-batch+json.
	Batch
)

// CloudEventsOptions are the options of [CloudEvents].
type CloudEventsOptions struct {
	// Source is the attribute source, a URI reference such as "https://registry.example". Default:
	// "/registry".
	Source string
}

// CloudEvents returns the format CloudEvents 1.0. No event is left out. The attributes are:
//
//   - id: [notification.Event.ID].
//   - source: Options.Source.
//   - type: "registry.", the kind, and what happened to it, such as "registry.manifest.pushed". The
//     verbs are pushed, pulled, mounted, deleted, moved and restored. [notification.Missing] is
//     "registry.events.missing", and [notification.Quota] is "registry.quota".
//     [notification.Account] is "registry.account." and the change, such as
//     "registry.account.user.create". An action that this package does not know is used as it is,
//     such as "registry.KIND.ACTION".
//   - subject: "repository:tag" for an event with one tag, else "repository@digest". For a
//     repository it is its name, and for [notification.Account] the name of the account if the
//     event is not about a repository.
//   - time, and datacontenttype application/json.
//   - partitionkey: the repository, or else the ID of the account, so that a broker keeps the order
//     of each.
//   - sequence: the ID again. It ascends as a string.
//   - data: [notification.Event] in JSON.
func CloudEvents(mode Mode, opts *CloudEventsOptions) Format {
	o := options.Value(opts)
	if o.Source == "" {
		o.Source = "/registry"
	}
	return cloudEvents{mode: mode, source: o.Source}
}

type cloudEvents struct {
	mode   Mode
	source string
}

type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject,omitempty"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	Sequence        string          `json:"sequence"`
	Data            json.RawMessage `json:"data"`
}

func (f cloudEvents) Encode(events []notification.Event) ([]Message, error) {
	if len(events) == 0 {
		return nil, nil
	}
	all := make([]cloudEvent, len(events))
	for i, e := range events {
		data, err := marshal(e)
		if err != nil {
			return nil, err
		}
		all[i] = cloudEvent{
			SpecVersion: "1.0", ID: e.ID, Source: f.source, Type: cloudEventType(e), Subject: cloudEventSubject(e),
			Time: e.Time.Format(time.RFC3339Nano), DataContentType: "application/json",
			PartitionKey: cloudEventPartition(e), Sequence: e.ID, Data: data,
		}
	}
	if f.mode == Batch {
		body, err := marshal(all)
		if err != nil {
			return nil, err
		}
		return []Message{{
			ID: batchID(events), ContentType: "application/cloudevents-batch+json", Body: body, Events: len(events),
			EventIDs: eventIDs(events),
		}}, nil
	}
	out := make([]Message, len(all))
	for i, e := range all {
		m := Message{ID: e.ID, Events: 1, EventIDs: []string{e.ID}}
		if f.mode == Binary {
			m.ContentType, m.Header, m.Body = e.DataContentType, e.header(), e.Data
		} else {
			body, err := marshal(e)
			if err != nil {
				return nil, err
			}
			m.ContentType, m.Body = "application/cloudevents+json", body
		}
		out[i] = m
	}
	return out, nil
}

// header returns the attributes as headers.
func (e cloudEvent) header() http.Header {
	h := make(http.Header)
	for name, value := range map[string]string{
		"specversion": e.SpecVersion, "id": e.ID, "source": e.Source, "type": e.Type, "subject": e.Subject,
		"time": e.Time, "partitionkey": e.PartitionKey, "sequence": e.Sequence,
	} {
		if value != "" {
			h.Set("Ce-"+name, headerValue(value))
		}
	}
	return h
}

// headerValue encodes the value of an attribute, see "HTTP Header Values" in the HTTP binding.
func headerValue(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func cloudEventType(e notification.Event) string {
	switch {
	case e.Action == notification.Missing:
		return "registry.events.missing"
	case e.Action == notification.Account && e.Account != nil && e.Account.Change != "":
		return "registry.account." + e.Account.Change
	}
	verb, ok := map[notification.Action]string{
		notification.Push: "pushed", notification.Pull: "pulled", notification.Mount: "mounted",
		notification.Delete: "deleted", notification.Move: "moved", notification.Restore: "restored",
	}[e.Action]
	if !ok {
		verb = string(e.Action)
	}
	if e.Kind == "" {
		return "registry." + verb
	}
	return "registry." + string(e.Kind) + "." + verb
}

func cloudEventPartition(e notification.Event) string {
	if e.Repository == "" && e.Account != nil {
		return e.Account.ID
	}
	return e.Repository
}

func cloudEventSubject(e notification.Event) string {
	switch {
	case e.Repository == "" && e.Account != nil:
		return e.Account.Name
	case e.Repository == "":
		return ""
	case len(e.Tags) == 1:
		return e.Repository + ":" + e.Tags[0]
	case e.Target != nil && e.Target.Digest != "":
		return e.Repository + "@" + string(e.Target.Digest)
	}
	return e.Repository
}
