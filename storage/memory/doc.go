// Package memory provides a [Driver] that keeps everything in the memory of the process: for tests,
// for caches, and for registries whose content may be lost. The content ends with the process.
//
// Stored objects never change, so a writer blocks readers only while it changes one entry of the
// index, and an open reader continues to read the object that it opened. The index is ordered: a
// page of a list costs time for the page only, even among millions of keys.
package memory
