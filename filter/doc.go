// Package filter provides Backends that wrap a Backend and change what it does: reject writes,
// protect tags, show a tenant its own repositories, authorize, observe or log operations. Filters
// can wrap each other in any order.
//
// Each filter rejects operations that it does not know, so that a method added to
// [registry.Backend] in a later version of this module does not bypass it.
//
// To write a filter of your own, start with [registry.Intercept]; see the example of this package.
// For a filter that changes arguments or results, see the example of a wrapped Backend.
package filter
