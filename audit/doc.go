// Package audit stores who did what, and what was refused to whom, in the storage of the registry.
// It finds the records again by time, actor, repository and action, and exports them.
//
//	trail, err := audit.New(driver, nil)
//	events, err := outbox.New(driver, []outbox.Destination{{Name: "audit", Sink: trail}}, nil)
//	reg, err := registry.New(store, &registry.Options{Sink: events, Audit: trail.Decided})
//	runner, err := jobs.New(driver, &jobs.Options{Jobs: []jobs.Job{trail.Job(time.Hour)}})
//	go trail.Run(ctx) // on every replica, as events.Run and runner.Run
//
//	records, next, err := trail.Page(ctx, &audit.Query{Repository: "acme/app", Action: "delete"}, "", 100)
//
// # What is recorded, and how safely
//
// A [Record] has one of three origins:
//
//   - Events of the registry and of accounts: pushes, moves, deletes, restores, and changes of
//     accounts. They arrive by [Log.Notify]. A Log is a [notification.Sink] and returns after its
//     object is durable. As a sink of an outbox, it gets each event at least once, soon after the
//     response to the client: a kill -9 of all processes loses no acknowledged change. As
//     registry.Options.Sink itself, it stores the event before the response, with one write for
//     each change. A kill between a change and its event then loses the event, and no client has
//     seen that change acknowledged. outbox.Reindex finds such changes, and a Log alone does not.
//   - Changes that make no event, such as starts of jobs by the management API. The API calls
//     [Log.Add] before its response, which is durable, too.
//   - Decisions: denied accesses, failed logins, and requests for accounts and for parts of the
//     registry. They arrive by [Log.Decided] and wait in memory for at most Options.Flush; a kill
//     loses those. Equal decisions in that time make one record with a count. A flood is counted,
//     and not stored one by one, see [Options].
//
// Pulls are not recorded. A Log ignores their events.
//
// # Time
//
// A record belongs to the time of its event, by the clock of the process where it happened. An
// event that arrives late, after an outage of hours or from a process with a wrong clock, is stored
// under the day of its own time. A query reads the days that it asks for, and so finds it there.
// Events that arrive twice have the same ID and time, and are returned once.
//
// # Limits of trust
//
// The log is not tamper-proof against a person who can write to the storage: such a person can
// remove and forge records. Send the same events to another system, such as by a webhook or to a
// log, if that matters. The API has no way to change or remove a record. Records have no secrets:
// no passwords, tokens, IDs of uploads, or queries of URLs.
//
// # Cost
//
// Each call of Notify and Add is one write, and each flush one, if there is anything. A page of a
// query makes one list for each day, at most 31, and one read for each object. The job of [Log.Job]
// merges small objects, so that a day of a busy registry has one object for each MiB of records,
// about 2500.
package audit
