package client

import (
	"net/url"
	"strconv"
)

// Page is one page of a list; see [Client.OnPage].
type Page struct {
	// After is the cursor at which the page begins: Next of the page before, or "" for the first page.
	After string
	// Limit is the maximum number of elements. Zero means Options.PageSize.
	Limit int
	// Next is the cursor of the following page, or "" after the last one. The list sets it when it
	// has ended without an error. A page that is not the last one may have fewer elements than
	// Limit, or none.
	Next string
}

// OnPage returns a client whose lists return one page, and not all elements. It is for programs that
// show a page at a time:
//
//	page := &client.Page{After: cursor, Limit: 50}
//	for user, err := range c.OnPage(page).Users(ctx, nil) { … }
//	// page.Next is the cursor of the following page
//
// Use the client for one list. It is not safe for concurrent use.
func (c *Client) OnPage(p *Page) *Client {
	one := *c
	one.page = p
	return &one
}

// startAt sets the parameters of the page.
func (p *Page) startAt(query url.Values) {
	p.Next = ""
	if p.After != "" {
		query.Set("after", p.After)
	}
	if p.Limit > 0 {
		query.Set("limit", strconv.Itoa(p.Limit))
	}
}
