// Package filter has Backends that wrap a Backend: what a registry shall do differently from the
// one below it, each in a few lines. They can be put around each other in any order.
//
// Whatever comes to [registry.Backend] in a later version of this module is refused by a filter
// that does not know of it. What a filter of one's own takes is shown by the example of the
// package.
package filter
