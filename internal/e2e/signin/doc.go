// Package signin tests the sign-in of people at a real OpenID provider: that of the zitadel
// project, in the test process. Two replicas of a registry are behind a random balancer. The
// package has tests only.
package signin
