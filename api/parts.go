package api

import (
	"github.com/registrykit/registry/audit"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/session"
	"github.com/registrykit/registry/jobs"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
	"github.com/registrykit/registry/search"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/usage"
)

// Parts are the parts of a registry that the API manages. The repositories, their tags and images are always part of
// it. The routes of a part that is nil do not exist.
type Parts struct {
	// Accounts are the users, organisations, teams, robots and tokens.
	Accounts accounts.Manager
	// SignUp lets people create their own accounts. nil means that only admins create accounts.
	SignUp *accounts.SignUps
	// Sessions are the sessions of people who have signed in.
	Sessions *session.Sessions
	// Bin finds what was deleted in all repositories: storage.Store.Inventory. Its repositories
	// must have the names that they have in the registry.
	Bin Histories
	// Search finds repositories and accounts.
	Search *search.Index
	// Rules are the rules of access from a file.
	Rules *rules.Rules
	// Usage is what repositories hold.
	Usage *usage.Meter
	// Quotas are the limits of prefixes.
	Quotas *quota.Quotas
	// Retention plans and applies retention rules.
	Retention *retention.Planner
	// Scrub is the storage of which the API shows what scrubs have found.
	Scrub driver.Driver
	// Webhooks are the webhooks that users create.
	Webhooks *endpoints.Endpoints
	// Jobs are the background jobs.
	Jobs *jobs.Runner
	// Mirror is the mirror of other registries.
	Mirror *mirror.Mirror
	// Audit is the audit log.
	Audit *audit.Log
}

// part is a set of routes with their description.
type part struct {
	// name is the name of the file in the folder openapi, without ".yaml", and the tag of its operations.
	name   string
	used   bool
	routes []route
}

// parts returns the parts that the host uses.
func (a *API) parts() []part {
	o := &a.opts.Parts
	people := o.Accounts != nil
	_, setup := o.Accounts.(setUpper)
	_, links := o.Accounts.(linker)
	var used []part
	for _, p := range []part{
		{"description", true, a.descriptionRoutes()},
		{"caller", true, a.callerRoutes()},
		{"password", people, a.passwordRoutes()},
		{"signup", people && o.SignUp != nil, a.signUpRoutes()},
		{"setup", setup, a.setUpRoutes()},
		{"users", people, a.userRoutes()},
		{"links", links, a.linkRoutes()},
		{"admins", people, a.adminRoutes()},
		{"tokens", people, a.tokenRoutes()},
		{"organisations", people, a.organisationRoutes()},
		{"teams", people, a.teamRoutes()},
		{"robots", people, a.robotRoutes()},
		{"sessions", o.Sessions != nil, a.sessionRoutes()},
		{"repositories", true, a.repositoryRoutes()},
		{"settings", people, a.settingsRoutes()},
		{"tags", true, a.tagRoutes()},
		{"manifests", a.inventory() != nil, a.manifestRoutes()},
		{"images", true, a.imageRoutes()},
		{"history", true, a.historyRoutes()},
		{"bin", o.Bin != nil, a.binRoutes()},
		{"deletion", true, a.deletionRoutes()},
		{"copies", true, a.copyRoutes()},
		{"search", o.Search != nil, a.searchRoutes()},
		{"rules", o.Rules != nil, a.ruleRoutes()},
		{"explain", true, a.explainRoutes()},
		{"usage", o.Usage != nil, a.usageRoutes()},
		{"quota", o.Quotas != nil, a.quotaRoutes()},
		{"retention", o.Retention != nil, a.retentionRoutes()},
		{"scrub", o.Scrub != nil, a.scrubRoutes()},
		{"webhooks", o.Webhooks != nil, a.webhookRoutes()},
		{"jobs", o.Jobs != nil, a.jobRoutes()},
		{"mirror", o.Mirror != nil, a.mirrorRoutes()},
		{"audit", o.Audit != nil, a.auditRoutes()},
	} {
		if p.used {
			used = append(used, p)
		}
	}
	return used
}
