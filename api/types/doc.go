// Package types has the JSON objects of the management API; see package api. The server and package api/client use
// them. A list is an object with the member "items". Times are RFC 3339 in UTC, sizes are bytes.
package types
