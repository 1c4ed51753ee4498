// Package webhook sends events to an HTTP endpoint, with signatures by Standard Webhooks 1.0, and
// verifies them in receivers.
//
// # Sending
//
// [New] returns a [notification.Sink]. Each call of Notify makes one attempt, so put an outbox or a
// queue before it: they repeat failed deliveries. What an attempt means for them:
//
//   - Only a status of 2xx is a delivery. What follows in the response does not matter.
//   - 3xx is a failure, and no redirect is followed.
//   - 410 is [notification.ErrGone]: the outbox disables the endpoint.
//   - 429, 502, 503 and 504 with a Retry-After are a [notification.RetryError].
//   - Any other 4xx is [notification.ErrRefused], such as 400, 413, 415 and 422. The exceptions are
//     statuses that go away when the operator of the receiver mends it, or by waiting: 401, 402, 403,
//     404, 405, 407, 408, 421, 423, 424, 425, 429 and 451.
//   - Everything else is an error that is worth another attempt: 5xx, a timeout, a connection that
//     fails, a response that is not HTTP.
//
// If the receiver refuses a message with several events, the same call sends each of them in a
// message of its own, so that one bad event does not take others with it.
//
// # Signatures
//
// Each request has the headers webhook-id, webhook-timestamp and, with Options.Secrets,
// webhook-signature. The id is the same for every attempt; receivers drop duplicates by it. Two
// secrets at once allow a rotation: give the new one to the sender as the second secret, then to the
// receiver, then remove the old one from both.
//
// A receiver in Go uses a [Verifier]. Receivers in other languages use any library of
// Standard Webhooks.
//
// # Where requests go
//
// The URL is often chosen by somebody who may not reach the network of the registry. So the address
// is checked when it is dialled, after the name was resolved: private, loopback, link-local,
// multicast and other special addresses are refused with [ErrAddress], see Options.AllowPrivate. No
// proxy of the environment is used.
//
// Errors, and what Options.Observe receives, never contain the path or query of the URL, which are
// often secret, nor Options.Secrets, Authorization and Header.
package webhook
