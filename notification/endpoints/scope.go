package endpoints

import (
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/reference"
)

// Scope is what an endpoint gets the events of: one repository, the repositories of one namespace, or, if both fields
// are "", the whole registry.
type Scope struct {
	// Repository is the name of a repository.
	Repository string
	// Namespace is the first component of the names of repositories.
	Namespace string
}

// The words of scopes in texts and IDs.
const (
	registryWord   = "registry"
	namespaceWord  = "namespace"
	repositoryWord = "repository"
)

// String returns "registry", "namespace:NAME" or "repository:NAME".
func (s Scope) String() string {
	switch {
	case s.Repository != "":
		return repositoryWord + ":" + s.Repository
	case s.Namespace != "":
		return namespaceWord + ":" + s.Namespace
	}
	return registryWord
}

// ParseScope reads the text of a scope.
//
// Errors: ErrInvalid.
func ParseScope(text string) (Scope, error) {
	kind, name, _ := strings.Cut(text, ":")
	var s Scope
	switch {
	case text == registryWord:
		return s, nil
	case kind == namespaceWord && name != "":
		s.Namespace = name
	case kind == repositoryWord && name != "":
		s.Repository = name
	default:
		return s, fmt.Errorf(`%w: a scope is "registry", "namespace:NAME" or "repository:NAME"`, ErrInvalid)
	}
	return s, s.check()
}

// check returns an error for a malformed name. The zero Scope is valid.
func (s Scope) check() error {
	if s == (Scope{}) {
		return nil
	}
	if s.Repository != "" && s.Namespace != "" {
		return fmt.Errorf("%w: a scope has a repository or a namespace, not both", ErrInvalid)
	}
	if reference.CheckName(s.Repository+s.Namespace) != nil || strings.Contains(s.Namespace, "/") {
		return fmt.Errorf("%w: malformed name in the scope", ErrInvalid)
	}
	return nil
}

// owner returns the namespace of the scope, or "" if it is in none.
func (s Scope) owner() string {
	if s.Namespace != "" {
		return s.Namespace
	}
	return namespaceOf(s.Repository)
}

// namespaceOf returns the namespace of a repository: its first component, also for a name of one component, which
// belongs to the account of that name. It is "" for "".
func namespaceOf(repository string) string {
	namespace, _, _ := strings.Cut(repository, "/")
	return namespace
}

// contains reports whether a repository is in the scope.
func (s Scope) contains(repository string) bool {
	switch {
	case s.Repository != "":
		return repository == s.Repository
	case s.Namespace != "":
		return namespaceOf(repository) == s.Namespace
	}
	return true
}

// ID identifies an endpoint, and states its scope: "registry.RANDOM", "namespace.NAME.RANDOM" or
// "repository.NAME.RANDOM". A slash in a name is written ".~". An ID needs no escaping in a URL.
type ID string

// random is the length of the random part of an ID.
const randomLength = 16

func newID(s Scope) ID {
	r := strings.ToLower(rand.Text()[:randomLength])
	kind, name, named := strings.Cut(s.String(), ":")
	if !named {
		return ID(kind + "." + r)
	}
	return ID(kind + "." + objectkey.Escape(name) + "." + r)
}

// Scope returns the scope of the endpoint with this ID, whether or not it exists.
//
// Errors: ErrInvalid for a malformed ID.
func (id ID) Scope() (Scope, error) {
	malformed := fmt.Errorf("%w: malformed id of an endpoint", ErrInvalid)
	kind, rest, _ := strings.Cut(string(id), ".")
	name, random := "", rest
	if i := strings.LastIndexByte(rest, '.'); i >= 0 && kind != registryWord {
		name, random = objectkey.Unescape(rest[:i]), rest[i+1:]
	}
	if len(random) != randomLength || strings.Trim(random, "abcdefghijklmnopqrstuvwxyz234567") != "" {
		return Scope{}, malformed
	}
	text := kind
	if kind != registryWord {
		text += ":" + name
	}
	s, err := ParseScope(text)
	if err != nil || s.check() != nil {
		return Scope{}, malformed
	}
	return s, nil
}

// none stands for a missing name in a key.
const none = "~"

// prefix returns the prefix of the keys of the endpoints of a scope.
func (s Scope) prefix() string {
	repository := none
	if s.Repository != "" {
		repository = objectkey.Escape(s.Repository)
	}
	return ownerPrefix(s.owner()) + repository + "/"
}

// ownerPrefix returns the prefix of the keys of the endpoints of a namespace and its repositories.
func ownerPrefix(namespace string) string {
	if namespace == "" {
		namespace = none
	}
	return endpointPrefix + namespace + "/"
}

// key returns the key of the record of an endpoint.
//
// Errors: ErrInvalid.
func (id ID) key() (string, error) {
	s, err := id.Scope()
	if err != nil {
		return "", err
	}
	return s.prefix() + string(id), nil
}
