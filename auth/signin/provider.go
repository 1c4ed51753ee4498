package signin

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/internal/options"
)

// Creation is what happens at the first sign-in of a person who is not linked to an account.
type Creation string

// The values of Creation.
const (
	// NoCreation refuses the sign-in. The user signs in in another way first and links the account.
	NoCreation Creation = "none"
	// ByName creates a user with the name in Provider.NameClaim. If the name is taken or not valid,
	// the sign-in is refused.
	ByName Creation = "name"
	// Numbered is ByName, but a name that is taken gets the first free number of 2 to 99: "ann-2".
	Numbered Creation = "numbered"
)

// Defaults of [Provider].
const (
	DefaultNameClaim   = "preferred_username"
	DefaultGroupsClaim = "groups"
	DefaultLeeway      = time.Minute
)

// Provider is an OpenID provider that people sign in with. [Parse] reads providers from YAML.
type Provider struct {
	// Name is part of the paths of the handler. It has at most 32 lower-case letters, digits and
	// hyphens. Required.
	Name string
	// Title is for display. Default: Name.
	Title string
	// Issuer is the URL of the provider, exactly as the claim iss of its tokens. It must be https, or
	// http on loopback. The handler reads ISSUER/.well-known/openid-configuration. Required.
	Issuer string
	// ClientID and ClientSecret are those of the client that is registered at the provider.
	// ClientSecret is "" for a public client. ClientID is required.
	ClientID     string
	ClientSecret auth.Secret
	// Scopes are the scopes to ask for. "openid" is always one of them. Default: profile.
	Scopes []string
	// Parameters are further parameters of the authorization request, such as "prompt". Default: none.
	Parameters map[string]string
	// Algorithms are the permitted algorithms of signatures. Default: RS256, ES256, EdDSA.
	Algorithms []string
	// Leeway is the permitted difference between the clocks. Default: DefaultLeeway, one minute.
	// Negative: none.
	Leeway time.Duration
	// UserInfo also reads the claims of the UserInfo endpoint, for providers whose ID tokens have no
	// groups. Default: false.
	UserInfo bool
	// Require are the permitted values of claims, such as "hd": {"example.com"}. Other people cannot
	// sign in. A claim that is a list must contain one of the values. Default: none. With Create, it
	// is required for the providers https://accounts.google.com and https://gitlab.com, because
	// everybody can register there.
	Require map[string][]string
	// Create is what happens at the first sign-in. Default: NoCreation.
	Create Creation
	// NameClaim is the claim with the name of a new account. Of an e-mail address, the part before "@"
	// counts. Dots, underscores and spaces become hyphens. Default: DefaultNameClaim,
	// "preferred_username".
	NameClaim string
	// GroupsClaim is the claim with the groups: a text or a list of texts. Default:
	// DefaultGroupsClaim, "groups".
	GroupsClaim string
	// Teams map groups to teams and admins. At each sign-in, the user joins the teams whose groups the
	// user is in, and leaves the other teams of the list. Teams that are not in the list stay as they
	// are. Default: none.
	Teams []Mapping
	// PostLogoutURL is the URL, registered at the provider, to which it sends browsers after a logout.
	// Default: none.
	PostLogoutURL string
}

// Mapping gives the members of a group of a provider a team, or makes them admins.
type Mapping struct {
	// Group is a value of Provider.GroupsClaim. Required.
	Group string
	// Team is "ORGANISATION/TEAM", "ORGANISATION/owners" for its owners, or "ORGANISATION" for its
	// members. The organisation and the team must exist. Joining a team makes the user a member of its
	// organisation. A user who leaves the last team stays a member, unless the list also maps
	// "ORGANISATION". The last owner stays.
	Team string
	// Admin makes the members admins of the registry, instead of Team. The last admin stays.
	Admin bool
}

var (
	nameSyntax = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)
	teamSyntax = regexp.MustCompile(`^[a-z][a-z0-9-]{1,38}(/[a-z][a-z0-9-]{1,38})?$`)
)

