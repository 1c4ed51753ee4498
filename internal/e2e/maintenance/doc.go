// Package maintenance checks examples/maintenance and the housekeeping of examples/server with real
// programs: registries that wrote the data to import, and clients that push and pull.
//
// The tests are short by default. With the flag -full, they import what two versions of the CNCF
// registry wrote, 2 GB in 500 tags, beside `skopeo sync`.
package maintenance
