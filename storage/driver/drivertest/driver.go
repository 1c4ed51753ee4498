package drivertest

import (
	"testing"

	"github.com/registrykit/registry/storage/driver"
)

// DefaultLargeSize is the default of Options.LargeSize, in bytes.
const DefaultLargeSize = 64 << 20

// Options are the options of [TestDriver]. The zero value tests the contract of a driver whose
// storage only one driver can use.
type Options struct {
	// Reopen returns another driver on the storage of d, while d stays in use. With it, the suite
	// tests that objects and versions survive, that both drivers see each other's writes at once,
	// and that conditions hold between them. Default: nil, which skips these tests.
	Reopen func(t *testing.T, d driver.Driver) driver.Driver
	// Source returns what d takes over with [driver.Adopter], and a function that removes it. The source
	// holds content. Default: nil, which skips the tests of that ability.
	Source func(t *testing.T, d driver.Driver, content []byte) (source any, remove func())
	// ContentVersions states that versions are hashes of the content, so that the same bytes may
	// get the same version again. Default: false.
	ContentVersions bool
	// BlindDelete states that a Delete without a version returns nil if there is no object.
	// Default: false, which means that it returns driver.ErrNotExist.
	BlindDelete bool
	// LargeSize is the size of the largest object that the suite puts, in bytes. The suite tests
	// MaxObjectSize only if it is at most LargeSize. Default: DefaultLargeSize.
	LargeSize int64
	// Goroutines is the number of goroutines that race in tests of conditions. Default: 64.
	Goroutines int
}

// suite is one run of TestDriver.
type suite struct {
	Options
	new func(t *testing.T) driver.Driver
}

// TestDriver tests the contract of [driver.Driver]. It runs each part of the suite as a subtest,
// and calls newDriver at least once with each subtest. newDriver must return a driver on empty
// storage that no other driver uses. opts may be nil.
//
// With go test -short, ListAfter lists from every seventh position, and ListPaging reads the smallest
// pages under one prefix only. On a store where a List takes tens of milliseconds, these two take
// most of the time.
func TestDriver(t *testing.T, newDriver func(t *testing.T) driver.Driver, opts *Options) {
	t.Helper()
	s := &suite{new: newDriver}
	if opts != nil {
		s.Options = *opts
	}
	if s.LargeSize == 0 {
		s.LargeSize = DefaultLargeSize
	}
	if s.Goroutines == 0 {
		s.Goroutines = 64
	}
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"ReadAfterWrite", s.readAfterWrite},
		{"Missing", s.missing},
		{"Ranges", s.ranges},
		{"IfNotVersion", s.ifNotVersion},
		{"Empty", s.empty},
		{"Large", s.large},
		{"MaxObjectSize", s.maxObjectSize},
		{"OpenReaderKeepsItsObject", s.openReader},
		{"Versions", s.versions},
		{"InfoAgrees", s.infoAgrees},
		{"InvalidKeys", s.invalidKeys},
		{"AwkwardKeys", s.awkwardKeys},
		{"SizeHintMayBeWrong", s.sizeHint},
		{"Durabilities", s.durabilities},
		{"Delete", s.delete},
		{"DeleteIfVersion", s.deleteIfVersion},
		{"PutIfAbsent", s.putIfAbsent},
		{"PutIfVersion", s.putIfVersion},
		{"RaceIfAbsent", s.raceIfAbsent},
		{"RaceIfVersion", s.raceIfVersion},
		{"RaceDelete", s.raceDelete},
		{"CompareAndSwapLosesNothing", s.counter},
		{"BodyError", s.bodyError},
		{"Cancelled", s.cancelled},
		{"SlowBodyBlocksNobody", s.slowBody},
		{"WholeOrNothing", s.wholeOrNothing},
		{"Sync", s.sync},
		{"Adopt", s.adopt},
		{"ListOrder", s.listOrder},
		{"ListPaging", s.listPaging},
		{"ListAfter", s.listAfter},
		{"ListPrefix", s.listPrefix},
		{"ListMany", s.listMany},
		{"ListWhileChanging", s.listWhileChanging},
		{"ListConsumerCallsDriver", s.listConsumer},
		{"ListSeesWhatWasDoneBefore", s.listSees},
		{"ListCancelled", s.listCancelled},
		{"Model", s.model},
		{"Reopen", s.reopen},
		{"TwoInstances", s.twoInstances},
	} {
		t.Run(part.name, part.test)
	}
}
