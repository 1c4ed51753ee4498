package client

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/registry/api/types"
)

// AuditQuery selects records of the audit log. Empty fields select all.
type AuditQuery struct {
	// Since and Until bound the time of the records.
	Since, Until time.Time
	// Actor, Repository, Account and Action select records with this value.
	Actor, Repository, Account, Action string
	// Outcome is "allowed" or "denied".
	Outcome string
}

func (a *AuditQuery) query() url.Values {
	q := url.Values{}
	moment(q, "since", a.Since)
	moment(q, "until", a.Until)
	for name, value := range map[string]string{"actor": a.Actor, "repository": a.Repository, "account": a.Account,
		"action": a.Action, "outcome": a.Outcome} {
		text(q, name, value)
	}
	return q
}

// Audit lists records of the audit log, the newest first.
func (c *Client) Audit(ctx context.Context, what AuditQuery) iter.Seq2[types.AuditRecord, error] {
	return list[types.AuditRecord](ctx, c, path("audit"), what.query())
}

// ExportAudit returns records of the audit log as a stream of JSON lines, which the caller closes. A stream that ends
// with an error is incomplete. AuditQuery.Since is required.
func (c *Client) ExportAudit(ctx context.Context, what AuditQuery) (io.ReadCloser, error) {
	res, err := c.send(ctx, call{method: http.MethodGet, path: path("audit", "export"), query: what.query()})
	if err != nil {
		return nil, err
	}
	return res.Body, nil
}
