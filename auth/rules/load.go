package rules

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/registrykit/registry/auth/internal/reload"
)

// Options are the options of [Load]. nil is the zero Options.
type Options struct {
	// Error is told, once for each change of the file, why its new rules do not count. The old ones
	// do. Default: nobody is told.
	Error func(ctx context.Context, err error)
}

// Load makes rules of a YAML file, and makes them anew when it changes: see Files in the package
// comment. Explain calls a rule by file and line: "rules.yaml:12: NAME". opts may be nil.
//
// Errors: those of [Parse], with the file, and that it cannot be read.
func Load(path string, opts *Options) (*Rules, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	r := &Rules{}
	r.file = &reload.File[*table]{
		Path: path, Max: MaxSize, Now: time.Now,
		Parse: func(content []byte) (*table, error) { return parse(content, filepath.Base(path)+":", path+":") },
		Fail: func(ctx context.Context, err error) {
			if o.Error != nil {
				o.Error(ctx, fmt.Errorf("rules: %w", err))
			}
		},
	}
	if err := r.file.Read(); err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	return r, nil
}
