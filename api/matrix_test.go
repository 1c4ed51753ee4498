package api_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/storage/driver"
)

// matrixCallers are the columns of the matrix. They are those of TestAccountsMatrix in the root package, and a session.
// All users are members of the organisation acme, except for stranger.
//
//	anon      without credentials
//	read, write, maint  in a team with this role everywhere in acme
//	owner     an owner of acme
//	other     stranger, an owner of the organisation other
//	robot     acme+deploy, which may write in app/**
//	narrow    a token of the owner with the scope "admin in acme/app/**"
//	ci        a job with an ID token, without an account: a rule lets it pull and push in acme/app
//	admin     an admin of the registry
//	off       a disabled user in the team of maint
//	revoked   a revoked token of maint
//	expired   an expired token of maint
//	ses       a session of the owner
const matrixCallers = `anon read write maint owner other robot narrow ci admin off revoked expired ses`

// matrix says for each route, and each caller, what the response is:
//
//	y  authorised, with the status OK of the row
//	*  authorised, with the status 200 of a GET or 204 of a DELETE
//	l  refused with 401 and a challenge: log in
//	n  refused with 403
//
// Words in capital letters stand for IDs that the site has.
const matrix = `
# route                                                      OK  ano rea wri mai own oth rob nar ci  adm off rev exp ses
GET    /v1/openapi.json                                      200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/parts                                             200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/user                                              200 l   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/password                                          200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
PUT    /v1/user/password                                     204 l   y   y   y   y   y   n   n   n   y   l   l   l   y
GET    /v1/user/sessions                                     200 l   y   y   y   y   y   n   n   n   y   l   l   l   y
DELETE /v1/user/sessions                                     204 l   y   y   y   y   y   n   n   n   y   l   l   l   y
GET    /v1/user/sessions/SESSION                             404 l   y   y   y   *   y   n   n   n   y   l   l   l   *
DELETE /v1/user/sessions/SESSION                             404 l   y   y   y   *   y   n   n   n   y   l   l   l   *
POST   /v1/signup                                            201 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/setup                                             200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
POST   /v1/setup                                             403 y   y   y   y   y   y   y   y   y   y   l   l   l   y

= users: a user reads and changes the own profile, and admins do everything
GET    /v1/users                                             200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/users                                             201 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/users/read                                        200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
PATCH  /v1/users/read                                        200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/users/read                                        204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/users/read/rename                                 200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/users/read/release                                200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/users/read/disable                                200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/users/read/enable                                 200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
PUT    /v1/users/read/password                               204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/users/read/password                               204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/users/read/memberships                            200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/users/read/links                                  200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/users/read/links/LINK                             204 l   y   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/admins                                            200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
PUT    /v1/admins/read                                       204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/admins/second                                     204 l   n   n   n   n   n   n   n   n   y   l   l   l   n

= tokens of a user, and of a robot of acme
GET    /v1/accounts/read/tokens                              200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/accounts/read/tokens                              201 l   y   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/accounts/read/tokens/READTOKEN                    200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/accounts/read/tokens/READTOKEN                    204 l   y   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/accounts/read/tokens/READTOKEN/rotate             201 l   y   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/accounts/acme+deploy/tokens                       200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/accounts/acme+deploy/tokens                       201 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/accounts/acme+deploy/tokens/ROBOTTOKEN            200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/accounts/acme+deploy/tokens/ROBOTTOKEN            204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/accounts/acme+deploy/tokens/ROBOTTOKEN/rotate     201 l   n   n   n   y   n   n   n   n   y   l   l   l   y

= organisations, teams and robots: members read, owners change, and users have their own robots
GET    /v1/organisations                                     200 l   y   y   y   y   y   y   y   y   y   l   l   l   y
POST   /v1/organisations                                     201 l   y   y   y   y   y   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme                                200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
PATCH  /v1/organisations/acme                                200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme?repositories=delete            204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme?repositories=keep              204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/organisations/acme/rename                         200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/organisations/acme/rename?force=true              200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/organisations/acme/release                        200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/organisations/acme/disable                        200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/organisations/acme/enable                         200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/organisations/acme/owners                         200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
PUT    /v1/organisations/acme/owners/read                    204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme/owners/second                  204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme/members                        200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme/members/read                   200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
PUT    /v1/organisations/acme/members/stranger               204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme/members/read                   204 l   y   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme/teams                          200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
POST   /v1/organisations/acme/teams                          201 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme/teams/read                     200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
PATCH  /v1/organisations/acme/teams/read                     200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme/teams/read                     204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/organisations/acme/teams/read/members             200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
PUT    /v1/organisations/acme/teams/read/members/write       204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/organisations/acme/teams/read/members/read        204 l   y   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/namespaces/acme/robots                            200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
POST   /v1/namespaces/acme/robots                            201 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/namespaces/acme/robots/deploy                     200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
PATCH  /v1/namespaces/acme/robots/deploy                     200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/namespaces/acme/robots/deploy                     204 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/namespaces/acme/robots/deploy/disable             200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/namespaces/acme/robots/deploy/enable              200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/namespaces/read/robots                            200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/namespaces/read/robots                            201 l   y   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/namespaces/read/robots/bot                        200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
PATCH  /v1/namespaces/read/robots/bot                        200 l   y   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/namespaces/read/robots/bot                        204 l   y   n   n   n   n   n   n   n   y   l   l   l   n

= the private repository acme/app
GET    /v1/repositories                                      200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp                           200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
PATCH  /v1/repositories/acme%2Fapp                           200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
DELETE /v1/repositories/acme%2Fapp                           204 l   n   n   y   y   n   n   y   n   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/tags                      200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/tags/v1                   200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
PUT    /v1/repositories/acme%2Fapp/tags/v1                   200 l   n   y   y   y   n   y   y   y   y   l   l   l   y
DELETE /v1/repositories/acme%2Fapp/tags/v1                   204 l   n   n   y   y   n   n   y   n   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests                 200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests/v1              200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests/IMAGE           200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
DELETE /v1/repositories/acme%2Fapp/manifests/IMAGE           204 l   n   n   y   y   n   n   y   n   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests/v1/content      200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests/v1/referrers    200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/history                   200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
POST   /v1/repositories/acme%2Fapp/restore                   200 l   n   y   y   y   n   y   y   y   y   l   l   l   y
POST   /v1/repositories/acme%2Fapp/deletion-preview          200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
POST   /v1/repositories/acme%2Fapp/copies                    201 l   n   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/usage                     200 l   y   y   y   y   n   y   y   y   y   l   l   l   y

= the public repository acme/web
GET    /v1/repositories/acme%2Fweb                           200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
PATCH  /v1/repositories/acme%2Fweb                           200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
DELETE /v1/repositories/acme%2Fweb                           204 l   n   n   y   y   n   n   n   n   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/tags                      200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/tags/v1                   200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
PUT    /v1/repositories/acme%2Fweb/tags/v1                   200 l   n   y   y   y   n   n   n   n   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/manifests                 200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/manifests/v1              200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/manifests/v1/content      200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/manifests/v1/referrers    200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/history                   200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/usage                     200 y   y   y   y   y   y   y   y   y   y   l   l   l   y

= the bin, search, rules, usage
GET    /v1/bin                                               200 l   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/search?q=app                                      200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/namespaces                                        200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fapp/manifests/v1/shared       200 l   y   y   y   y   n   y   y   y   y   l   l   l   y
GET    /v1/repositories/acme%2Fweb/manifests/v1/shared       200 y   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/rules                                             200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/rules/explain                                     200 l   y   y   y   y   y   y   y   y   y   l   l   l   y
GET    /v1/usage                                             200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/usage/children                                    200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/usage/largest                                     200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/usage?prefix=acme                                 200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/usage/children?prefix=acme                        200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/usage/largest?prefix=acme                         200 l   n   n   n   y   n   n   n   n   y   l   l   l   y

= webhooks of the registry, of acme and of acme/app
GET    /v1/webhooks                                          200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/webhooks?scope=registry                           200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/webhooks?scope=namespace:acme                     200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/webhooks?scope=repository:acme%2Fapp              200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
POST   /v1/webhooks?scope=registry                           201 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/webhooks?scope=namespace:acme                     201 l   n   n   n   y   n   n   n   n   y   l   l   l   y
POST   /v1/webhooks?scope=repository:acme%2Fapp              201 l   n   n   n   y   n   n   y   n   y   l   l   l   y
GET    /v1/webhooks/HOOKALL                                  200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
PATCH  /v1/webhooks/HOOKALL                                  200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/webhooks/HOOKACME                                 200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
PATCH  /v1/webhooks/HOOKACME                                 200 l   n   n   n   y   n   n   n   n   y   l   l   l   y
GET    /v1/webhooks/HOOKAPP                                  200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
PATCH  /v1/webhooks/HOOKAPP                                  200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
DELETE /v1/webhooks/HOOKAPP                                  204 l   n   n   n   y   n   n   y   n   y   l   l   l   y
POST   /v1/webhooks/HOOKAPP/rotate                           200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
POST   /v1/webhooks/HOOKAPP/test                             200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
GET    /v1/webhooks/HOOKAPP/deliveries                       200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
GET    /v1/webhooks/HOOKAPP/deliveries/DELIVERY              200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
POST   /v1/webhooks/HOOKAPP/deliveries/DELIVERY/replay       200 l   n   n   n   y   n   n   y   n   y   l   l   l   y

= the registry as a whole: admins, and owners about their own namespace
GET    /v1/jobs                                              200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/jobs/collect                                      200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/jobs/collect/run                                  202 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/jobs/collect/cancel                               409 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/quota/limits                                      200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/quotas                                            200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/quotas/acme                                       200 l   y   y   y   y   n   n   n   n   y   l   l   l   y
POST   /v1/quotas/acme/recount                               200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/retention/rules                                   200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/retention/plans                                   200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/retention/apply                                   200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/retention/undo                                    200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/scrub/losses                                      200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/scrub/losses/acme%2Flost/LOST                     200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/scrub/losses/acme%2Flost/LOST                     204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/mirror                                            200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
POST   /v1/mirror/refresh                                    200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/mirror/pins                                       200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
PUT    /v1/mirror/pins/hub.example%2Flibrary%2Fapp/v1        204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
DELETE /v1/mirror/pins/hub.example%2Flibrary%2Fapp/v1        204 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/audit                                             200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
GET    /v1/audit?repository=acme%2Fapp                       200 l   n   n   n   y   n   n   y   n   y   l   l   l   y
GET    /v1/audit/export?since=2026-01-01T00:00:00Z&DAY 200 l   n   n   n   n   n   n   n   n   y   l   l   l   n
`

