// Maintenance keeps the storage of a registry in order, and moves images in and out:
//
//	go run ./examples/maintenance import -from /var/lib/registry -to ./registry-data
//	go run ./examples/maintenance retain plan -storage ./registry-data -rules retain.yaml -o plan.json
//	go run ./examples/maintenance retain apply -storage ./registry-data plan.json
//	go run ./examples/maintenance scrub -storage ./registry-data -repair
//	go run ./examples/maintenance accounts user add -storage ./registry-data bob
//
// It works on the storage itself, beside the servers on it; or, with -hub, on a running hub by its management API. It
// shows a bar on a terminal, and lines elsewhere. README.md describes all commands and exit statuses.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/registrykit/registry/examples/internal/display"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses. README.md lists them.
const (
	succeeded   = 0
	failed      = 1
	misused     = 2
	damaged     = 3
	refused     = 4
	interrupted = 130
)

// errDamaged is returned by a command that has found or skipped damage.
var errDamaged = errors.New("there is damage; see above")

// errRefused is returned by a command that has left something as it is, because it has changed.
var errRefused = errors.New("some of the plan was refused; see above")

// misuse is the error of a command that was not called as it should be.
type misuse struct{ error }

// misusef returns a misuse.
func misusef(format string, args ...any) error { return misuse{fmt.Errorf(format, args...)} }

// command is one of the commands of the program.
type command interface {
	// flags registers the flags of the command.
	flags(f *flag.FlagSet)
	// run does the work. args are the arguments beside the flags.
	run(ctx context.Context, p *program, args []string) error
}

// entry is a command with its name and a description.
type entry struct {
	name, args, does string
	command          command
}

// commands returns all commands.
func commands() []entry {
	return append([]entry{
		{"collect", "-storage S", "removes unreferenced content", &collect{}},
		{"retain plan", "-storage S -rules FILE|-hub URL -o PLAN", "writes which tags go by the rules, and which stay",
			&plan{}},
		{"retain apply", "-storage S|-hub URL PLAN", "removes what goes by a plan and has not changed since", &apply{}},
		{"undo", "-storage S|-hub URL PLAN", "restores what retain apply has removed by a plan", &undo{}},
		{"quota", "-storage S -quota FILE|-hub URL [REPOSITORY ...]", "shows what is used of the limits", &quotas{}},
		{"usage", "-storage S|-hub URL [PREFIX]", "shows what repositories hold", &usages{}},
		{"scrub", "-storage S [-repair]", "reads and checks everything in a storage", &scrubs{}},
		{"import", "-from DIR|BUCKET-URL|FILE.tar -to S", "takes over the data of a CNCF registry, or an image layout",
			&imports{}},
		{"export", "-storage S -repository R -to DIR|FILE.tar", "writes images to an OCI image layout", &exports{}},
		{"sync", "-from REGISTRY|S -to REGISTRY|S", "copies what patterns select", &syncs{}},
		{"login", "-hub URL [-provider NAME|-hub-user USER] [-o FILE]", "begins a session on a hub", &logins{}},
		{"logout", "-hub URL", "ends the session on a hub", &logouts{}},
		{"audit", "-hub URL", "shows who did what, and what was refused", &audits{}},
		{accountsWord, "COMMAND -storage S|-hub URL ...", "manages users, organisations, teams, robots and tokens", nil},
	}, jobCommands()...)
}

// program holds the flags that all commands have.
type program struct {
	in            io.Reader
	out, errs     io.Writer
	dryRun        bool
	asJSON, quiet bool
	written       bool // to out
	shown         display.Display
}

// flags registers the flags that all commands have.
func (p *program) flags(f *flag.FlagSet) {
	f.BoolVar(&p.dryRun, "dry-run", false, "Change nothing, and say what would be done. Default: false.")
	f.BoolVar(&p.asJSON, "json", false, "Write the result as JSON. Default: false.")
	f.BoolVar(&p.quiet, "quiet", false, "Show no progress. Default: false.")
}

