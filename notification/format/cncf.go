package format

import (
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// CNCFType is the content type of [CNCF].
const CNCFType = "application/vnd.docker.distribution.events.v2+json"

// CNCFOptions are the options of [CNCF].
type CNCFOptions struct {
	// ExternalURL is the URL of the registry for clients, such as "https://registry.example". It is
	// the beginning of target.url. If it is "", events have no target.url: the Host header of a
	// request is not used, because a client could make receivers fetch from another host with it.
	ExternalURL string
	// Addr is source.addr, which is the host name and port of the process in the CNCF registry.
	// Default: "", which leaves it out.
	Addr string
}

// CNCF returns the format of the CNCF registry, an envelope of version 2. All events are in one
// message. Receivers for that registry need no change:
//
//   - A push or pull of a manifest gives one event for each tag, or one without a tag.
//   - A delete of a manifest gives one event with the digest, and one for each tag that was removed
//     with it. A delete of a tag has the tag and no digest. A delete of a repository has neither.
//   - A restore is a push. A move is left out, because the push before it has the tag.
//   - [notification.Missing], [notification.Quota], [notification.Account] and unknown actions are
//     left out.
//   - Blobs without a media type have the type application/octet-stream.
//
// The first event has the ID of the [notification.Event]. The IDs of the others are derived from
// it, and are the same for every attempt. Events do not list what a manifest refers to, so
// target.references is never set.
func CNCF(opts *CNCFOptions) Format {
	o := options.Value(opts)
	o.ExternalURL = strings.TrimRight(o.ExternalURL, "/")
	return cncf{o}
}

type cncf struct{ opts CNCFOptions }

// The fields and their order are those of the CNCF registry. Receivers may rely on the fields
// without omitempty.
type cncfEvent struct {
	ID        string      `json:"id"`
	Timestamp time.Time   `json:"timestamp"`
	Action    string      `json:"action"`
	Target    cncfTarget  `json:"target"`
	Request   cncfRequest `json:"request"`
	Actor     cncfActor   `json:"actor"`
	Source    cncfSource  `json:"source"`
}

type cncfTarget struct {
	MediaType      string            `json:"mediaType,omitempty"`
	Digest         digest.Digest     `json:"digest,omitempty"`
	Size           int64             `json:"size,omitempty"`
	URLs           []string          `json:"urls,omitempty"`
	Annotations    map[string]string `json:"annotations,omitempty"`
	Platform       *ocispec.Platform `json:"platform,omitempty"`
	ArtifactType   string            `json:"artifactType,omitempty"`
	Length         int64             `json:"length,omitempty"`
	Repository     string            `json:"repository,omitempty"`
	FromRepository string            `json:"fromRepository,omitempty"`
	URL            string            `json:"url,omitempty"`
	Tag            string            `json:"tag,omitempty"`
}

type cncfRequest struct {
	ID        string `json:"id"`
	Addr      string `json:"addr,omitempty"`
	Host      string `json:"host,omitempty"`
	Method    string `json:"method"`
	UserAgent string `json:"useragent"`
}

type cncfActor struct {
	Name string `json:"name,omitempty"`
}

type cncfSource struct {
	Addr       string `json:"addr,omitempty"`
	InstanceID string `json:"instanceID,omitempty"`
}

func (f cncf) Encode(events []notification.Event) ([]Message, error) {
	var out []cncfEvent
	var sent []notification.Event
	for _, e := range events {
		if of := f.events(e); len(of) > 0 {
			out, sent = append(out, of...), append(sent, e)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	body, err := marshal(struct {
		Events []cncfEvent `json:"events"`
	}{out})
	if err != nil {
		return nil, err
	}
	return []Message{{
		ID: batchID(sent), ContentType: CNCFType, Body: body, Events: len(events), EventIDs: eventIDs(sent),
	}}, nil
}

// events returns the events of the envelope for one event.
func (f cncf) events(e notification.Event) []cncfEvent {
	event := cncfEvent{
		ID: e.ID, Timestamp: e.Time, Action: string(e.Action),
		Actor: cncfActor{e.Actor}, Source: cncfSource{f.opts.Addr, e.Instance},
	}
	if r := e.Request; r != nil {
		event.Request = cncfRequest{r.ID, r.RemoteAddr, r.Host, r.Method, r.UserAgent}
	}
	var targets []cncfTarget
	switch {
	case e.Repository == "":
	case e.Action == notification.Delete:
		targets = deleted(e)
	case e.Target == nil || e.Kind != notification.Manifest && e.Kind != notification.Blob:
	case e.Action == notification.Restore:
		event.Action = string(notification.Push)
		targets = f.tagged(e)
	case e.Action == notification.Push, e.Action == notification.Pull, e.Action == notification.Mount:
		targets = f.tagged(e)
	}
	out := make([]cncfEvent, len(targets))
	for i, t := range targets {
		out[i] = event
		out[i].ID, out[i].Target = partID(e.ID, i, t.Tag), t
	}
	return out
}

// tagged returns one target for each tag, or one without a tag.
func (f cncf) tagged(e notification.Event) []cncfTarget {
	t := cncfTarget{
		MediaType: e.Target.MediaType, Digest: e.Target.Digest, Size: e.Target.Size, URLs: e.Target.URLs,
		Annotations: e.Target.Annotations, Platform: e.Target.Platform, ArtifactType: e.Target.ArtifactType,
		Length: e.Target.Size, Repository: e.Repository, FromRepository: e.From,
	}
	collection := "/manifests/"
	if e.Kind == notification.Blob {
		collection = "/blobs/"
		if t.MediaType == "" {
			t.MediaType = "application/octet-stream"
		}
	}
	if f.opts.ExternalURL != "" {
		t.URL = f.opts.ExternalURL + "/v2/" + e.Repository + collection + string(t.Digest)
	}
	if len(e.Tags) == 0 {
		return []cncfTarget{t}
	}
	return perTag(t, e.Tags)
}

// deleted returns what the CNCF registry sends for a delete: a digest, a tag, or the name of a
// repository, and nothing else.
func deleted(e notification.Event) (targets []cncfTarget) {
	t := cncfTarget{Repository: e.Repository}
	switch {
	case e.Kind == notification.Repository:
		return []cncfTarget{t}
	case e.Kind == notification.Tag:
		return perTag(t, e.Tags)
	case e.Target == nil || e.Target.Digest == "":
		return nil // without a digest, it would be the delete of the repository
	}
	whole := t
	whole.Digest = e.Target.Digest
	return append([]cncfTarget{whole}, perTag(t, e.Tags)...)
}

func perTag(t cncfTarget, tags []string) []cncfTarget {
	out := make([]cncfTarget, len(tags))
	for i, tag := range tags {
		out[i] = t
		out[i].Tag = tag
	}
	return out
}
