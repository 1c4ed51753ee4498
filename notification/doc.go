// Package notification has the events of a registry and the interface of their receivers.
//
// Set a [Sink] in registry.Options.Sink. The registry calls it for each operation that succeeded,
// over HTTP and from Go code alike. The simplest Sink is a function, see [SinkFunc]. The packages
// below this one are sinks to combine:
//
//   - outbox stores events beside the content of the registry before the client gets its response,
//     and delivers them to other sinks until each has succeeded, also after a crash.
//   - queue delivers events from memory in the background.
//   - webhook sends events over HTTP, with signatures, in the formats of package format.
//   - filter selects events, multi sends them to several sinks, log writes them to a log.
//   - sse streams events to web pages and scripts.
//   - nats, kafka and pubsub are modules of their own, which send events to a message broker.
//
// docs/events.md shows every event and format, and how to choose a sink.
package notification