// result writes the result of a command: v as JSON, or what text writes.
func (p *program) result(v any, text func(w io.Writer)) error {
	p.shown.Close()
	p.written = true
	if !p.asJSON {
		if p.dryRun {
			fmt.Fprint(p.out, "dry run: ")
		}
		text(p.out)
		return nil
	}
	e := json.NewEncoder(p.out)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// failure writes an error as JSON, if the result is to be JSON and the command has no result.
func (p *program) failure(err error) {
	if p.asJSON && !p.written {
		_ = p.result(map[string]string{"error": err.Error()}, nil) // the exit status tells, too
	}
}

// warn writes a warning.
func (p *program) warn(format string, args ...any) {
	fmt.Fprintf(p.errs, "maintenance: warning: "+format+"\n", args...)
}

// help lists the commands.
func help(w io.Writer) {
	fmt.Fprint(w, "Usage: maintenance COMMAND [flags]\n\nCommands:\n\n")
	for _, e := range commands() {
		fmt.Fprintf(w, "  %s %s\n        %s\n", e.name, e.args, e.does)
	}
	fmt.Fprint(w, "\nmaintenance COMMAND -h lists the flags of a command.\n")
}

// find returns the command that the arguments begin with, and the rest of them.
func find(args []string) (found entry, rest []string, ok bool) {
	for _, e := range append(commands(), accountCommands()...) {
		words := strings.Fields(e.name)
		if e.command != nil && len(args) >= len(words) && strings.Join(args[:len(words)], " ") == e.name {
			return e, args[len(words):], true
		}
	}
	return entry{}, nil, false
}

// run is the program. It returns the exit status.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	e, rest, ok := find(args)
	if !ok {
		return noCommand(args, out, errs)
	}
	p := &program{in: os.Stdin, out: out, errs: errs, shown: display.New(errs, true)}
	f := flag.NewFlagSet("maintenance "+e.name, flag.ContinueOnError)
	f.SetOutput(errs)
	f.Usage = func() {
		fmt.Fprintf(errs, "Usage: maintenance %s %s\n\nThe command %s.\n\n", e.name, e.args, e.does)
		f.PrintDefaults()
	}
	p.flags(f)
	e.command.flags(f)
	rest, err := parse(f, rest)
	switch {
	case errors.Is(err, flag.ErrHelp): // f has written the help
		return succeeded
	case err != nil: // f has written the error, too
		p.asJSON = p.asJSON || slices.Contains(args, "-json") || slices.Contains(args, "--json")
		p.failure(err)
		return misused
	}
	p.shown = display.New(errs, p.quiet)
	err = e.command.run(ctx, p, rest)
	p.shown.Close()
	return p.status(ctx, err)
}

// noCommand is the program without a known command. It returns the exit status.
func noCommand(args []string, out, errs io.Writer) int {
	help, command := help, "command"
	if len(args) > 0 && args[0] == accountsWord {
		help, command, args = accountsHelp, "command of accounts", args[1:]
	}
	if len(args) > 0 && slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]) {
		help(out)
		return succeeded
	}
	if len(args) > 0 {
		fmt.Fprintf(errs, "maintenance: unknown %s %q\n\n", command, args[0])
	}
	help(errs)
	return misused
}

// parse reads flags, which may also follow the other arguments. It returns these.
func parse(f *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := f.Parse(args); err != nil {
			return nil, err
		}
		if args = f.Args(); len(args) == 0 {
			return rest, nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// status writes an error and returns the exit status for it.
func (p *program) status(ctx context.Context, err error) int {
	if err == nil {
		return succeeded
	}
	if ctx.Err() != nil {
		p.failure(errors.New("interrupted"))
		fmt.Fprintln(p.errs, "maintenance: interrupted; the same command goes on or begins again, and does no harm")
		return interrupted
	}
	p.failure(err)
	fmt.Fprintln(p.errs, "maintenance:", err)
	var m misuse
	switch {
	case errors.As(err, &m):
		return misused
	case errors.Is(err, errDamaged):
		return damaged
	case errors.Is(err, errRefused), errors.As(err, new(ruled)):
		return refused
	}
	return failed
}

// list is the values of a flag that may be repeated.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// none returns an error if there are arguments beside the flags.
func none(args []string) error {
	if len(args) > 0 {
		return misusef("unexpected argument %q", args[0])
	}
	return nil
}

// one returns the only argument beside the flags.
func one(args []string, what string) (string, error) {
	if len(args) != 1 {
		return "", misusef("%s is required, and nothing else beside the flags", what)
	}
	return args[0], nil
}
