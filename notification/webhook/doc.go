// Package webhook sends events to an HTTP endpoint, with signatures by Standard Webhooks 1.0, and
// verifies them in receivers.
//
// # Sending
//
// [New] returns a [notification.Sink]. Each call of Notify makes one attempt, so put an outbox or a
// queue before it: they repeat failed deliveries. What an attempt means for them:
//
//   - Only a status of 2xx is a delivery. The body of the response does not matter: the receiver may
//     close the connection within it.
//   - 3xx is a failure, and no redirect is followed.
//   - 410 is [notification.ErrGone]: the outbox disables the endpoint.
//   - 429, 502, 503 and 504 with a Retry-After are a [notification.RetryError].
//   - 401, 402, 403, 404, 405, 407, 408, 421, 423, 424, 425, 429 and 451 are worth another attempt:
//     the operator of the receiver can correct the cause, or it passes by itself.
//   - Any other 4xx is [notification.ErrRefused], such as 400, 413, 415 and 422.
//   - Everything else is worth another attempt: 5xx, a timeout, a connection that fails, a response
//     that is not HTTP.
//
// An attempt takes at most Options.Timeout. At most 64 KiB of the header and of the body of a response
// are read.
//
// If the receiver refuses a message with several events, the same call sends each of them in a
// message of its own. So one event that the receiver does not accept does not hold up the others.
//
// # Signatures
//
// Each request has the headers webhook-id, webhook-timestamp and, with Options.Secrets,
// webhook-signature. The id is the same for every attempt to send the same events, so receivers can
// drop duplicates by it. If the events are grouped in another way the next time, such as after a
// restart, the id of the message differs, and only the ids of the events in it stay the same.
//
// Two secrets at once allow a rotation: give the new one to the sender as the second secret, then
// replace the old one at the receiver, then remove the old one from the sender.
//
// A receiver in Go uses a [Verifier]. Receivers in other languages use any library of
// Standard Webhooks.
//
// # Where requests go
//
// The person who chooses the URL often has no access to the network of the registry. So the address
// is checked when it is dialled, after the name was resolved: private, loopback, link-local,
// multicast and other special addresses are refused with [ErrAddress], see Options.AllowPrivate.
// Proxies of the environment are not used.
//
// Errors, and what Options.Observe receives, never contain the path or query of the URL, which are
// often secret, nor Options.Secrets, Authorization and Header.
package webhook
