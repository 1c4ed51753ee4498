// Package endpoints keeps webhooks that users create, change and remove while the registry runs. Each endpoint
// belongs to a [Scope]: one repository, one namespace, or the whole registry.
//
// Call [New] with the driver of the registry. Make the result a destination of an outbox, and start [Endpoints.Run] in
// every replica:
//
//	hooks, err := endpoints.New(driver, nil)
//	box, err := outbox.New(driver, []outbox.Destination{{Name: "endpoints", Sink: hooks}}, nil)
//	go hooks.Run(ctx)
//	go box.Run(ctx)
//	reg, err := registry.New(store, &registry.Options{Sink: box})
//
// [Endpoints.Create] makes an endpoint and its secret. The API has the routes for users; see package api.
//
// # What an endpoint gets
//
// An endpoint gets the events of the repositories in its scope, from its creation on. Events about accounts, quotas and
// other matters of the whole registry go to endpoints with that scope only. If events were lost, each endpoint gets an
// event with the action Missing, but only those of the whole registry get the numbers in it. An event about a
// mount does not name a repository outside of the scope.
//
// Each event is delivered at least once, in one request, with signatures by Standard Webhooks. See package webhook for
// what counts as delivered, and for the addresses that are refused. The events that one process announces arrive in
// order. An endpoint that fails is called again after 1 second, then after up to 15 minutes. Its later events wait, and
// other endpoints do not. After Options.GiveUp, or Options.GiveUpRefused for an event that the receiver refuses, the
// event becomes a dead delivery, and the next one follows. [Endpoints.Replay] sends it again.
//
// An endpoint is disabled when its receiver answers 410. Waiting events then become dead, and events of the time in
// which an endpoint is disabled are not delivered later.
//
// # Whose endpoints they are
//
// An endpoint belongs to its scope, and not to its creator: it stays when the creator loses all rights or is removed.
// The records state who has created and changed it. It also stays when its repository is deleted, and gets the
// event of that delete and those of a later repository of the name. It stays when the account of its namespace is
// renamed, because the repositories keep their names. When the namespace belongs to another account, or to none, the
// endpoint gets nothing more and is removed: set Options.Owner, so that a later owner of a name does not send events to
// the receivers of an earlier one.
//
// # How it works
//
// The outbox has one destination, which copies each event to a waiting delivery for each endpoint that selects it. A
// waiting delivery is a durable object, and the cursor of the outbox moves after the write. So a new endpoint needs no
// cursor, a removed one leaves none behind, and an idle one costs nothing.
//
// The process that copies an event also delivers it. Its waiting deliveries have a prefix of its own, and a heartbeat
// beside them while there are any. When the heartbeat has not changed for Options.Lease, another process takes the
// prefix over by a compare-and-swap. A waiting delivery is removed only after it was delivered, was given up, or its
// endpoint is gone. So a process that was only paused can send an event twice, and cannot lose one; see
// internal/model/endpoints.pml.
//
// A change of an endpoint also changes one small object, the generation. Replicas with work read it every
// Options.Refresh, and list the endpoints if it has changed. So every replica knows a change within 10 seconds.
//
// A secret is stored as it is, because a hash cannot sign. Processes with access to the storage of a registry can read
// all of its images, too. A secret is shown once, and is in no error, log or event.
//
// # Cost
//
//	                         memory, disk, S3, GCS, Azure
//	delivery                 1 durable Put, 1 Put, 1 Delete; later 1 Delete
//	failed attempt           1 Put
//	busy minute, process     6 Put, 12 small reads, 4 List
//	idle minute, process     4 List
//	idle minute, endpoint    nothing
//	day, process             2 List and 2 reads for each endpoint that has deliveries
//	change of an endpoint    2 Put, 2 List; and 1 List for each 1000 endpoints, and 1 read, in each busy process
//
// The numbers are for the default options. The sink of the outbox costs as much as any other, see package outbox.
package endpoints
