// Package hub tests examples/hub as its users meet it: with clients of registries, with examples/maintenance, and with
// HTTP requests.
package hub
