// Package format encodes events as the HTTP bodies that receivers of webhooks understand.
//
// Choose a [Format] by what the receiver was written for, and give it to package webhook:
//
//   - [CNCF] is the envelope of the CNCF registry (distribution).
//   - [Harbor] is the default body of Harbor.
//   - [CloudEvents] is CloudEvents 1.0.
//   - [JSON] is {"events": […]} with every field of [notification.Event]. No other format has all of
//     them.
//
// [Named] finds a Format by its name, for configurations. A message broker can carry the same
// messages: their headers and bodies do not depend on HTTP.
//
// docs/events.md shows every event in every format.
package format
