package lang

import (
	"fmt"
	"strconv"
	"time"
)

// Number returns a number with separators of thousands, such as "12,204".
func Number(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

// Bytes returns a size with three digits, such as "42.1 MB". The units are powers of 1000, as in docker.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), -1
	for value >= 999.5 && unit < 5 {
		value /= 1000
		unit++
	}
	name := []string{"kB", "MB", "GB", "TB", "PB", "EB"}[unit]
	if value < 99.95 {
		return fmt.Sprintf("%.1f %s", value, name)
	}
	return fmt.Sprintf("%.0f %s", value, name)
}

// Ago returns how long before now a time was, or will be after it, such as "3 hours ago".
func (l *Language) Ago(t, now time.Time) string {
	if d := t.Sub(now); d > time.Minute {
		return l.Text("in %s", l.Duration(d))
	}
	d := now.Sub(t)
	if d < time.Minute {
		return l.Text("just now")
	}
	return l.Text("%s ago", l.Duration(d))
}

// Duration returns a duration in its largest unit, such as "3 hours".
func (l *Language) Duration(d time.Duration) string {
	for _, unit := range []struct {
		size      time.Duration
		one, many string
	}{
		{365 * 24 * time.Hour, "%s year", "%s years"},
		{30 * 24 * time.Hour, "%s month", "%s months"},
		{7 * 24 * time.Hour, "%s week", "%s weeks"},
		{24 * time.Hour, "%s day", "%s days"},
		{time.Hour, "%s hour", "%s hours"},
		{time.Minute, "%s minute", "%s minutes"},
	} {
		if d >= unit.size {
			return l.Count(int64(d/unit.size), unit.one, unit.many)
		}
	}
	return l.Count(int64(d/time.Second), "%s second", "%s seconds")
}
