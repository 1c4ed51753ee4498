package config

import (
	_ "embed" // hub.yaml
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/registry/auth/rules"
	"github.com/registrykit/registry/auth/signin"
	"github.com/registrykit/registry/internal/strictyaml"
	mirrors "github.com/registrykit/registry/mirror/config"
	hooks "github.com/registrykit/registry/notification/config"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/retention"
)

// Shipped is the shipped file. It has every field.
//
//go:embed hub.yaml
var Shipped []byte

// MaxSize is the maximum size of a file, in bytes.
const MaxSize = 1 << 20

// Size is a number of bytes.
type Size int64

// Path is the path of a file. In hub.yaml, it is relative to the folder of hub.yaml.
type Path string

// Config is the content of a file. The comments of its fields are in hub.yaml.
type Config struct {
	Server     Server
	Metrics    Metrics
	Traces     Traces
	Accounts   Accounts
	SignIn     SignIn
	Page       Page
	Access     Access
	Content    Content
	History    time.Duration
	PullTimes  PullTimes
	Retention  Retention
	Quota      Quota
	Usage      Every
	Scrub      Scrub
	Collection Collection
	Events     Events
	Mirror     *mirrors.Config
	Audit      Audit
}

// Server is about connections.
type Server struct {
	TLSCert, TLSKey Path
	H2C             bool
	TrustedProxies  []netip.Prefix
	ExternalURL     string
	InsecureOpen    bool
	CORS            []string
	MinRate         Size
	LogLevel        slog.Level
	LogAccess       bool
}

// Metrics is about the metrics for Prometheus.
type Metrics struct {
	Address string
}

// Traces is about the spans of OpenTelemetry.
type Traces struct {
	Exporter string
	File     Path
	Sample   float64
}

// Accounts is about users and robots.
type Accounts struct {
	SignUp              bool
	CreateOrganisations bool
	MinPassword         int
	Reserved            []string
	SetupFile           Path
	TokenKeys           []string
	CIJobs              []Path
}

// SignIn is about people who sign in with a provider, and about their sessions.
type SignIn struct {
	Providers []signin.Provider
	Idle      time.Duration
	Longest   time.Duration
}

// Page is about the look of the page.
type Page struct {
	Name      string
	Accent    string
	Logo, CSS Path
	Links     []Link
	Without   []string
	Languages []string
}

// Link is a link in the footer of the page.
type Link struct {
	Title, URL string
}

// Access is about the rules beside the roles of accounts.
type Access struct {
	Rules *rules.Rules
}

// Content is about pushes and pulls.
type Content struct {
	Sparse           bool
	AcceptWrongSizes bool
	KeepUsedBlobs    bool
	Immutable        []string
	UploadTTL        time.Duration
	MaxUploads       int
	Redirect         bool
}

// PullTimes is about the times of pulls.
type PullTimes struct {
	Record bool
	Except []string
}

// Retention is about the removal of old images.
type Retention struct {
	Every time.Duration
	Rules *retention.Rules
}

// Quota is about limits.
type Quota struct {
	Limits *quota.Limits
}

// Every is how often a job runs.
type Every struct {
	Every time.Duration
}

// Scrub is about damage.
type Scrub struct {
	Every  time.Duration
	Rate   Size
	Repair bool
}

// Collection is about unreferenced content.
type Collection struct {
	Every     time.Duration
	Grace     time.Duration
	Untagged  bool
	Exclusive bool
}

// Events is about events and webhooks.
type Events struct {
	Log          bool
	Pulls        bool
	UserWebhooks bool
	AllowPrivate bool
	Lease        time.Duration
	Reindex      time.Duration
	Webhooks     []hooks.Webhook
}

// Audit is about the audit log.
type Audit struct {
	Keep time.Duration
	Log  bool
}

// Default returns the configuration of the shipped file.
func Default() (*Config, error) {
	c := &Config{}
	if err := read(Shipped, "hub.yaml", c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// Load reads a file.
//
// Errors: the first mistake, with its line; those of reading the file.
func Load(path string) (*Config, error) {
	content, err := strictyaml.ReadFile(path, MaxSize)
	if err != nil {
		return nil, err
	}
	return Parse(path, content)
}

// Parse reads the content of a file. path is for errors, and for paths in the content.
//
// Errors: the first mistake, with its line.
func Parse(path string, content []byte) (*Config, error) {
	c, err := Default()
	if err != nil {
		return nil, err
	}
	if err := read(content, path, c); err != nil {
		return nil, err
	}
	return c, c.check()
}

// read reads a file into c. Fields that it omits keep their values.
func read(content []byte, path string, c *Config) error {
	r := &reader{content: content, path: path, dir: filepath.Dir(path), Parser: strictyaml.Parser{Prefix: path + ":",
		Max: MaxSize, Empty: "an empty file; a hub without one has the defaults"}}
	root, err := r.Load(content)
	if err != nil {
		return err
	}
	return r.fill(c, root)
}

// keyName matches the names of shared secrets, see storage.Store.SharedSecret.
var keyName = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// check refuses fields that contradict each other.
func (c *Config) check() error {
	switch {
	case (c.Server.TLSCert == "") != (c.Server.TLSKey == ""):
		return fmt.Errorf("server: tlsCert and tlsKey need each other")
	case c.Server.H2C && c.Server.TLSCert != "":
		return fmt.Errorf("server: h2c serves HTTP/2 without TLS; with tlsCert, clients use HTTP/2 anyway")
	case c.Traces.Exporter == "file" && c.Traces.File == "":
		return fmt.Errorf("traces: the exporter file needs a file")
	case c.Traces.Sample < 0 || c.Traces.Sample > 1:
		return fmt.Errorf("traces: sample must be from 0 to 1")
	case !externalURL(c.Server.ExternalURL):
		return fmt.Errorf("server: externalURL must be a URL without a path, such as https://hub.example")
	case c.Accounts.MinPassword < 8 || c.Accounts.MinPassword > 64:
		return fmt.Errorf("accounts: minPassword must be from 8 to 64")
	case len(c.Accounts.TokenKeys) == 0:
		return fmt.Errorf("accounts: tokenKeys needs a name")
	case slices.ContainsFunc(c.Accounts.TokenKeys, func(name string) bool { return !keyName.MatchString(name) }):
		return fmt.Errorf("accounts: tokenKeys: a name has 1 to 64 of the characters a-z, 0-9 and -")
	case c.SignIn.Idle <= 0, c.SignIn.Longest <= 0:
		return fmt.Errorf("signIn: idle and longest must be positive")
	case c.Retention.Every <= 0, c.Content.UploadTTL <= 0, c.Server.MinRate <= 0:
		return fmt.Errorf("retention.every, content.uploadTTL and server.minRate must be positive")
	case c.Audit.Keep > 0 && c.Audit.Keep < 24*time.Hour:
		return fmt.Errorf("audit: keep must be at least 1d, or 0")
	case len(c.SignIn.Providers) > 0 && c.Server.ExternalURL == "":
		return fmt.Errorf("signIn: providers need server.externalURL, to which they send people back")
	case c.Events.Lease < time.Second:
		return fmt.Errorf("events: lease must be at least 1s")
	}
	return nil
}

// externalURL reports whether text is empty, or the URL of a whole host: the hub is not served below a path.
func externalURL(text string) bool {
	u, err := url.Parse(text)
	return text == "" || err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" &&
		strings.TrimSuffix(text, "/") == u.Scheme+"://"+u.Host
}
