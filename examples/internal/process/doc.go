// Package process has what a program needs around a registry: an HTTP server that ends gracefully,
// health checks, a log of requests, and background work. The example servers share it.
package process
