// Package outbox stores events in the storage of the registry before the client gets its response,
// and delivers them to sinks until each sink has accepted them.
//
// Nothing that was acknowledged to a client is missing at a receiver, even after kill -9 of every
// process, an outage of the receiver, or a deploy: each event is delivered at least once. Receivers
// drop duplicates by the ID of an event.
//
// Call [New] with the driver of the storage and the sinks, set the Outbox as registry.Options.Sink,
// and start [Outbox.Run] in a goroutine of every replica. Call [Outbox.Reindex] after a start and
// from time to time: it finds changes whose event was lost because the process died between the two.
//
// # Protocol
//
// The order is: change, event, response. If the event cannot be stored, the client gets 503. It
// tries again, and the change happens again, which is harmless.
//
// A process writes its events to a stream of its own, one batch after the other. A sink has a cursor
// in each stream: its position, and the lease of the process that delivers. The cursor moves after
// the sink has accepted. If a cursor does not change for Options.Lease, another process takes it over
// by a compare-and-swap. Before it delivers, it closes the stream with a marker at the next free
// number. A process that was only paused finds the marker where its next batch belongs, and begins a
// new stream. So nothing is acknowledged behind a delivery that is finished.
//
// The events of a process arrive in the order of the calls of Notify, which is that of the changes if
// their requests came one after the other. Those of several processes, and of a process that has lost
// a stream, may overtake each other; but a process delivers what another one has left behind before
// its own events. internal/model/outbox.pml proves the protocol; docs/layout.md shows the records.
//
// If the driver implements [driver.SingleProcess], only one process may use the storage.
//
// # Failures
//
// A sink that fails is called again after 1 second, then after up to 15 minutes, or when it asks for
// it. It delays no other sink. After Options.GiveUp, or Options.GiveUpRefused for an event that the
// sink refuses, the event becomes a dead letter, and the next one follows. If a sink is further behind
// than Options.Keep, MaxEvents or MaxBytes allow, it gets an event with the action Missing instead.
//
// A sink that comes back gets up to Options.Batch events in each call. Those that are in memory no more
// are read from the storage, 16 batches at a time.
//
// # Cost
//
// Changes that come at the same time share one write. Pulls cost nothing, unless Options.Pulls is set.
//
//	                       memory, disk                       S3, GCS, Azure
//	change                 at most 1 Put, synced on disk      at most 1 Put
//	delivery, each sink    1 Put a second, or for 20 events   1 Put a second, or for 20 events
//	removal of a batch     1 Delete                           1 Delete, 1 List for each 1000
//	idle minute            6 Put for each sink, 8 List        6 Put for each sink, 8 List
//	start of a process     1 Put for each sink                1 Put for each sink
//
// Cursors are not synced on disk. A cursor of another process that lives costs up to 4 reads a minute.
// The numbers of an idle minute are for a Lease of 30 seconds.
package outbox
