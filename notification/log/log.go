package log

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// Options are the options of [New].
type Options struct {
	// Level is the level of the records. Default: slog.LevelInfo.
	Level slog.Level
	// Message is the message of the records. Default: "event".
	Message string
	// Attributes are the names of the attributes to write, see the package comment; "request", "gap"
	// and "account" are whole groups. Unknown names have no effect. Default: all attributes.
	Attributes []string
}

// The limits of what one record contains.
const (
	maxText = 256 // bytes
	maxTags = 32
)

// New returns a Sink that writes each event to l. It never returns an error. If l is nil, nothing
// is written.
func New(l *slog.Logger, opts *Options) notification.Sink {
	o := options.Value(opts)
	if o.Message == "" {
		o.Message = "event"
	}
	if l == nil {
		l = slog.New(slog.DiscardHandler)
	}
	return &sink{l: l, level: o.Level, message: o.Message, only: slices.Clone(o.Attributes)}
}

type sink struct {
	l       *slog.Logger
	level   slog.Level
	message string
	only    []string
}

func (s *sink) Notify(ctx context.Context, events []notification.Event) error {
	if !s.l.Enabled(ctx, s.level) {
		return nil
	}
	for i := range events {
		r := record{attrs: make([]slog.Attr, 0, 16), only: s.only}
		r.event(&events[i])
		s.l.LogAttrs(ctx, s.level, s.message, r.attrs...)
	}
	return nil
}

// record collects the attributes of one event.
type record struct {
	attrs []slog.Attr
	only  []string // the names to keep; empty: all
}

func (r *record) event(e *notification.Event) {
	r.text("event", e.ID)
	if !e.Time.IsZero() {
		r.add(slog.Time("at", e.Time))
	}
	r.text("action", string(e.Action))
	r.text("kind", string(e.Kind))
	r.text("repository", e.Repository)
	r.target(e.Target)
	r.tags(e.Tags)
	r.text("previous", string(e.Previous))
	r.text("from", e.From)
	r.text("actor", e.Actor)
	r.request(e.Request)
	r.text("instance", e.Instance)
	r.number("count", int64(e.Count))
	if e.Found {
		r.add(slog.Bool("found", true))
	}
	r.gap(e.Gap)
	r.account(e.Account)
}

func (r *record) target(d *ocispec.Descriptor) {
	if d == nil {
		return
	}
	r.text("digest", string(d.Digest))
	r.text("mediaType", d.MediaType)
	r.text("artifactType", d.ArtifactType)
	r.number("size", d.Size)
}

func (r *record) tags(tags []string) {
	if len(tags) == 0 {
		return
	}
	shown := make([]string, min(len(tags), maxTags))
	for i := range shown {
		shown[i] = short(tags[i])
	}
	r.add(slog.Any("tags", shown))
	r.number("moreTags", int64(len(tags)-len(shown)))
}

func (r *record) request(req *notification.Request) {
	if req == nil || !r.wants("request") {
		return
	}
	g := record{attrs: make([]slog.Attr, 0, 5)}
	g.text("id", req.ID)
	g.text("method", req.Method)
	g.text("host", req.Host)
	g.text("remoteAddr", req.RemoteAddr)
	g.text("userAgent", req.UserAgent)
	r.add(slog.Attr{Key: "request", Value: slog.GroupValue(g.attrs...)})
}

func (r *record) gap(gap *notification.Gap) {
	if gap == nil {
		return
	}
	r.add(slog.Attr{Key: "gap", Value: slog.GroupValue(
		slog.String("stream", short(gap.Stream)), slog.Int64("events", gap.Events), slog.Time("first", gap.First),
		slog.Time("last", gap.Last), slog.String("reason", short(gap.Reason)))})
}

func (r *record) account(c *notification.AccountChange) {
	if c == nil || !r.wants("account") {
		return
	}
	g := record{attrs: make([]slog.Attr, 0, 9)}
	g.text("change", c.Change)
	g.text("name", c.Name)
	g.text("id", c.ID)
	g.text("team", c.Team)
	g.text("member", c.Member)
	g.text("secret", c.Secret)
	g.text("before", c.Before)
	g.text("after", c.After)
	g.text("reason", c.Reason)
	r.add(slog.Attr{Key: "account", Value: slog.GroupValue(g.attrs...)})
}

func (r *record) text(name, value string) {
	if value != "" {
		r.add(slog.String(name, short(value)))
	}
}

func (r *record) number(name string, value int64) {
	if value != 0 {
		r.add(slog.Int64(name, value))
	}
}

func (r *record) add(a slog.Attr) {
	if r.wants(a.Key) {
		r.attrs = append(r.attrs, a)
	}
}

func (r *record) wants(name string) bool { return len(r.only) == 0 || slices.Contains(r.only, name) }

// short returns at most maxText bytes of s, without a cut or broken character.
func short(s string) string {
	if len(s) > maxText {
		s = s[:maxText-len("…")] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
