package filter

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/registrykit/registry/internal/glob"
	"github.com/registrykit/registry/notification"
)

// The words that Options.Actions and Options.Kinds may contain.
var (
	actions = []notification.Action{notification.Push, notification.Pull, notification.Mount, notification.Delete,
		notification.Move, notification.Restore, notification.Missing, notification.Quota, notification.Account}
	kinds = []notification.Kind{notification.Manifest, notification.Blob, notification.Tag, notification.Repository}
)

// selector decides which events are passed on.
type selector struct {
	actions                                           words[notification.Action]
	kinds                                             words[notification.Kind]
	repositories, tags, mediaTypes, artifacts, actors glob.List
	noSignatures                                      bool
	noBlobs                                           bool
	sample                                            int
}

func compile(o *Options) (*selector, error) {
	s := &selector{noSignatures: o.NoSignatures, noBlobs: o.NoBlobs, sample: o.SamplePulls}
	var err error
	if s.actions, err = newWords("Actions", o.Actions, actions); err != nil {
		return nil, err
	}
	if i := slices.Index(s.actions.out, notification.Missing); i >= 0 {
		return nil, &FieldError{"Actions", slices.Index(o.Actions, "!"+notification.Missing),
			errors.New("missing events are always passed on")}
	}
	if s.kinds, err = newWords("Kinds", o.Kinds, kinds); err != nil {
		return nil, err
	}
	for _, l := range []struct {
		field    string
		patterns []string
		list     *glob.List
	}{
		{"Repositories", o.Repositories, &s.repositories}, {"Tags", o.Tags, &s.tags},
		{"MediaTypes", o.MediaTypes, &s.mediaTypes}, {"ArtifactTypes", o.ArtifactTypes, &s.artifacts},
		{"Actors", o.Actors, &s.actors},
	} {
		var i int
		if *l.list, i, err = glob.NewList(l.patterns); err != nil {
			return nil, &FieldError{l.field, i, err}
		}
	}
	if o.SamplePulls < 0 {
		return nil, &FieldError{"SamplePulls", -1, errors.New("negative")}
	}
	return s, nil
}

// selectEvent returns the event to pass on, and false if it is left out.
func (s *selector) selectEvent(e *notification.Event) (notification.Event, bool) {
	if e.Action == notification.Missing {
		return *e, true
	}
	if !s.actions.selects(e.Action) || !s.kinds.selects(e.Kind) || s.noBlobs && e.Kind == notification.Blob ||
		!s.repositories.Selects(e.Repository) || !s.actors.Selects(e.Actor) {
		return notification.Event{}, false
	}
	selected := *e
	if e.Kind == notification.Repository {
		return selected, true
	}
	var mediaType, artifactType string
	if e.Target != nil {
		mediaType, artifactType = e.Target.MediaType, e.Target.ArtifactType
	}
	if !s.mediaTypes.Selects(mediaType) || !s.artifacts.Selects(artifactType) ||
		s.noSignatures && isSignature(artifactType) || !s.selectTags(&selected) {
		return notification.Event{}, false
	}
	return selected, e.Action != notification.Pull || s.samplePull(&selected)
}

// selectTags removes from e the tags that are not selected. It reports whether e is passed on.
func (s *selector) selectTags(e *notification.Event) bool {
	if len(e.Tags) == 0 {
		return s.tags.Selects("")
	}
	unwanted := func(tag string) bool {
		return !s.tags.Selects(tag) || s.noSignatures && isSignatureTag(tag)
	}
	if slices.ContainsFunc(e.Tags, unwanted) {
		e.Tags = slices.DeleteFunc(slices.Clone(e.Tags), unwanted)
	}
	return len(e.Tags) > 0
}

// samplePull reports whether e is one of the pulls to pass on, and sets its count. An event without
// an ID is passed on as it is.
func (s *selector) samplePull(e *notification.Event) bool {
	if s.sample <= 1 || e.ID == "" {
		return true
	}
	h := fnv.New64a()
	h.Write(append(strconv.AppendInt(make([]byte, 0, 64), int64(s.sample), 10), e.ID...))
	if h.Sum64()%uint64(s.sample) != 0 {
		return false
	}
	e.Count = max(e.Count, 1) * s.sample
	return true
}

// words is a list of whole words, with exceptions.
type words[T ~string] struct{ in, out []T }

func newWords[T ~string](field string, list, known []T) (words[T], error) {
	var w words[T]
	for i, text := range list {
		word, except := strings.CutPrefix(string(text), "!")
		if !slices.Contains(known, T(word)) {
			return w, &FieldError{field, i, fmt.Errorf("%.64q is not one of %q", string(text), known)}
		}
		if except {
			w.out = append(w.out, T(word))
		} else {
			w.in = append(w.in, T(word))
		}
	}
	return w, nil
}

func (w *words[T]) selects(word T) bool {
	return (len(w.in) == 0 || slices.Contains(w.in, word)) && !slices.Contains(w.out, word)
}
