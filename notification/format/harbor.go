package format

import (
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// HarborOptions are the options of [Harbor].
type HarborOptions struct {
	// ExternalURL is the URL of the registry for clients, such as "https://registry.example". Its
	// host is the beginning of resource_url. If it is "", resource_url begins with the repository.
	ExternalURL string
	// Public reports whether a repository has the repo_type "public". All others have "private".
	// Default: nil, no repository is public.
	Public func(repository string) bool
}

// Harbor returns Harbor's default body, one message for each artifact and tag. Receivers for Harbor
// need no change:
//
//   - A push and a restore of a manifest is PUSH_ARTIFACT, one for each tag.
//   - A pull of a manifest is PULL_ARTIFACT, a delete of one is DELETE_ARTIFACT.
//   - Without a tag, the tag of the resource is the digest, as in Harbor.
//   - Everything else is left out, as in Harbor: events about blobs, deletes of tags, moves of
//     tags, changes of accounts. So are deletes of repositories: Harbor announces each artifact
//     instead, and the event of this registry does not list them.
//   - namespace is the first component of the repository, name is the rest. A repository of one
//     component has no namespace. date_created is left out.
//
// Harbor sends no signature. It authenticates itself by a header, which webhook.Options
// .Authorization sets.
func Harbor(opts *HarborOptions) Format {
	o := options.Value(opts)
	f := harbor{public: o.Public}
	if u, err := url.Parse(o.ExternalURL); err == nil && u.Host != "" {
		f.prefix = u.Host + strings.TrimRight(u.Path, "/") + "/"
	}
	return f
}

type harbor struct {
	prefix string // of resource_url
	public func(repository string) bool
}

type harborPayload struct {
	Type      string          `json:"type"`
	OccurAt   int64           `json:"occur_at"`
	Operator  string          `json:"operator"`
	EventData harborEventData `json:"event_data"`
}

type harborEventData struct {
	Resources  []harborResource `json:"resources"`
	Repository harborRepository `json:"repository"`
}

type harborResource struct {
	Digest      digest.Digest `json:"digest,omitempty"`
	Tag         string        `json:"tag,omitempty"`
	ResourceURL string        `json:"resource_url,omitempty"`
}

type harborRepository struct {
	Name         string `json:"name"`
	Namespace    string `json:"namespace"`
	RepoFullName string `json:"repo_full_name"`
	RepoType     string `json:"repo_type"`
}

func (f harbor) Encode(events []notification.Event) ([]Message, error) {
	var out []Message
	done := 0 // events before that no message has counted
	for _, e := range events {
		of, err := f.messages(e)
		if err != nil {
			return nil, err
		}
		done++
		if len(of) > 0 {
			of[len(of)-1].Events = done
			done, out = 0, append(out, of...)
		}
	}
	if len(out) > 0 {
		out[len(out)-1].Events += done
	}
	return out, nil
}

// messages returns the messages for one event.
func (f harbor) messages(e notification.Event) ([]Message, error) {
	name := harborType(e)
	if name == "" {
		return nil, nil
	}
	refs := e.Tags
	switch {
	case len(refs) == 0:
		refs = []string{string(e.Target.Digest)}
	case e.Action == notification.Delete:
		refs = refs[:1] // one event for the artifact, which names its first tag
	}
	namespace, rest, found := strings.Cut(e.Repository, "/")
	if !found {
		namespace, rest = "", e.Repository
	}
	repository := harborRepository{Name: rest, Namespace: namespace, RepoFullName: e.Repository, RepoType: "private"}
	if f.public != nil && f.public(e.Repository) {
		repository.RepoType = "public"
	}
	out := make([]Message, len(refs))
	for i, ref := range refs {
		separator := ":"
		if len(e.Tags) == 0 {
			separator = "@"
		}
		body, err := marshal(harborPayload{
			Type: name, OccurAt: e.Time.Unix(), Operator: e.Actor, EventData: harborEventData{
				Resources:  []harborResource{{e.Target.Digest, ref, f.prefix + e.Repository + separator + ref}},
				Repository: repository,
			},
		})
		if err != nil {
			return nil, err
		}
		out[i] = Message{ID: partID(e.ID, i, ref), ContentType: "application/json", Body: body, EventIDs: []string{e.ID}}
	}
	return out, nil
}

// harborType returns the type of an event, or "" if Harbor has none for it.
func harborType(e notification.Event) string {
	if e.Kind != notification.Manifest || e.Target == nil || e.Target.Digest == "" || e.Repository == "" {
		return ""
	}
	switch e.Action {
	case notification.Push, notification.Restore:
		return "PUSH_ARTIFACT"
	case notification.Pull:
		return "PULL_ARTIFACT"
	case notification.Delete:
		return "DELETE_ARTIFACT"
	}
	return ""
}
