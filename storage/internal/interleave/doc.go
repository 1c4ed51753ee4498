// Package interleave tests that concurrent users of one storage neither lose nor leak content.
// It holds tests only: nothing here is compiled into a program.
//
// A run has a handful of actors, each of which pushes, pulls, mounts, moves tags, deletes, restores
// or collects. The actors use one to three Stores over one memory driver, as the clients of several
// replicas would. A scheduler lets them make one storage call at a time, in an order that it
// chooses. Any actor may stall before any call for as long as the scheduler likes, or die there.
//
//   - schedule orders the calls. It runs in a bubble of testing/synctest, so pauses, grace periods
//     and timeouts take no real time.
//   - mix is the set of roles that the actors of a run are drawn from.
//   - fixture is the content: a few blobs, images, indexes and one referrer, over which the actors
//     conflict.
//   - world records each operation with its begin, its end and its result. From that record, the
//     oracle derives what must be stored, what may be stored, and what a tag may point at.
//   - check compares the storage with the oracle after every acknowledged change. At the end of a
//     run, collections run alone, and audit demands that no object is left without a purpose.
//   - mutant is a driver that breaks one rule of the contract. TestInterleavedMutants proves that
//     the oracle finds each of them.
//
// # Run one seed
//
// The seed decides everything in a run: the mode, the actors, their operations, the order of the
// calls, the stalls and deaths. The one exception is how often a collection reads an object again,
// which depends on package hash/maphash. A failure names its seed and prints its story, one line
// per storage call. To run a seed again:
//
//	REGISTRYKIT_INTERLEAVE_SEED=4711 go test -v -run 'TestInterleaved$' ./storage/internal/interleave
//
// REGISTRYKIT_INTERLEAVE_MIX=pointers selects a mix, where the seed would otherwise choose one.
// REGISTRYKIT_INTERLEAVE_SEEDS sets the number of seeds of TestInterleaved; 20,000 take some
// minutes. TestInterleavedMixes runs a tenth of that number for each mix that no seed chooses.
//
// # Add an actor
//
// Write a method of client that calls the Store through c.store, draws its choices from c.rnd, and
// reports each change with begin and ended. Add the method to roles, and its name to a mix. A new
// role belongs in a mix of its own, listed in extraMixes: another draw in an existing mix changes
// what every seed does, and the mutants would have to be searched anew.
//
// # Add a mutant
//
// Add an entry to the table in mutants_test.go, and a field to mutant if it breaks a rule in a new
// way. Run TestInterleavedMutants. If the mutant is found only after thousands of seeds, let the
// field from name a seed shortly before the one that finds it.
package interleave
