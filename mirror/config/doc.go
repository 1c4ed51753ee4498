// Package config reads the configuration of a mirror from a YAML file, for programs whose users
// write it down.
//
//	c, err := config.Load("mirror.yaml")
//	m, err := mirror.New(ctx, store, d, c.Upstreams, &c.Options)
//
// The file is as short as this; every other key has a default:
//
//	upstreams:
//	  - name: docker.io
//	    urls: [https://registry-1.docker.io]
//	    tagTTL: 10m
//	  - {name: ghcr.io, urls: [https://ghcr.io], allow: ["acme/**"]}
//
// docs/mirror.md describes every key.
//
// # Values
//
// A duration is a number with a unit, such as "90s", "10m", "12h" or "7d". A size is a number of bytes,
// or a number with one of the units KiB, MiB, GiB and TiB. A list of one text may be written as the
// text. A path is relative to the folder of the file. Variables of the environment are not replaced.
//
// # Credentials
//
// The file contains no passwords. It names the files that do: usernameFile and passwordFile, or
// dockerConfig. These are read when the mirror logs in, a minute later, and when an upstream refuses
// what they contained, so that a corrected password works without a restart.
//
// # Errors
//
// Each mistake is an error, with its line: an unknown or repeated key, a malformed pattern, a name
// that two upstreams have, a missing certificate. Files with passwords may be missing at the start.
//
// The author of the configuration can make the program read files and connect to private addresses.
// Take it from the operator only.
package config
