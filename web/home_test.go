package web_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHomeListsWhatTheCallerMaySee(t *testing.T) {
	s := newSite(t, nil)
	s.pushImage(t, "ann", "acme/app", "v1", amd64, "layer")
	r := s.get(t, "ann", "/")
	require.Equal(t, http.StatusOK, r.StatusCode, string(r.body))
	require.Equal(t, "acme/app", r.doc.Find("td a b").Text())
	require.Contains(t, s.get(t, "bob", "/").text, "There are no repositories yet.")
}
