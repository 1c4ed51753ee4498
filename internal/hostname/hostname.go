// Package hostname parses the names by which clients reach a server.
package hostname

import (
	"net"
	"net/netip"
	"strings"
)

// Split returns the name or address of a Host header or listening address, in lower case, without
// the port and without the brackets of IPv6.
func Split(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// Loopback reports whether a host, with or without a port, is "localhost" or a loopback address.
// Only this machine reaches such a host.
func Loopback(host string) bool {
	name := Split(host)
	addr, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
