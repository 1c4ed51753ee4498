// Package outbox stores events in the storage of the registry before the client gets its response,
// and delivers them to sinks until each sink has accepted them.
//
// Nothing that was acknowledged to a client is missing at a receiver, even after kill -9 of every
// process, an outage of the receiver, or a deploy: each event is delivered at least once. Receivers
// drop duplicates by [notification.Event.ID].
//
// Call [New] with the driver of the storage and the sinks, set the Outbox as registry.Options.Sink,
// and start [Outbox.Run] in a goroutine of every replica. Run [Outbox.Reindex] from time to time: it
// finds changes whose event was lost because the process died between the two.
package outbox
