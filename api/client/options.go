package client

import (
	"net/url"
	"strconv"
	"time"
)

// ChangeOptions are the options of changes of accounts. nil means the zero ChangeOptions.
type ChangeOptions struct {
	// Reason is a text for the audit.
	Reason string
	// Force permits reserved names and names in quarantine. Only admins may set it.
	Force bool
}

// query returns the parameters of a request.
func (o *ChangeOptions) query() url.Values {
	q := url.Values{}
	if o != nil {
		text(q, "reason", o.Reason)
		flag(q, "force", o.Force)
	}
	return q
}

// text sets a parameter unless its value is "".
func text(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// flag sets a parameter to "true" if value is true.
func flag(q url.Values, name string, value bool) {
	if value {
		q.Set(name, strconv.FormatBool(value))
	}
}

// moment sets a parameter unless the time is zero.
func moment(q url.Values, name string, value time.Time) {
	if !value.IsZero() {
		q.Set(name, value.UTC().Format(time.RFC3339Nano))
	}
}
