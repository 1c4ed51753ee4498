package process

import (
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/registrykit/registry/internal/wire"
	"github.com/registrykit/registry/storage/driver"
)

// Health responds to /healthz while the process runs, and to /readyz while the storage responds.
// Requests for further pages go to these, and all other requests to reg. It does not use
// http.ServeMux, which would redirect paths with "//" or ".." that the registry rejects.
func Health(driver driver.Driver, pages map[string]http.Handler, reg http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if page, found := pages[r.URL.Path]; found {
			wire.Bound(w, r)
			page.ServeHTTP(w, r)
			return
		}
		switch r.URL.Path {
		case "/healthz":
			wire.Bound(w, r)
			_, _ = io.WriteString(w, "ok\n")
		case "/readyz":
			_, err := driver.Stat(r.Context(), "layout")
			wire.Bound(w, r) // the deadline starts after the storage has responded
			if err != nil {
				http.Error(w, "storage does not respond", http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, "ok\n")
		default:
			reg.ServeHTTP(w, r)
		}
	})
}

// AccessLog logs each request when it has ended. path returns the path without secrets, such as
// registry.LogPath.
func AccessLog(log *slog.Logger, path func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !log.Enabled(r.Context(), slog.LevelInfo) {
			next.ServeHTTP(w, r)
			return
		}
		start := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		shown := path(r) // before another handler changes the request
		defer func() {
			log.LogAttrs(r.Context(), slog.LevelInfo, "request", slog.String("method", r.Method),
				slog.String("path", shown), slog.Int("status", rec.status), slog.Int64("bytes", rec.bytes),
				slog.Duration("duration", time.Since(start).Round(time.Microsecond)),
				slog.String("remote", r.RemoteAddr), slog.String("agent", r.UserAgent()))
		}()
		next.ServeHTTP(rec, r)
	})
}

// recorder notes what is answered. It passes ReadFrom on, so that files still go out by
// sendfile(2).
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(r.ResponseWriter, src)
	r.bytes += n
	return n, err
}
