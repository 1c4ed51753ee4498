// Package nats sends events to NATS JetStream. It is a module of its own, so that only programs
// that use it depend on the NATS client.
//
// Call [New] with a jetstream.JetStream, and give the [Sink] to an outbox as a destination:
//
//	conn, err := natsgo.Connect(url, natsgo.MaxReconnects(-1), natsgo.RetryOnFailedConnect(true),
//		natsgo.ReconnectBufSize(-1))
//	js, err := jetstream.New(conn)
//	sink, err := nats.New(js, nil) // this package
//
// With these options of the connection the program also starts while the server is down, and
// connects again for ever. ReconnectBufSize(-1) makes Notify fail at once while the server is
// down, instead of waiting for its timeout.
//
// # The stream
//
// The host creates the stream, which takes the subjects "registry.events.>" by default. Without a
// stream for its subject an event is not delivered: Notify returns an error, and the outbox keeps
// the event.
//
//	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
//		Name: "REGISTRY", Subjects: []string{"registry.events.>"}, Storage: jetstream.FileStorage, Replicas: 3,
//	})
//
// # Delivery
//
// Notify returns nil only after the server has acknowledged each event (PubAck). The header
// Nats-Msg-Id is the ID of the event, so the server drops a repeated one, as long as it is repeated
// within the window StreamConfig.Duplicates, by default two minutes. A longer outage can leave
// duplicates; consumers drop them by the same ID.
//
// A server acknowledges a message before it has synced its file. Several replicas, or the setting
// "sync_interval: always" of a single server, make the acknowledgement survive a loss of power.
//
// Notify sends one event after the other, which keeps their order and costs one round trip each.
//
// # Messages
//
// The subject says what happened where: registry.events.push.ann.app is a push to ann/app, and a
// consumer with the filter "registry.events.*.ann.>" gets all events below ann/. [Tokens] says how
// the name of a repository becomes a part of a subject, and [Options] how to change the subject.
//
// The body is a CloudEvent in structured mode, or what [Options].Format makes. The headers id,
// action, repository and content-type are set for each message.
//
// # Not gocloud.dev
//
// gocloud.dev/pubsub has a NATS driver, natspubsub, too. It uses NATS without JetStream, which
// delivers at most once: Send returns before the server has the message. Events would be lost
// behind an outbox, so use this package.
package nats
