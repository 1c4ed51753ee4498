package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/registrykit/registry/middleware"
)

// Behind the proxies of 10.0.0.0/8, the handler sees the addresses of the clients.
func ExampleForwarded() {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	handler := middleware.Forwarded(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.RemoteAddr)
	}), proxies)
	for _, peer := range []string{"10.0.0.1:4711", "192.0.2.5:4711"} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.RemoteAddr = peer
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	// Output:
	// 198.51.100.7
	// 192.0.2.5:4711
}
