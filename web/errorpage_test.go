package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api"
	"github.com/registrykit/registry/web"
)

// TestInteger: templates count integers of each type, and those that are optional.
func TestInteger(t *testing.T) {
	three, wide := 3, int64(4)
	require.EqualValues(t, 3, web.Integer(three))
	require.EqualValues(t, 3, web.Integer(&three))
	require.EqualValues(t, 4, web.Integer(&wide))
	require.EqualValues(t, 5, web.Integer(int32(5)))
	require.Zero(t, web.Integer((*int)(nil)))
	require.Zero(t, web.Integer(nil))
}

// TestStatusHeading: the heading of an error is a phrase of a person, in sentence case.
func TestStatusHeading(t *testing.T) {
	require.Equal(t, "Not found", web.StatusHeading(http.StatusNotFound))
	require.Equal(t, "Changed meanwhile", web.StatusHeading(http.StatusPreconditionFailed))
	require.Equal(t, "Too many requests", web.StatusHeading(http.StatusTooManyRequests))
	require.Empty(t, web.StatusHeading(799))
}

// TestErrorOffersSignIn: the page of an error offers the sign-in to those who have not signed in, and to nobody else.
func TestErrorOffersSignIn(t *testing.T) {
	s := newSite(t, func(_ *site, _ *api.Options, page *web.Options) {
		page.SignIn = &web.SignIn{Path: "/signin/", Password: true}
	})
	require.Equal(t, 1, s.get(t, "", "/no-such-page").doc.Find("main a.primary").Length())
	require.Equal(t, 0, s.get(t, "ann", "/no-such-page").doc.Find("main a.primary").Length())
}
