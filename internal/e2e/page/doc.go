// Package page tests the page of the registry in a real browser: Debian's chromium, with axe-core.
// The views come from a crawl of the page itself, so that a new view is tested without a change
// here.
package page
