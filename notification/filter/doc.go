// Package filter is a [notification.Sink] that passes on selected events only.
//
//   - [New] selects events by action, kind, repository, tag, media type, artifact type and actor,
//     leaves out signatures and blobs, and passes on one of several pulls.
//   - [NewSelector] makes the same choice for a caller that passes events on itself.
//   - [NewPulls] merges the pulls of the same content into one event per interval.
//
// # Lists
//
// Each list of [Options] is a condition, and an event must meet all of them. An empty list is met
// by every event. The order within a list does not matter:
//
//   - A pattern selects the events that match it. An event must match one of the patterns.
//   - A pattern that starts with "!" is an exception. An event must match none of them.
//   - A list of exceptions only selects all other events.
//   - An event without the value, such as one of an anonymous caller for Actors, matches no
//     pattern. It meets a list only if the list has nothing but exceptions.
//
// Actions and Kinds are whole words. The other lists have globs: "*" matches any characters but
// "/", "**" as a whole component matches any number of components, "?" matches one character, and
// "[a-z]" and "{a,b}" match one of several. So all media types are "*/*", and all repositories
// "**". A pattern has at most 512 bytes, and its braces expand to at most 64 alternatives.
//
// # Tags
//
// An event can have several tags. It is passed on with those of its tags that the list selects, and
// left out if it had tags and none is selected. An event without tags, such as a push by digest,
// meets the list only if the list has nothing but exceptions.
//
// # Changes of accounts
//
// An event with the action Account meets Repositories if it is about a repository that the list
// selects, such as a change of its visibility. All others have no repository, so a list with a
// pattern leaves them out. The same holds for Kinds, Tags, MediaTypes and ArtifactTypes.
//
// # Events that are always passed on
//
// An event with the action Missing says that other events were lost. It passes every filter. The
// delete of a repository is also about all that was in it. It meets Tags, MediaTypes and
// ArtifactTypes whatever they contain.
package filter
