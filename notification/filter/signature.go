package filter

import (
	"strings"

	"github.com/registrykit/registry/internal/subjecttag"
)

// signatureTypes are the beginnings of the artifact types of signatures and attestations.
var signatureTypes = []string{
	"application/vnd.dev.cosign.",
	"application/vnd.dev.sigstore.",
	"application/vnd.cncf.notary.signature",
	"application/vnd.dsse.envelope",
	"application/vnd.in-toto",
}

// isSignature reports whether an artifact type is that of a signature or an attestation.
func isSignature(artifactType string) bool {
	for _, prefix := range signatureTypes {
		if strings.HasPrefix(artifactType, prefix) {
			return true
		}
	}
	return false
}

// isSignatureTag reports whether a tag has the form of the tags of cosign, or that of the referrers
// tag schema: "sha256-<hex>", with or without an ending such as ".sig".
func isSignatureTag(tag string) bool {
	_, _, ok := subjecttag.Parse(tag)
	return ok
}
