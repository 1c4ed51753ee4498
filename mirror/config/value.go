package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/filter/glob"
	"github.com/registrykit/registry/internal/platform"
	"github.com/registrykit/registry/mirror"
	"github.com/registrykit/registry/reference"
)

// value is the value of a key.
type value struct {
	p    *parser
	key  string
	node *yaml.Node
}

// errorf returns an error with the line and the key.
func (v *value) errorf(format string, args ...any) error {
	return v.p.Errorf(v.node, "%s: %w", v.key, fmt.Errorf(format, args...))
}

// text returns a text that is not empty.
func (v *value) text() (string, error) {
	text, err := v.p.Text(v.node)
	switch {
	case err != nil:
		return "", err
	case text == "":
		return "", v.errorf("this is empty")
	case strings.Contains(text, "${"):
		return "", v.errorf("variables of the environment are not replaced")
	}
	return text, nil
}

// each reads a list of values, or one of them.
func each[T any](v *value, read func(*value) (T, error)) ([]T, error) {
	nodes := []*yaml.Node{v.node}
	if v.node.Kind == yaml.SequenceNode {
		if nodes = v.node.Content; len(nodes) == 0 {
			return nil, v.errorf("this is empty")
		}
	}
	all := make([]T, len(nodes))
	for i, n := range nodes {
		var err error
		if all[i], err = read(&value{v.p, v.key, n}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (v *value) boolean() (bool, error) {
	switch text, err := v.text(); {
	case err != nil:
		return false, err
	case text == "true":
		return true, nil
	case text == "false":
		return false, nil
	}
	return false, v.errorf("this must be true or false")
}

// number returns a number above zero.
func (v *value) number() (int, error) {
	text, err := v.text()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, v.errorf("this must be a number above zero")
	}
	return int(n), nil
}

// duration returns a duration of zero or more.
func (v *value) duration() (time.Duration, error) {
	text, err := v.text()
	if err != nil {
		return 0, err
	}
	d, err := parseDuration(text)
	if err != nil {
		return 0, v.errorf("%w", err)
	}
	return d, nil
}

// above returns a duration above zero.
func (v *value) above() (time.Duration, error) {
	d, err := v.duration()
	if err == nil && d == 0 {
		err = v.errorf("this must be above zero")
	}
	return d, err
}

// ttl returns how long something counts: a duration, or "forever". For the Go options, 0 means the
// default, so the 0 of a file is -1 there.
func (v *value) ttl() (time.Duration, error) {
	if text, err := v.text(); err == nil && text == "forever" {
		return mirror.Forever, nil
	}
	d, err := v.duration()
	if err == nil && d == 0 {
		d = -1
	}
	return d, err
}

// parseDuration reads a duration such as "90s", "1h30m" or "7d".
func parseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return time.Duration(n) * day, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errors.New("this must be a duration, such as 90s, 10m, 12h or 7d")
	}
	return d, nil
}

func (v *value) size() (int64, error) {
	text, err := v.text()
	if err != nil {
		return 0, err
	}
	n, err := ParseSize(text)
	if err != nil {
		return 0, v.errorf("%w", err)
	}
	return n, nil
}

// ParseSize reads a number of bytes above zero, such as "1048576", "512MiB" or "1.5TiB". The units
// are KiB, MiB, GiB and TiB. It is also meant for flags of programs.
//
// Errors: the text has another form, or the number is zero or does not fit.
func ParseSize(text string) (int64, error) {
	unit, number := int64(1), text
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n, ok := strings.CutSuffix(text, suffix); ok {
			unit, number = 1<<(10*(i+1)), n
		}
	}
	mistake := errors.New("this must be a size above zero, such as 1048576, 512MiB or 10GiB")
	if !sizeForm.MatchString(number) {
		return 0, mistake
	}
	if whole, err := strconv.ParseInt(number, 10, 64); err == nil && whole <= math.MaxInt64/unit {
		number = ""
		if whole > 0 {
			return whole * unit, nil
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if f *= float64(unit); err != nil || f < 1 || f >= math.MaxInt64 || unit == 1 {
		return 0, mistake
	}
	return int64(f), nil
}

var sizeForm = regexp.MustCompile(`^[0-9]{1,19}(\.[0-9]{1,9})?$`)

// path returns a path, relative to the folder of the file.
func (v *value) path() (string, error) {
	text, err := v.text()
	if err != nil || filepath.IsAbs(text) {
		return text, err
	}
	return filepath.Join(v.p.dir, text), nil
}

// hostForm is the form of a host with an optional port.
var hostForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?$`)

// host returns a host with an optional port, in lower case.
func (v *value) host() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	text = strings.ToLower(text)
	const maxHost = 255
	if len(text) <= maxHost && hostForm.MatchString(text) && validPort(text) {
		return text, nil
	}
	if a, err := netip.ParseAddrPort(text); err == nil && a.Addr().Is6() && a.Addr().Zone() == "" {
		return text, nil
	}
	return "", v.errorf("%.64q is not a host with an optional port, such as registry.example:5000", text)
}

// validPort reports whether the port of a host, if there is one, exists.
func validPort(host string) bool {
	_, port, found := strings.Cut(host, ":")
	n, err := strconv.ParseUint(port, 10, 16)
	return !found || err == nil && n > 0
}

// realm returns a host with an optional port, or "*." and a domain.
func (v *value) realm() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	domain, wild := strings.CutPrefix(text, "*.")
	if !wild {
		return v.host()
	}
	domain = strings.ToLower(domain)
	if !hostForm.MatchString(domain) || !strings.Contains(domain, ".") {
		return "", v.errorf("%.64q is not a domain, such as *.example.com", text)
	}
	return "*." + domain, nil
}

// baseURL returns the URL of a registry.
func (v *value) baseURL() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(u.Host, ":") {
		return "", v.errorf("this must be a URL such as https://registry.example, without user and query")
	}
	if path := strings.TrimRight(u.Path, "/"); strings.HasSuffix(path, "/v2") || strings.HasPrefix(path, "/v2/") {
		return "", v.errorf("%q has the path /v2: leave it out, the mirror adds it", text)
	}
	return text, nil
}

// repository returns the name of a repository, or the beginning of one.
func (v *value) repository() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	if err := reference.CheckName(text); err != nil {
		return "", v.errorf("%w", err)
	}
	return text, nil
}

// pattern returns a pattern of repositories, with an optional one of tags.
func (v *value) pattern() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(text, "!") {
		return "", v.errorf(`%.64q begins with "!"; there are no exceptions here`, text)
	}
	if _, err := glob.Tags(text); err != nil {
		return "", v.errorf("pattern %.64q: %w", text, errors.Unwrap(err))
	}
	return text, nil
}

// repositories returns patterns of repositories, with exceptions that begin with "!".
func (v *value) repositories() ([]string, error) {
	return each(v, func(v *value) (string, error) {
		text, err := v.text()
		if err != nil {
			return "", err
		}
		if strings.Contains(text, ":") {
			return "", v.errorf("pattern %.64q: the name of a repository has no colon", text)
		}
		if _, err := glob.Tags(text); err != nil {
			return "", v.errorf("pattern %.64q: %w", text, errors.Unwrap(err))
		}
		return text, nil
	})
}

// platform returns a platform such as linux/arm64/v8.
func (v *value) platform() (string, error) {
	text, err := v.text()
	if err != nil {
		return "", err
	}
	if _, err := platform.Parse(text); err != nil {
		return "", v.errorf("%.64q is not a platform such as linux/amd64 or linux/arm64/v8", text)
	}
	return text, nil
}
