// Package pubsub sends events to a topic of gocloud.dev/pubsub: RabbitMQ, Amazon SNS and SQS, Google
// Cloud Pub/Sub, Azure Service Bus, or memory. It is a module of its own, so that only programs
// that use it depend on this version of gocloud.dev. It depends on none of the drivers.
//
// Call [New] with a topic that the host has opened, and give the [Sink] to an outbox as a
// destination:
//
//	topic, err := gocloud.OpenTopic(ctx, "awssqs:///…") // package gocloud.dev/pubsub
//	sink, err := pubsub.New(topic, nil)
//
// A topic of RabbitMQ does not outlive its connection. For RabbitMQ, call [Reopen] with a function
// that connects and opens the topic. The Sink calls it again after an error.
//
// # Delivery
//
// Notify returns nil only after the driver has sent each event: the cloud has accepted it, or
// RabbitMQ has confirmed it. Notify sends one event after the other. This keeps their order, because
// the drivers send messages that wait at the same time in parallel. It costs one round trip for
// each event.
//
// Whether the broker keeps the order, and drops repeated events, depends on what the host sets in
// [Options].BeforeSend:
//
//   - Amazon SQS and SNS keep the order of FIFO queues and topics only. They need the metadata
//     MessageGroupId and DeduplicationId, see awssnssqs.
//   - Google Cloud Pub/Sub keeps the order of messages with the same OrderingKey.
//   - RabbitMQ keeps the order of a queue. It loses messages in a crash, unless the exchange and
//     the queue are durable and BeforeSend sets the delivery mode of each message to persistent.
//
// Events that Notify is called with again can arrive twice. Consumers drop them by the metadata id.
//
// # Messages
//
// The body is a CloudEvent in structured mode, or what [Options].Format makes. The metadata id,
// action, repository and content-type are set for each message.
//
// # Not NATS
//
// natspubsub, the driver for NATS, delivers at most once: it uses NATS without JetStream, and its
// Send returns before the server has the message. Events would be lost behind an outbox. Use
// package nats of this project. For Kafka, package kafka checks what the events need.
package pubsub
