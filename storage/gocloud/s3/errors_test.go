package s3

import (
	"errors"
	"net/http"
	"testing"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/storage"
)

// TestKind: absence is only what the store said of the object.
func TestKind(t *testing.T) {
	answer := func(status int, code string) error {
		return &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}},
			Err:      &smithy.GenericAPIError{Code: code},
		}
	}
	for _, c := range []struct{ err, want error }{
		{answer(404, "NoSuchKey"), storage.ErrNotExist},
		{answer(404, "NotFound"), storage.ErrNotExist}, // HEAD
		{answer(404, "NoSuchBucket"), storage.ErrUnavailable},
		{answer(404, "NoSuchUpload"), storage.ErrUnavailable},
		{answer(400, "ExpiredToken"), storage.ErrUnavailable},
		{answer(400, "RequestTimeout"), storage.ErrUnavailable},
		{answer(401, ""), storage.ErrUnavailable},
		{answer(403, "AccessDenied"), storage.ErrUnavailable},
		{answer(409, "ConditionalRequestConflict"), storage.ErrUnavailable},
		{answer(412, "PreconditionFailed"), storage.ErrChanged},
		{answer(503, "SlowDown"), storage.ErrUnavailable},
		{answer(507, "XMinioStorageFull"), storage.ErrNoSpace},
		{answer(200, ""), storage.ErrUnavailable}, // it breaks off
		{answer(400, "InvalidArgument"), nil},
		{answer(416, "InvalidRange"), nil},
		{errors.New("what is this?"), nil},
		{nil, nil},
	} {
		require.Equal(t, c.want, kind(c.err), "%v", c.err)
	}
}
