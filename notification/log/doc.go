// Package log is a [notification.Sink] that writes each event to a [slog.Logger]. Call [New].
//
// Each event is one record. Its attributes have these names and this order; an attribute without a
// value is left out.
//
//	event         the ID of the event
//	at            the time of the operation; the record has a time of its own
//	action        push, pull, mount, delete, move, restore, missing, quota or account
//	kind          manifest, blob, tag or repository
//	repository    the repository
//	digest        the digest of the manifest or blob
//	mediaType     its media type
//	artifactType  its artifact type
//	size          its size, in bytes
//	tags          the tags, at most 32 of them
//	moreTags      the number of tags that were left out
//	previous      the digest that a moved tag pointed at before
//	from          the repository that a blob was mounted from
//	actor         the name of the caller
//	request       a group: id, method, host, remoteAddr, userAgent
//	instance      the name of the process
//	count         the number of pulls that the event stands for
//	found         true if the event was made by outbox.Reindex
//	gap           a group: stream, events, first, last, reason
//	account       a group: change, name, id, team, member, secret, before, after, reason
//
// Callers choose some of the values, such as the user agent. Each text is cut to 256 bytes, and the
// handlers of package slog escape control characters, so that no caller can forge a record. An
// event contains no credentials.
package log
