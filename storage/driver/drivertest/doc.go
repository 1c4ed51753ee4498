// Package drivertest checks that a [github.com/registrykit/registry/storage/driver.Driver] keeps its contract, measures it, and makes one
// fail on purpose.
//
// The author of a driver calls [TestDriver] from a test of the driver's package, with a function
// that makes an empty one:
//
//	func TestDriver(t *testing.T) {
//		drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
//			d, err := mydriver.New(t.TempDir(), nil)
//			require.NoError(t, err)
//			return d
//		}, nil)
//	}
//
// and [BenchmarkDriver] from a benchmark. [Faulty] wraps a driver for the tests of what is built on
// top of one: it can fail, delay and count operations, and stop as a killed process does.
package drivertest
