package accountstest_test

import (
	"testing"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/auth/accounts/accountstest"
)

func TestMemory(t *testing.T) {
	accountstest.TestDirectory(t, func(_ *testing.T, facts accountstest.Facts) accounts.Directory {
		return accountstest.NewMemory(facts)
	})
}