// matrixBodies are the bodies of the requests, by the route of the API. A word in capital letters stands for an ID.
var matrixBodies = map[string]string{
	"PUT /v1/user/password":        `{"old":"` + password + `","new":"another long password"}`,
	"POST /v1/signup":              `{"name":"fresh","password":"sunny cello marmot"}`,
	"POST /v1/setup":               `{"token":"x","name":"fresh","password":"sunny cello marmot"}`,
	"POST /v1/users":               `{"name":"fresh"}`,
	"PATCH /v1/users/{user}":       `{"fullName":"R. Ead"}`,
	"POST /v1/users/{user}/rename": `{"name":"fresh"}`, "POST /v1/users/{user}/release": `{"name":"reader"}`,
	"PUT /v1/users/{user}/password":                       `{"password":"sunny cello marmot"}`,
	"POST /v1/accounts/{account}/tokens":                  `{"name":"fresh"}`,
	"POST /v1/accounts/{account}/tokens/{token}/rotate":   `{}`,
	"POST /v1/organisations":                              `{"name":"fresh"}`,
	"PATCH /v1/organisations/{organisation}":              `{"fullName":"Acme"}`,
	"POST /v1/organisations/{organisation}/rename":        `{"name":"fresh"}`,
	"POST /v1/organisations/{organisation}/release":       `{"name":"acne"}`,
	"POST /v1/organisations/{organisation}/teams":         `{"name":"fresh"}`,
	"PATCH /v1/organisations/{organisation}/teams/{team}": `{"description":"d"}`,
	"POST /v1/namespaces/{namespace}/robots":              `{"name":"fresh"}`,
	"PATCH /v1/namespaces/{namespace}/robots/{robot}":     `{"grants":[]}`,
	"PATCH /v1/repositories/{repository}":                 `{"description":"d"}`,
	"PUT /v1/repositories/{repository}/tags/{tag}":        `{"digest":"IMAGE"}`,
	"POST /v1/repositories/{repository}/restore":          `{"tag":"gone"}`,
	"POST /v1/repositories/{repository}/deletion-preview": `{"tags":["v1"],"digests":["IMAGE"]}`,
	"POST /v1/repositories/{repository}/copies":           `{"tag":"v1","to":"acme/app","toTag":"v1"}`,
	"POST /v1/rules/explain": `{"accesses":[{"type":"repository","name":"a",` +
		`"action":"pull"}]}`,
	"POST /v1/webhooks":                  `{"name":"w","url":"https://hook.example/x"}`,
	"PATCH /v1/webhooks/{webhook}":       `{"name":"x"}`,
	"POST /v1/webhooks/{webhook}/rotate": `{}`,
	"POST /v1/retention/apply":           "PLAN",
	"POST /v1/retention/undo":            "PLAN",
	"POST /v1/mirror/refresh":            `{"repository":"hub.example/library/app","tag":"v1"}`,
}

