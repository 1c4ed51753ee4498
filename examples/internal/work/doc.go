// Package work has the background work of the example servers: collections, retention, quotas, and the
// search for lost events. Each job runs on one replica at a time.
package work
