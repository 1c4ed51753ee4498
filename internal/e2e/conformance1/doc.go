// Package conformance1 pins the OCI conformance suite of the 1.x releases of the distribution spec,
// beside the current one in the module above: both have the same import path. The suite is a test
// package; install.sh compiles it to the program conformance1, and package harness runs that.
package conformance1

import _ "github.com/opencontainers/distribution-spec/conformance"
