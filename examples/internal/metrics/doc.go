// Package metrics publishes what the example servers do, for Prometheus: operations of the registry, HTTP requests,
// calls of the storage, events, jobs, quotas and a mirror. The repository and the user are never labels, because there
// may be a million of them.
package metrics
