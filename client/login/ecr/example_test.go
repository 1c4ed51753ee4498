package ecr_test

import (
	"fmt"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/registrykit/registry/client/login"
	"github.com/registrykit/registry/client/login/ecr"
)

// A program usually makes the client of the API by awsecr.NewFromConfig.
func ExampleSource() {
	api := awsecr.New(awsecr.Options{Region: "eu-central-1"})
	l, err := login.New("https://123456789012.dkr.ecr.eu-central-1.amazonaws.com", &login.Options{
		Source: ecr.Source(api),
	})
	fmt.Println(l != nil, err)
	// Output: true <nil>
}
