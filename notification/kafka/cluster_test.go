package kafka_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/registrykit/registry/notification/internal/broker/brokertest"
	"github.com/registrykit/registry/notification/kafka"
)

const topic = "registry-events"

// testCluster is a broker of franz-go in this process, which can be stopped and started again.
type testCluster struct {
	t    *testing.T
	dir  string
	addr string
	*kfake.Cluster
}

// startCluster starts a broker on a free port of the loopback interface. Its topics are in a
// temporary folder.
func startCluster(t *testing.T, opts ...kfake.Opt) *testCluster {
	t.Helper()
	c := &testCluster{t: t, dir: t.TempDir()}
	c.start(opts...)
	t.Cleanup(func() { c.Close() })
	return c
}

// start starts the broker, with what an earlier one has stored.
func (c *testCluster) start(opts ...kfake.Opt) {
	c.t.Helper()
	opts = append(opts, kfake.NumBrokers(1), kfake.DataDir(c.dir), kfake.SyncWrites())
	if c.addr != "" {
		_, port, err := net.SplitHostPort(c.addr)
		require.NoError(c.t, err)
		n, err := strconv.Atoi(port)
		require.NoError(c.t, err)
		opts = append(opts, kfake.Ports(n))
	}
	var err error
	c.Cluster, err = kfake.NewCluster(opts...)
	require.NoError(c.t, err)
	c.addr = c.ListenAddrs()[0]
}

// client returns a client with the options that a sink needs. It notices sooner than by default
// that a broker is back.
func (c *testCluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	client, err := kgo.NewClient(append(append(kafka.ClientOptions(), kgo.SeedBrokers(c.addr),
		kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond })), opts...)...)
	require.NoError(c.t, err)
	c.t.Cleanup(client.Close)
	return client
}

// stored returns all records of the topic, partition by partition.
func (c *testCluster) stored() []*kgo.Record {
	c.t.Helper()
	n := 0
	offsets := map[int32]kgo.Offset{}
	for _, p := range c.PartitionInfos(topic) {
		n += int(p.HighWatermark)
		offsets[p.Partition] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(c.addr),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	require.NoError(c.t, err)
	defer client.Close()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(c.t.Context())
		require.NoError(c.t, fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

func received(records []*kgo.Record) []brokertest.Received {
	var out []brokertest.Received
	for _, r := range records {
		out = append(out, brokertest.Received{ID: header(r, "id"), Repository: string(r.Key)})
	}
	return out
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
