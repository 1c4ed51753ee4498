// Package memory is a [github.com/registrykit/registry/storage/driver.Driver] that keeps everything in the memory of the process: for
// tests, for caches and for registries that may forget. Its contents end with the process.
//
// Objects are immutable once stored, so readers are never blocked by writers for longer than it
// takes to change one entry of an index, and a reader that is open goes on reading the object it
// opened. The index is ordered: a page of a list costs the page, also among millions of keys.
package memory
