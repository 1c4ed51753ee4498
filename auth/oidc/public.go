package oidc

import (
	"slices"
	"strings"
)

// publicClaims returns, for an issuer that gives everybody tokens for any audience, the claims that say to
// whom a token was given. A rule that pins none of them would accept the tokens of strangers.
func publicClaims(issuer string) []string {
	switch issuer {
	case "https://token.actions.githubusercontent.com":
		return []string{"sub", "repository", "repository_id", "repository_owner", "repository_owner_id", "enterprise",
			"enterprise_id"}
	case "https://gitlab.com":
		return []string{"sub", "project_path", "project_id", "namespace_path", "namespace_id"}
	case "https://accounts.google.com":
		return []string{"sub", "email", "hd", "google/compute_engine/project_id", "google/compute_engine/project_number"}
	}
	return nil
}

// checkPublic returns an error for a rule that strangers can satisfy.
func checkPublic(issuer string, claims map[string][]string) error {
	names := publicClaims(issuer)
	if names == nil {
		return nil
	}
	for _, name := range names {
		if patterns := claims[name]; len(patterns) > 0 && !slices.ContainsFunc(patterns, func(p string) bool {
			return !pins(name, p)
		}) {
			return nil
		}
	}
	return wrong("claims", 0, "everybody can get a token of %s: give one of %s, without a wildcard before the first slash",
		issuer, strings.Join(names, ", "))
}

// pins reports whether every value that matches the pattern of a claim belongs to one owner: whether
// the text before the first slash is literal. In an e-mail address, it is the domain that must be
// literal, and that of an organisation.
func pins(claim, pattern string) bool {
	const wildcards = "*?[{"
	if strings.HasPrefix(pattern, "!") { // an exception, which admits nothing
		return true
	}
	owner, _, _ := strings.Cut(pattern, "/")
	if !strings.ContainsAny(owner, wildcards) {
		return true
	}
	_, domain, found := strings.Cut(owner, "@")
	if claim != "email" || !found || strings.ContainsAny(domain, wildcards) {
		return false
	}
	return strings.HasSuffix(domain, ".iam.gserviceaccount.com") ||
		!strings.HasSuffix(domain, "gserviceaccount.com") && domain != "gmail.com" && domain != "googlemail.com"
}
