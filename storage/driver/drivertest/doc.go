// Package drivertest tests and measures drivers of the package storage/driver, and provides a
// driver that fails on purpose.
//
// The author of a driver calls [TestDriver] from a test of the driver's package, with a function
// that returns an empty driver:
//
//	func TestDriver(t *testing.T) {
//		drivertest.TestDriver(t, func(t *testing.T) driver.Driver {
//			d, err := mydriver.New(t.TempDir(), nil)
//			require.NoError(t, err)
//			return d
//		}, nil)
//	}
//
// and [BenchmarkDriver] from a benchmark.
//
// [Faulty] and [Power] wrap a driver, for tests of code that uses drivers. Faulty fails, delays and
// counts operations, and stops like a killed process. Power computes what a loss of power would
// leave.
package drivertest
