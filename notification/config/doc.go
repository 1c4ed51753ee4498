// Package config reads the configuration of webhooks, for programs whose users write it down: as
// URLs with parameters, and as YAML files.
//
// [Load] takes the values of a flag. Each is the URL of one webhook, or the path of a YAML file:
//
//	webhooks, err := config.Load(values, nil)
//	for _, w := range webhooks {
//		sink, err := w.Sink() // a filter, and behind it the webhook
//	}
//
// # URL
//
// The URL is that of the receiver, with its own query. Parameters for this package are in the
// fragment, which is never sent to a receiver:
//
//	https://ci.example/hook?key=abc#format=cncf&actions=push,delete&repositories=team/**
//
// Commas outside of braces separate several values of a parameter. Percent-encoding is decoded, and
// a plus stays a plus. Shells need quotes around such a URL.
//
// # YAML
//
//	webhooks:
//	- name: ci
//	  url: https://ci.example/hook?key=abc
//	  format: cncf
//	  actions: [push, delete]
//	  repositories: [team/**, "!team/scratch"]
//	  secret-file: /etc/registry/ci.secrets
//
// # Fields
//
// The parameters of a URL and the fields in YAML have the same names:
//
//   - name: identifies the webhook, also in an outbox, so it must stay the same. 1 to 64 lower-case
//     letters, digits and the characters - _ . that begin with a letter or digit. The default is the
//     host of the URL, and a hash of the URL without its query.
//   - url: in YAML only.
//   - format: cncf (the default), harbor, cloudevents, cloudevents-binary, cloudevents-batch, json.
//   - actions: push, pull, mount, delete, move, restore; "!pull", the default, is all but pulls, and
//     "all" is everything.
//   - kinds, repositories, tags, media-types, artifact-types, actors: lists of words and globs, see
//     package filter. Default: no condition.
//   - no-signatures, no-blobs: true leaves these events out. Default: false.
//   - sample-pulls: sends one of this number of pulls. Default: all.
//   - secret-file: the absolute path of a file with secrets, see webhook.Options.Secrets: one in
//     each line, the first signs first. Empty lines and lines that begin with # are ignored.
//   - authorization-file: the absolute path of a file with one line, the value of the header
//     Authorization, such as "Bearer TOKEN". Receivers for Harbor often expect the secret alone.
//   - timeout: the maximum time of an attempt, such as 30s. Default: 20s.
//   - max-events: the maximum number of events in a request. Default: 20.
//   - allow: addresses that are permitted although they are not public, such as 10.1.0.0/16.
//     "0.0.0.0/0" and "::/0" are all addresses.
//
// # Errors and secrets
//
// Each mistake is an error at start: an unknown field, a malformed glob, an unknown format, a name
// that occurs twice, a file that cannot be read. The error contains the line of the YAML file or of
// the file of secrets. It never contains a secret, or the path or query of a URL.
//
// The author of the configuration can make the program read files and connect to private addresses.
// Take it from the operator only.
package config
