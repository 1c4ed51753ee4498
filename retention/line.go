package retention

import (
	"time"

	"github.com/opencontainers/go-digest"
)

// Decision says whether something stays or goes.
type Decision string

// The decisions.
const (
	Stays Decision = "stays"
	Goes  Decision = "goes"
)

// Line is one line of a plan: the decision about a tag or a manifest.
type Line struct {
	// Repository is the repository.
	Repository string `json:"repository"`
	// Tag is the tag, or "" for a line about a manifest.
	Tag string `json:"tag,omitempty"`
	// Digest is the manifest, or the manifest that the tag points at.
	Digest digest.Digest `json:"digest"`
	// Set is when the tag was set. For an untagged manifest, it is since when the manifest is known
	// to be untagged, or zero if that is not known or no rule asks.
	Set time.Time `json:"set,omitzero"`
	// Decision is Stays or Goes.
	Decision Decision `json:"decision"`
	// Rule is the name of the rule that has decided. It is "" if no rule covers the tag or
	// manifest, or if something protects it from every rule.
	Rule string `json:"rule,omitempty"`
	// Why says in words why it stays or goes. For what goes together with a tag or manifest, it
	// names that one.
	Why string `json:"why,omitempty"`
	// Bytes is what its removal frees, see [Totals.Bytes].
	Bytes int64 `json:"bytes,omitempty"`
}
