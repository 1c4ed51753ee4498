// Package driver is the contract between a registry and the place where it keeps its bytes.
//
// A [Driver] stores objects under keys, each written as a whole. It knows nothing about registries:
// the package storage decides which objects exist, in which order they are written, and when they
// are removed. In this package, "the registry" is the package storage, which calls the Driver.
//
// This package imports the standard library only, so a driver does not link the registry.
//
// # Writing a driver
//
//  1. Implement Put, Stat, Open, Delete and List without options. Let MaxObjectSize return 0 and
//     Sync return nil. Call drivertest.TestDriver from a test. Each part of the suite is a subtest,
//     so the output names what is still missing, and go test -run TestDriver/Ranges runs one part.
//  2. Add the conditions: PutOptions.IfAbsent, PutOptions.IfVersion and the ifVersion of Delete. A
//     condition is a compare-and-swap. The storage must check it in the same atomic step that
//     makes the change; a driver that checks first and acts afterwards loses updates.
//  3. Add durability: PutOptions.Durability and Sync. If the storage acknowledges a write only once
//     it is durable, as object stores do, ignore Durability and let Sync return nil.
//  4. Return errors that wrap those of this package, so that [errors.Is] finds them.
//
// [ValidKey] and [ValidPrefix] check arguments. The package storage/memory is the shortest complete
// driver. A driver that wraps another one, for example to count calls, embeds the interface
// [Driver] and overrides what it changes; see the example of [Driver].
//
// # Testing a driver
//
// The package storage/driver/drivertest checks the whole contract: keys, conditions, races, lists,
// cancellation. Give its Options.Reopen if a second Driver can use the same storage, so that it
// checks both together. A loss of power is the one part of the contract that it cannot simulate.
//
// # Optional abilities
//
// The registry asks for these interfaces with a type assertion, and works without them. However, it
// takes a Driver without SingleProcess for one whose conditions hold between processes.
//
//   - [URLSigner] lets clients fetch blobs from the storage directly, by a redirect.
//   - [Sweeper] removes tombstones, which a Driver needs on storage without a conditional delete.
//   - [Adopter] takes over bytes that are in the storage already. An import uses it; without it, the
//     bytes are copied by Put.
//   - [Local] reports that the storage is on this machine, so that goroutines are not worthwhile.
//   - [SingleProcess] reports that conditions hold within one process only. Garbage collection then
//     refuses to run unless the operator states that no other process uses the storage.
//
// A wrapper that embeds the interface Driver hides the optional abilities of the driver below it.
// If SingleProcess is hidden, garbage collection runs beside other processes and can remove content
// that they have just pushed. So a wrapper of any driver must forward SingleProcess, and may
// forward the others:
//
//	func (c *counting) SingleProcess() (reason string) {
//		if d, ok := c.Driver.(driver.SingleProcess); ok {
//			return d.SingleProcess()
//		}
//		return ""
//	}
package driver
