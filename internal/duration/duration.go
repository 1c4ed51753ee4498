// Package duration reads durations of configuration files and flags.
package duration

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// errForm is returned for a text of another form.
var errForm = errors.New("this must be a duration, such as 90s, 12h or 30d")

// Parse reads a duration of Go, such as "90s" or "1h30m", or a whole number of days, such as "30d".
// Days may come before a duration of Go: "7d12h". A day has 24 hours.
//
// Errors: the text has another form, is negative, or is longer than about 292 years.
func Parse(text string) (time.Duration, error) {
	var days time.Duration
	if number, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > math.MaxInt64/uint64(day) {
			return 0, errForm
		}
		if days, text = time.Duration(n)*day, rest; rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || strings.ContainsAny(text, "+-") || d < 0 || d > math.MaxInt64-days {
		return 0, errForm
	}
	return days + d, nil
}

// Format returns a duration in the form that Parse reads, with as few parts as possible: "30d",
// "1d12h", "90m0s" becomes "1h30m".
func Format(d time.Duration) string {
	text := ""
	if days := d / day; days > 0 {
		text = strconv.FormatInt(int64(days), 10) + "d"
		if d %= day; d == 0 {
			return text
		}
	}
	rest := d.String()
	if strings.HasSuffix(rest, "m0s") {
		rest = strings.TrimSuffix(rest, "0s")
	}
	if strings.HasSuffix(rest, "h0m") {
		rest = strings.TrimSuffix(rest, "0m")
	}
	return text + rest
}
