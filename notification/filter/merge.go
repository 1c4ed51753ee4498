package filter

import (
	"slices"

	"github.com/registrykit/registry/notification"
)

// merge adds the pull e to the event into, which has a Count already.
func merge(into, e *notification.Event) {
	count := into.Count + max(e.Count, 1)
	tags := slices.Clip(into.Tags) // an append must not change the slice of an event that came in
	for _, tag := range e.Tags {
		if len(tags) < maxPullTags && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	actor, instance := into.Actor, into.Instance
	if actor != e.Actor {
		actor = ""
	}
	if instance != e.Instance {
		instance = ""
	}
	*into = *e
	into.ID = "" // take sets it
	into.Count, into.Tags, into.Actor, into.Instance, into.Request = count, tags, actor, instance, nil
}
