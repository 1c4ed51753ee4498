package accountstest_test

import (
	"testing"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
)

// The test of a Directory. A host fills a new database with the facts, instead of the Memory of this example.
func ExampleTestDirectory() {
	_ = func(t *testing.T) { // func TestDirectory(t *testing.T)
		accountstest.TestDirectory(t, func(_ *testing.T, facts accountstest.Facts) accounts.Directory {
			return accountstest.NewMemory(facts)
		})
	}
}
