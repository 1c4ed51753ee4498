package interleave

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// describe returns the version of an object, and the state, digest and segments that it records.
func (s *schedule) describe(key string) string {
	r, info, err := s.raw.Open(context.Background(), key, nil)
	if err != nil {
		return ""
	}
	b, _ := io.ReadAll(r)
	head, _, _ := strings.Cut(string(b), "\n")
	var about struct {
		State      string
		Segments   []struct{ Name string }
		Descriptor struct{ Digest string }
	}
	text := " [" + info.Version
	if json.Unmarshal([]byte(head), &about) == nil {
		text += " " + about.State + about.Descriptor.Digest
		for _, seg := range about.Segments {
			text += " " + seg.Name
		}
	}
	return text + "]"
}

var longHex = regexp.MustCompile(`([0-9a-f]{6})[0-9a-f]{10,}`)

// story returns the trace as a text, with digests shortened.
func (s *schedule) story() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return longHex.ReplaceAllString(strings.Join(s.trace, "\n"), "$1")
}

// note adds a line to the trace, and returns its number. The caller holds s.mu.
func (s *schedule) note(a *actor, format string, args ...any) int {
	s.trace = append(s.trace, fmt.Sprintf("%5d %-12s", s.calls, fmt.Sprint(a.id, " ", a.name))+fmt.Sprintf(format,
		args...))
	return len(s.trace) - 1
}
