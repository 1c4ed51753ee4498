// Package kafka sends events to a topic of Kafka, or of a broker that speaks its protocol. It is a
// module of its own, so that only programs that use it depend on the Kafka client, franz-go.
//
// Create a client with the options of [ClientOptions], call [New], and give the [Sink] to an outbox
// as a destination:
//
//	client, err := kgo.NewClient(append(kafka.ClientOptions(), kgo.SeedBrokers(addrs...))...)
//	sink, err := kafka.New(client, "registry-events", nil)
//
// # Delivery
//
// Notify returns nil only after all in-sync replicas have acknowledged each event. Set the topic's
// min.insync.replicas to at least 2, so that one lost broker loses no event. The client is an
// idempotent producer, so its own retries store no event twice. Events that Notify is called with
// again can be stored twice; consumers drop them by the header id.
//
// The key of each record is the repository, so all events of a repository are in one partition and
// keep their order, as long as the client keeps its default partitioner and the topic its number of
// partitions. Notify sends one event after the other, which costs one round trip each.
//
// # Records
//
// The value is a CloudEvent in structured mode, or what [Options].Format makes. The headers id,
// action, repository and content-type are set for each record. The headers of CloudEvents in
// binary mode begin with "ce_", as the Kafka binding of CloudEvents demands.
//
// The host creates the topic. A record without one is not delivered: Notify returns an error, and
// the outbox keeps the event.
package kafka
