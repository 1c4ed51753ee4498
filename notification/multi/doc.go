// Package multi is a [notification.Sink] that calls several others. Call [New].
//
// A sink that takes long delays those after it, and an outbox or queue above it repeats events for
// all of them if one fails. To keep sinks apart, put a queue around each (package queue), or give
// each to the outbox as a destination of its own.
package multi
