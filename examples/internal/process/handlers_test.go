package process

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// deadlines is a ResponseWriter that records its write deadline.
type deadlines struct {
	*httptest.ResponseRecorder
	write time.Time
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.write = t
	return nil
}

// slowStorage is a driver that responds after a delay.
type slowStorage struct {
	driver.Driver
	answered time.Time
}

func (d *slowStorage) Stat(context.Context, string) (driver.Info, error) {
	time.Sleep(10 * time.Millisecond)
	d.answered = time.Now()
	return driver.Info{}, nil
}

// TestHealthDeadline checks that a client that does not read the response cannot keep its
// connection, and that its time starts when the storage has responded.
func TestHealthDeadline(t *testing.T) {
	driver := &slowStorage{answered: time.Now()}
	for _, path := range []string{"/healthz", "/readyz"} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		Health(driver, nil, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		require.Equal(t, http.StatusOK, w.Code, path)
		require.True(t, !w.write.Before(driver.answered.Add(time.Minute)), path)
	}
}
