package web_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/web"
)

// TestAccess: everybody asks about themselves, and readers of the rules about all callers.
func TestAccess(t *testing.T) {
	s := newSite(t, nil)
	s.get(t, "", "/access").shows(t, http.StatusUnauthorized)
	own := s.get(t, "ann", "/access").shows(t, http.StatusOK, "You can ask about yourself.")
	require.Zero(t, own.doc.Find(`[name="who"]`).Length())
	s.submit(t, "ann", own, "main form", "repository", "acme/app", "action", "push").
		shows(t, http.StatusOK, "ann may push to acme/app.", "The user is an owner of acme.", "allowed")
	s.submit(t, "bob", own, "main form", "repository", "acme/app", "action", "delete").
		shows(t, http.StatusOK, "bob may not delete in acme/app.", "Nothing permits it", "not allowed")
	s.get(t, "bob", "/access?who=account&account=ann&repository=acme/app&action=pull").shows(t, http.StatusForbidden)

	all := s.get(t, "boss", "/access").shows(t, http.StatusOK, "Somebody without an account")
	s.submit(t, "boss", all, "main form", "who", "account", "account", "ann", "repository", "acme/app").
		shows(t, http.StatusOK, "ann may pull from acme/app.", "Groups: acme")
	s.submit(t, "boss", all, "main form", "who", "anonymous", "repository", "acme/app").
		shows(t, http.StatusOK, "People who have not signed in may not pull from acme/app.")
	s.submit(t, "boss", all, "main form", "who", "name", "name", "ci", "groups", "acme, other", "repository", "acme/app").
		shows(t, http.StatusOK, "ci may not pull from acme/app.", "other")
	s.submit(t, "boss", all, "main form", "account", "ann", "repository", "acme/app").
		shows(t, http.StatusOK, "ann may pull from acme/app.")
	s.submit(t, "boss", all, "main form", "who", "account", "repository", "acme/app").
		wrong(t, http.StatusBadRequest, "account", "Type the name of a user or robot.")
	s.submit(t, "boss", all, "main form", "who", "account", "account", "nobody", "repository", "acme/app").
		wrong(t, http.StatusBadRequest, "account", "There is no user or robot of this name.")
	s.submit(t, "boss", all, "main form").wrong(t, http.StatusBadRequest, "repository", "Type the name of a repository.")
	for _, text := range hostile {
		if text == "a\x00b\x1b[31mred" {
			continue // a zero byte is refused for all views
		}
		r := s.get(t, "boss", "/access?action=pull&repository="+url.QueryEscape(text))
		require.Contains(t, []int{http.StatusBadRequest, http.StatusOK}, r.StatusCode, text)
		r = s.get(t, "boss", "/access?action=pull&repository=acme/app&who=name&name="+url.QueryEscape(text))
		require.Contains(t, []int{http.StatusBadRequest, http.StatusOK}, r.StatusCode, text)
		s.get(t, "boss", "/access?repository=acme/app&action="+url.QueryEscape(text)).shows(t, http.StatusBadRequest)
	}
}

// TestAccessRules: the rules of a file are shown to their readers, and named as the reason.
func TestAccessRules(t *testing.T) {
	list, err := rules.Parse([]byte(`rules:
- name: releases stay
  who: everyone
  repositories: ["acme/**"]
  actions: [overwrite, delete]
  tags: ["v*"]
  effect: deny
- name: <b>the</b> mirror reads
  who: [{user: mirror}, {group: acme}, {claim: {iss: "https://ci.example"}}]
  repositories: ["**"]
  accounts: [acme]
  actions: [pull, read]
`))
	require.NoError(t, err)
	s := newSite(t, func(s *site, manage *api.Options, _ *web.Options) {
		users, err := accounts.NewAuthenticator(s.people, nil)
		require.NoError(t, err)
		s.registry, err = registry.New(s.store, &registry.Options{Authenticator: users,
			Authorizer: accounts.NewAuthorizer(s.people).Refine(list)})
		require.NoError(t, err)
		manage.Rules = list
	})
	s.get(t, "ann", "/access").shows(t, http.StatusOK).lacks(t, "releases stay")
	s.get(t, "boss", "/access").shows(t, http.StatusOK, "releases stay", "<b>the</b> mirror reads", "everybody",
		"group acme", "iss=https://ci.example", "account acme", "Tags: v*")
	s.get(t, "ann", "/access?repository=acme/app&action=delete&tag=v1").
		shows(t, http.StatusOK, "ann may not delete in acme/app.", "This rule forbids it:", "releases stay")
	s.get(t, "boss", "/access?who=name&name=mirror&repository=other/app&action=pull").
		shows(t, http.StatusOK, "mirror may pull from other/app.", "This rule permits it:", "mirror reads")
}
