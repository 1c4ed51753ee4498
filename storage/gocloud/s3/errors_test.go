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
	answer := func(status int, code string) error {
		return &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code},
		}
	}
	for _, c := range []struct{ err, want error }{
		{answer(404, "NoSuchKey"), driver.ErrNotExist},
		{answer(404, "NotFound"), driver.ErrNotExist}, // a HEAD
		{answer(404, "NoSuchBucket"), driver.ErrUnavailable},
		{answer(404, "NoSuchUpload"), driver.ErrUnavailable},
		{answer(400, "ExpiredToken"), driver.ErrUnavailable},
		{answer(400, "RequestTimeout"), driver.ErrUnavailable},
		{answer(401, ""), driver.ErrUnavailable},
		{answer(403, "AccessDenied"), driver.ErrUnavailable},
		{answer(409, "ConditionalRequestConflict"), driver.ErrUnavailable},
		{answer(412, "PreconditionFailed"), driver.ErrChanged},
		{answer(503, "SlowDown"), driver.ErrUnavailable},
		{answer(507, "XMinioStorageFull"), driver.ErrNoSpace},
		{answer(200, ""), driver.ErrUnavailable}, // a truncated response
		{answer(400, "InvalidArgument"), nil},
		{answer(416, "InvalidRange"), nil},
		{errors.New("what is this?"), nil},
		{nil, nil},
	} {
		require.Equal(t, c.want, kind(c.err), "%v", c.err)
	}
}
