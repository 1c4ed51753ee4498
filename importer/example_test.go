package importer_test

import (
	"context"
	"fmt"
	"log"

	"github.com/registrykit/registry/importer"
	"github.com/registrykit/registry/storage"
	"github.com/registrykit/registry/storage/disk"
)

// A rehearsal, and then the import. The old registry may run meanwhile. After the last run, the clients
// are sent to the new one.
func ExampleRun() {
	ctx := context.Background()
	d, err := disk.New("/srv/registry", nil)
	if err != nil {
		log.Fatal(err)
	}
	store, err := storage.New(ctx, d, nil)
	if err != nil {
		log.Fatal(err)
	}
	src, err := importer.OpenDir("/var/lib/docker-registry")
	if err != nil {
		log.Fatal(err)
	}
	defer src.Close()
	for _, dry := range []bool{true, false} {
		report, err := importer.Run(ctx, store, d, src, &importer.Options{Verify: importer.VerifyFull, DryRun: dry})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d tags, %d bytes linked, %d bytes read\n", report.Tags.Set, report.Layers.Linked.Bytes,
			report.Layers.Streamed.Bytes)
		for _, p := range report.Problems {
			fmt.Println(p.Kind, p.Repository, p.Tag, p.Path, p.Message)
		}
	}
}
