package registrytest_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/storage/driver"
	"github.com/registrykit/registry/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newMemory(t *testing.T) driver.Driver {
	d, err := memory.New(nil)
	require.NoError(t, err)
	return d
}

func allowAll(context.Context, auth.Identity, []auth.Access) error { return nil }
