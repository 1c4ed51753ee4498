// Package queue is a [notification.Sink] that keeps events in memory and delivers them to another
// sink in the background. Call [New], give the [Queue] to the registry, and start [Queue.Run].
//
// A Queue keeps a slow or failing receiver from delaying the operations of clients:
//
//   - Notify adds events and returns at once. If the queue is full, the new events are dropped and
//     counted, see Options.Block for the other choice.
//   - Run delivers the events in their order, several at once, and repeats what failed with growing
//     pauses. It gives up on an event after Options.Attempts.
//   - When the context of Run ends, it delivers what is left, for a few seconds.
//
// The events in memory are lost in a crash. Package outbox stores them.
package queue
