package web

import "github.com/registrykit/registry/api/types"

// CleanCommand is cleanCommand.
func CleanCommand(text string) string { return cleanCommand(text) }

// KindOf returns the key of the kind of a manifest by its types.
func KindOf(artifactType, mediaType string, contents ...string) string {
	return kindOf(artifactType, mediaType, contents...).Key
}

// KindOfReferrer returns the key of the kind of a referrer.
func KindOfReferrer(d *types.Descriptor) string {
	k, _ := kindOfReferrer(d)
	return k.Key
}

// WebURL is webURL.
func WebURL(text string) string { return webURL(text) }

// CommandLine is commandLine.
func CommandLine(args ...string) string { return commandLine(args) }
