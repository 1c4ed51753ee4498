// Package config reads the configuration of webhooks, for programs whose users write it down: as
// URLs with parameters, and as YAML files.
//
// [Load] takes the values of a flag. Each is the URL of one webhook, or the path of a YAML file:
//
//	webhooks, err := config.Load(values, nil)
//	for _, w := range webhooks {
//		sink, err := w.Sink() // filter, then webhook
//	}
//
// # URL
//
// The URL is that of the receiver, with its own query. Parameters for this package are in the
// fragment, which is never sent to a receiver:
//
//	https://ci.example/hook?key=abc#format=cncf&actions=push,delete&repositories=team/**
//
// Several values of a parameter are separated by commas outside of braces. Percent-encoding is
// decoded; a plus stays a plus.
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
// Parameters of a URL and fields in YAML have the same names:
//
//   - name: identifies the webhook, also in the outbox, so it must stay the same. The default is the
//     host of the URL and a hash of the URL.
//   - format: cncf (the default), harbor, cloudevents, cloudevents-binary, cloudevents-batch, json.
//   - actions, kinds, repositories, tags, media-types, artifact-types, actors: which events are
//     sent, see package filter. Default: all but pulls.
//   - secret-file: the absolute path of a file with secrets, see webhook.Options.Secrets: one in
//     each line, the first signs first. Empty lines and lines that begin with # are ignored.
//   - authorization-file: the absolute path of a file with the value of the header Authorization.
//   - timeout: of an attempt, such as 30s.
//   - max-events: the maximum number of events in a request.
//   - allow: addresses that are permitted although they are private, such as 10.1.0.0/16.
//
// Errors contain the line of a YAML file or of a file of secrets, and never a secret, or the path or
// query of a URL. Whoever writes the configuration can make the program read files and connect to
// addresses: take it from the operator only.
package config
