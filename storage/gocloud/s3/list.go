package s3

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/registrykit/registry/storage/driver"
)

// BeforeList implements [gocloud.Store].
//
// Errors: [errors.ErrUnsupported] with s3blob.Options.UseLegacyList, whose responses cannot be
// checked.
func (s *store) BeforeList(as func(any) bool, after string) error {
	var in *awss3.ListObjectsV2Input
	var options *[]func(*awss3.Options)
	if !as(&in) || !as(&options) {
		return fmt.Errorf("s3: lists need ListObjectsV2: %w", errors.ErrUnsupported)
	}
	if in.ContinuationToken == nil && after != "" {
		in.StartAfter = &after
	}
	*options = append(*options, awss3.WithAPIOptions(func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("whole list", checkList), middleware.After)
	}))
	return nil
}

// checkList rejects incomplete responses. The SDK decodes any XML, and even an empty body, as an
// empty list.
func checkList(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleInitialize(ctx, in)
	if list, ok := out.Result.(*awss3.ListObjectsV2Output); ok && err == nil && !isWhole(list) {
		err = fmt.Errorf("%w: the response to a list is incomplete", driver.ErrUnavailable)
	}
	return out, metadata, err
}

// isWhole reports whether a response describes all objects that it lists, and whether and where the
// list continues.
func isWhole(list *awss3.ListObjectsV2Output) bool {
	if list.IsTruncated == nil || *list.IsTruncated && aws.ToString(list.NextContinuationToken) == "" {
		return false
	}
	for _, o := range list.Contents {
		if o.Key == nil || o.LastModified == nil || o.Size == nil || o.ETag == nil {
			return false
		}
	}
	return true
}
