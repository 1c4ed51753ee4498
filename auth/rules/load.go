package rules

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/registrykit/registry/auth/internal/reload"
	"github.com/registrykit/registry/internal/options"
)

// Options are the options of [Load]. A nil *Options means the zero Options.
type Options struct {
	// Error receives the reason why the rules of a changed file are not used, once for each change.
	// The previous rules stay in force. The request that noticed the change waits for Error; ctx is
	// that of this request. Default: none, so that nobody learns of a mistake in the file.
	Error func(ctx context.Context, err error)
}

// Load reads rules from the YAML file at path and follows its changes: see "When changes take
// effect" in the package comment. It starts no goroutine. Explain calls a rule by file and line:
// "rules.yaml:12: NAME". opts may be nil.
//
// Errors: those of [Parse], with the path; an error if the file cannot be read or is not a regular
// file or a link to one. Errors after Load has returned go to Options.Error.
func Load(path string, opts *Options) (*Rules, error) {
	o := options.Value(opts)
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
