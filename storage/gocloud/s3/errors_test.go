package s3

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage/driver"
)

// TestFailureClassifiesErrors: only a response of the store about the object itself means that the
// object is missing.
func TestFailureClassifiesErrors(t *testing.T) {
	response := func(status int, code string) error {
		return &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code},
		}
	}
	for _, c := range []struct{ err, want error }{
		{response(404, "NoSuchKey"), driver.ErrNotExist},
		{response(404, "NotFound"), driver.ErrNotExist}, // a HEAD
		{response(404, "NoSuchBucket"), driver.ErrUnavailable},
		{response(404, "NoSuchUpload"), driver.ErrUnavailable},
		{response(400, "ExpiredToken"), driver.ErrUnavailable},
		{response(400, "RequestTimeout"), driver.ErrUnavailable},
		{response(401, ""), driver.ErrUnavailable},
		{response(403, "AccessDenied"), driver.ErrUnavailable},
		{response(409, "ConditionalRequestConflict"), driver.ErrUnavailable},
		{response(412, "PreconditionFailed"), driver.ErrChanged},
		{response(503, "SlowDown"), driver.ErrUnavailable},
		{response(507, "XMinioStorageFull"), driver.ErrNoSpace},
		{response(200, ""), driver.ErrUnavailable}, // a truncated response
		{response(400, "InvalidArgument"), nil},
		{response(416, "InvalidRange"), nil},
		{errors.New("what is this?"), nil},
		{nil, nil},
	} {
		require.Equal(t, c.want, kind(c.err), "%v", c.err)
	}
}