// matrixRow is a request, its route in the API, the status if it is authorised, and a cell for each caller.
type matrixRow struct {
	method, path, route string
	status              int
	cells               []string
}

// TestMatrix requests every route of the API as every caller, over HTTP. A request that may change something is
// followed by a new copy of the same site. A new route fails the test until the matrix has a row for it.
func TestMatrix(t *testing.T) {
	base := newMatrixSite(t)
	rows := matrixRows(t, base.routes())
	for i, caller := range strings.Fields(matrixCallers) {
		t.Run(caller, func(t *testing.T) {
			t.Parallel()
			c := base.with(t)
			for _, row := range rows {
				c.request(t, row, base.headers[caller], row.cells[i])
			}
		})
	}
}

// TestMatrixOfTokens: no route serves a caller with a token of the token service, whatever its scopes.
func TestMatrixOfTokens(t *testing.T) {
	base := newMatrixSite(t)
	c := base.with(t)
	for _, row := range matrixRows(t, base.routes()) {
		c.request(t, row, "Bearer "+base.dockerToken(t), "l")
	}
}

// matrixRows returns the rows of the matrix, which cover all routes.
func matrixRows(t *testing.T, routes []string) []matrixRow {
	t.Helper()
	var rows []matrixRow
	seen := map[string]bool{}
	for line := range strings.Lines(strings.TrimSpace(matrix)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" || words[0] == "=" {
			continue
		}
		require.Len(t, words, 3+len(strings.Fields(matrixCallers)), line)
		status, err := strconv.Atoi(words[2])
		require.NoError(t, err)
		route := routeOf(routes, words[0], words[1])
		require.NotEmpty(t, route, "the matrix has a route that does not exist: %s", line)
		seen[route] = true
		rows = append(rows, matrixRow{words[0], words[1], route, status, words[3:]})
	}
	for _, route := range routes {
		require.True(t, seen[route], "the matrix lacks the route %s", route)
	}
	return rows
}