// reservedParameters are the parameters of an authorization request that the handler sets.
var reservedParameters = []string{"client_id", "response_type", "redirect_uri", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "response_mode", "request", "request_uri"}

// mistake is an error in a field of a Provider.
type mistake struct {
	field string
	index int // of a list, or 0
	err   error
}

// Error implements error.
func (m *mistake) Error() string { return m.field + ": " + m.err.Error() }

// Unwrap returns the cause.
func (m *mistake) Unwrap() error { return m.err }

func wrong(field string, format string, args ...any) error {
	return &mistake{field, 0, fmt.Errorf(format, args...)}
}

// complete checks a Provider and sets its defaults.
func (p *Provider) complete() error {
	options.Default(&p.Title, p.Name)
	options.Default(&p.Create, NoCreation)
	options.Default(&p.NameClaim, DefaultNameClaim)
	options.Default(&p.GroupsClaim, DefaultGroupsClaim)
	options.Default(&p.Leeway, DefaultLeeway)
	p.Leeway = max(p.Leeway, 0)
	if p.Scopes == nil {
		p.Scopes = []string{"profile"}
	}
	if len(p.Algorithms) == 0 {
		p.Algorithms = []string{"RS256", "ES256", "EdDSA"}
	}
	switch {
	case !nameSyntax.MatchString(p.Name):
		return wrong("name", "it must have 1 to 32 lower-case letters, digits and hyphens")
	case p.ClientID == "":
		return wrong("clientID", "it is required")
	case p.Leeway > time.Hour:
		return wrong("leeway", "it must be at most an hour")
	case !slices.Contains([]Creation{NoCreation, ByName, Numbered}, p.Create):
		return wrong("create", "%.40q is not one of none, name and numbered", p.Create)
	}
	if err := p.checkURLs(); err != nil {
		return err
	}
	for _, name := range reservedParameters {
		if _, ok := p.Parameters[name]; ok {
			return wrong("parameters", "%q cannot be set", name)
		}
	}
	for claim, values := range p.Require {
		if claim == "" || len(values) == 0 {
			return wrong("require", "each claim needs a value")
		}
	}
	return p.checkTeams()
}

// public are the issuers at which everybody can register.
var public = []string{"https://accounts.google.com", "https://gitlab.com"}

// checkURLs checks the issuer and PostLogoutURL.
func (p *Provider) checkURLs() error {
	u, err := url.Parse(p.Issuer)
	switch {
	case p.Issuer == "":
		return wrong("issuer", "it is required")
	case err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(p.Issuer, "?#"):
		return wrong("issuer", "%.100q must be a URL without user, query and fragment", p.Issuer)
	case p.Create != NoCreation && len(p.Require) == 0 && slices.Contains(public, p.Issuer):
		return wrong("require", "everybody can get an account of %s: say who may sign in", p.Issuer)
	}
	if err := checkScheme(u); err != nil {
		return wrong("issuer", "%w", err)
	}
	if p.PostLogoutURL == "" {
		return nil
	}
	if u, err = url.Parse(p.PostLogoutURL); err != nil || u.Host == "" {
		return wrong("postLogoutURL", "%.100q must be a URL", p.PostLogoutURL)
	}
	if err := checkScheme(u); err != nil {
		return wrong("postLogoutURL", "%w", err)
	}
	return nil
}

// checkTeams checks the mapping.
func (p *Provider) checkTeams() error {
	for i, m := range p.Teams {
		var err error
		switch {
		case m.Group == "":
			err = errors.New("a group is required")
		case m.Admin == (m.Team != ""):
			err = errors.New("either a team or admin is required")
		case m.Team != "" && !teamSyntax.MatchString(m.Team):
			err = fmt.Errorf("%.100q must be ORGANISATION/TEAM, ORGANISATION/owners or ORGANISATION", m.Team)
		}
		if err != nil {
			return &mistake{"teams", i, err}
		}
	}
	return nil
}
