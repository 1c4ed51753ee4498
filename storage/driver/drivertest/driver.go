package drivertest

import (
	"testing"

	"github.com/registrykit/registry/storage/driver"
)

// DefaultLargeSize is the value of Options.LargeSize if that is zero, in bytes.
const DefaultLargeSize = 64 << 20

// Options are the options of [TestDriver]. The zero value tests the whole contract of a driver on
// storage that cannot be opened twice.
type Options struct {
	// Reopen, unless nil, returns another driver on the storage of d, which stays in use. Then it
	// is tested that contents and versions survive, and that both see each other's writes at once.
	// Default: nil.
	Reopen func(t *testing.T, d driver.Driver) driver.Driver
	// ContentVersions says that versions are hashes of the content, so that the same bytes put
	// again may have the same version. Default: false.
	ContentVersions bool
	// BlindDelete says that a Delete without a version does not tell whether there was an object:
	// it returns nil. Default: false.
	BlindDelete bool
	// LargeSize is the size of the large object that is streamed, in bytes. A maximum size of
	// objects is only tested if it is not larger. Default: DefaultLargeSize.
	LargeSize int64
	// Goroutines is how many goroutines race in tests of conditions. Default: 64.
	Goroutines int
}

// suite is one run of TestDriver.
type suite struct {
	Options
	new func(t *testing.T) driver.Driver
}

// TestDriver checks that the drivers newDriver returns keep the contract of [driver.Driver].
// newDriver is called once or more for each part, with the test of that part, and returns a driver
// on empty storage of its own. opts may be nil.
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