// routeOf returns the route of a request: of those that match, the one with the fewest parameters.
func routeOf(routes []string, method, path string) string {
	path, _, _ = strings.Cut(path, "?")
	segments := strings.Split(path, "/")
	best := ""
	for _, route := range routes {
		m, pattern, _ := strings.Cut(route, " ")
		parts := strings.Split(pattern, "/")
		matches := m == method && slices.EqualFunc(parts, segments, func(part, segment string) bool {
			return part == segment || strings.HasPrefix(part, "{")
		})
		if matches && (best == "" || strings.Count(route, "{") < strings.Count(best, "{")) {
			best = route
		}
	}
	return best
}

// request makes a request of a row and checks the response.
func (c *matrixCaller) request(t *testing.T, row matrixRow, login, cell string) {
	t.Helper()
	want := map[string]int{"y": row.status, "l": http.StatusUnauthorized, "n": http.StatusForbidden,
		"*": map[string]int{"GET": http.StatusOK, "DELETE": http.StatusNoContent}[row.method]}[cell]
	allowed := cell == "y" || cell == "*"
	if c.current == nil {
		c.renew(t)
	}
	var body any
	if text, ok := matrixBodies[row.route]; ok {
		body = c.base.ids.Replace(text)
	}
	headers := []string{}
	if login != "" {
		headers = append(headers, "Authorization: "+login)
	}
	if c.current.api.Conditional(row.route) || strings.HasPrefix(row.route, "PUT /v1/repositories/") ||
		strings.HasSuffix(row.route, "/copies") {
		headers = append(headers, "If-Match: *")
	}
	a := c.current.do(t, "", row.method, c.base.ids.Replace(row.path), body, headers...)
	if allowed && row.method != http.MethodGet {
		c.current = nil
	}
	what := row.method + " " + row.path
	require.Equal(t, want, a.status, "%s: %s", what, a.body)
	require.Equal(t, want == 401, a.header.Get("WWW-Authenticate") != "", what)
	if a.status >= 400 {
		var problem types.Problem
		a.into(&problem)
		require.Equal(t, !allowed, slices.Contains([]string{"DENIED", "UNAUTHORIZED"}, problem.Code), "%s: %s", what, a.body)
		require.NotContains(t, string(a.body), "accounts:", what) // the reason is for the audit only
	}
}

// matrixCaller makes requests to copies of the base, over one server.
type matrixCaller struct {
	base    *matrixSite
	server  *httptest.Server
	current *site // nil if a new copy is needed
	copy    driver.Driver
	handler http.Handler
}
