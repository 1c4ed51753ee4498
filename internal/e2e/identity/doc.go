// Package identity tests accounts with real clients. Two replicas of examples/server are behind a balancer that sends
// each request to a random one, while keys and secrets are rotated, users are disabled and enabled, members are
// removed, and repositories become private. Other tests use the identity providers and token servers of other projects.
package identity
