// Package sse streams events to web pages and scripts as server-sent events (text/event-stream):
// each caller gets the events of the repositories that it may pull from.
//
// Call [New], add the [Handler] to registry.Options.Sink, and serve it at a path of its own. A page
// reads it with EventSource, a script with curl -N:
//
//	const events = new EventSource("/events?repository=apps/**&action=push");
//	events.onmessage = e => console.log(JSON.parse(e.data));
//	events.addEventListener("missing", () => location.reload());
//
// # What a client gets
//
// Each event is a message without a name, whose data is the JSON of [notification.Event]. A message
// named "missing" says that events which the client has not got are no longer available. Every 15
// seconds without an event, the stream has a comment, so that proxies keep the connection.
//
// A client that connects gets the events from then on. A client that comes back sends the ID of the
// last message in the header Last-Event-ID, as EventSource does by itself, or in the parameter
// after. It then gets what it has missed. It may get an event twice, with the same id in its data.
//
// # Which events there are
//
// Without Options.Source, these are the events that this process passes to [Handler.Notify], and the
// last Options.Keep of them can be resumed. On several replicas, or to resume after a restart, set
// Options.Source to an outbox: then all events of all replicas arrive, a moment later, except those
// that the outbox does not store, such as pulls.
//
// # Parameters
//
//   - repository: a pattern in the syntax of doublestar, such as "apps/**". May be repeated.
//   - action, kind: an action or kind of package notification. May be repeated.
//   - after: as Last-Event-ID, which has precedence.
//
// # Who sees what
//
// Each event is checked as the registry checks a pull: a caller sees it if the Authorizer allows
// auth.Pull on its repository, or on one of its tags. Other tags are left out, and so is the source
// of a mount that the caller may not pull from. Actor, Request, Previous and Instance are only for
// callers with auth.Push. An event without a repository is only for callers that may list the
// catalog. Changes of accounts are for nobody, unless there is no Authorizer.
//
// The credentials and every decision are checked again after Options.Recheck, 15 seconds: a right
// that is revoked ends within that time. An anonymous caller gets 401 if the Authorizer allows
// anonymous callers nothing.
//
// The ID of a message reveals that other events have happened, and never which.
//
// A page of another origin cannot read the stream, unless the host adds CORS headers around the
// Handler. For a registry that everyone on the machine may use, see middleware.LocalOnly.
package sse
