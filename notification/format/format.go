package format

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/registry/notification"
)

// Format encodes events. It is safe for concurrent use, and the same events always give the same
// messages.
type Format interface {
	// Encode returns the messages to send, in order. It returns none if the format has no form for
	// any of the events.
	Encode(events []notification.Event) ([]Message, error)
}

// Message is one HTTP request or one message of a broker.
type Message struct {
	// ID identifies the message. It depends on the IDs of its events only, so that it is the same
	// for every attempt. For a single event it is the ID of the event.
	ID string
	// ContentType is the media type of Body.
	ContentType string
	// Header has further headers. It is nil except for CloudEvents in binary mode.
	Header http.Header
	// Body is the encoded message.
	Body []byte
	// Events is how many more events have been sent completely after this message. It includes
	// events before and after that the format has no form for. It is zero if more messages about
	// the same event follow.
	Events int
	// EventIDs are the IDs of the events that Body contains, for logs.
	EventIDs []string
}

// The names of the formats for [Named].
const (
	NameCNCF              = "cncf"
	NameHarbor            = "harbor"
	NameCloudEvents       = "cloudevents"
	NameCloudEventsBinary = "cloudevents-binary"
	NameCloudEventsBatch  = "cloudevents-batch"
	NameJSON              = "json"
)

// Options are the options of all formats, for [Named].
type Options struct {
	// ExternalURL is the URL of the registry for clients. See [CNCFOptions], [HarborOptions] and
	// [CloudEventsOptions], where it is the source.
	ExternalURL string
}

// Named returns the format with a name, see the constants. It returns an error that lists the names
// if there is no such format, and one if ExternalURL is not a URL such as https://registry.example.
func Named(name string, opts *Options) (Format, error) {
	var external string
	if opts != nil {
		external = opts.ExternalURL
	}
	if u, err := url.Parse(external); external != "" && (err != nil || u.Host == "") {
		return nil, errors.New("format: the external URL is not one such as https://registry.example")
	}
	switch name {
	case NameCNCF:
		return CNCF(&CNCFOptions{ExternalURL: external}), nil
	case NameHarbor:
		return Harbor(&HarborOptions{ExternalURL: external}), nil
	case NameCloudEvents:
		return CloudEvents(Structured, &CloudEventsOptions{Source: external}), nil
	case NameCloudEventsBinary:
		return CloudEvents(Binary, &CloudEventsOptions{Source: external}), nil
	case NameCloudEventsBatch:
		return CloudEvents(Batch, &CloudEventsOptions{Source: external}), nil
	case NameJSON:
		return JSON(), nil
	}
	return nil, fmt.Errorf("format: %.64q is not one of %s, %s, %s, %s, %s and %s", name, NameCNCF, NameHarbor,
		NameCloudEvents, NameCloudEventsBinary, NameCloudEventsBatch, NameJSON)
}

// marshal encodes v without the escapes for HTML, which make addresses in logs hard to read.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// batchID returns the ID of a message with several events.
func batchID(events []notification.Event) string {
	if len(events) == 1 {
		return events[0].ID
	}
	h := sha256.New()
	for _, e := range events {
		fmt.Fprintf(h, "%d:%s", len(e.ID), e.ID)
	}
	return sibling(events[0].ID, h.Sum(nil))
}

func eventIDs(events []notification.Event) []string {
	ids := make([]string, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	return ids
}

// partID returns the ID of one of several parts of an event. The first part has the ID of the event
// itself. name tells the others apart.
func partID(event string, part int, name string) string {
	if part == 0 {
		return event
	}
	sum := sha256.Sum256([]byte(event + "/" + name))
	return sibling(event, sum[:])
}

// sibling returns an ID that begins like id and ends with digits of sum. The sibling of a UUID of
// version 7 is a UUID of version 7 with the same time, so IDs stay sortable.
func sibling(id string, sum []byte) string {
	digits := hex.EncodeToString(sum)
	if len(id) != 36 || strings.Count(id, "-") != 4 {
		return id + "-" + digits[:16]
	}
	return id[:20] + digits[:3] + "-" + digits[4:16]
}
