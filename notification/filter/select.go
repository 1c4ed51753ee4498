package filter

import (
	"github.com/registrykit/registry/internal/options"
	"github.com/registrykit/registry/notification"
)

// Selector selects events without passing them on, for a caller that decides itself where they go.
type Selector struct{ selector *selector }

// NewSelector returns a Selector for options; see [New].
//
// Errors: a [FieldError], as for New.
func NewSelector(opts *Options) (*Selector, error) {
	o := options.Value(opts)
	s, err := compile(&o)
	if err != nil {
		return nil, err
	}
	return &Selector{s}, nil
}

// Select reports whether an event is selected, and returns it with the tags that are. It does not change event.
func (s *Selector) Select(event notification.Event) (notification.Event, bool) {
	return s.selector.selectEvent(&event)
}
