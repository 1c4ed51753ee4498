package reference_test

import (
	"testing"

	"github.com/registrykit/registry/reference"
)

const benchDigest = "sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b"

func BenchmarkCheckName(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := reference.CheckName("organisation/team-a/services/payment_gateway"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckTag(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := reference.CheckTag("v1.20.3-alpine3.18"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRef(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := reference.ParseRef(benchDigest); err != nil {
			b.Fatal(err)
		}
	}
}
