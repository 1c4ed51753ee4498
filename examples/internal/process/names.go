package process

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// Instance names this process in events. Two processes never have the same name at the same time.
func Instance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "registry"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// Reachable returns addr with an unspecified host, such as that of ":5000", replaced by a loopback
// address.
func Reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return addr
}

// WritePrivate writes a file of mode 0600. An earlier file is replaced, whatever its mode.
func WritePrivate(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".setup-*") // with the mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone if it was renamed
	_, err = f.WriteString(content)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
