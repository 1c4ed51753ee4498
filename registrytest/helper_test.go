package registrytest_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemory(t *testing.T) driver.Driver {
	return memory.New(nil)
}

func allowAll(context.Context, auth.Identity, []auth.Access) error { return nil }
