// Package config reads the configuration of a hub, hub.yaml.
//
//	c, err := config.Load("hub.yaml")
//
// The shipped file, [Shipped], has every field with a comment and its default. A field that a file omits has the value
// of the shipped file. A list or a section of another package, such as quota.limits, replaces that of the shipped file
// as a whole.
//
// Unknown and repeated fields are errors, and every error has the line.
package config
