package hub

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

const (
	annPassword = "ann keeps the whole hub"
	bobPassword = "bob pushes on weekdays"
)

// TestWalk takes the walk of examples/hub/README.md over two replicas. It kills one of them with SIGKILL in every step.
// The long form also walks on a bucket.
func TestWalk(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		walk(t, harness.Options{Storage: filepath.Join(t.TempDir(), "data")})
	})
	if *full {
		t.Run("s3", func(t *testing.T) { walk(t, harness.Options{Bucket: harness.NewMinIO(t)}) })
	}
}

func walk(t *testing.T, o harness.Options) {
	s := newSite(t, 1, o)
	start := time.Now()
	at := func(what string) { t.Logf("%s after %v", what, time.Since(start).Round(time.Second/10)) }
	w := &walker{site: s, client: harness.SkopeoLogin(t, s.Addr), puller: harness.CraneLogin(t, s.Addr),
		receiver: newReceiver(t)}
	if *full {
		w.client, w.puller = harness.DockerLogin(t, s.Addr), harness.PodmanLogin(t, s.Addr)
	}
	for _, step := range []struct {
		what string
		do   func(t *testing.T)
	}{
		{"the first admin was made", w.firstAdmin},
		{"a second replica was started", func(t *testing.T) { s.Add(t) }},
		{"a user has signed up and pushed", w.signUp},
		{"a layer was uploaded although both replicas were killed", w.layer},
		{"a robot has pulled", w.robot},
		{"the repository was made public", w.public},
		{"a webhook has fired", w.webhook},
		{"an old tag was retained away and restored", w.retention},
		{"questions were answered", w.questions},
		{"the quota has refused", w.quota},
		{"a session has ended with its user", w.session},
		{"the audit has it all", w.audit},
	} {
		step.do(t)
		at(step.what)
	}
	s.requireCleanLog(t)
}

// walker is what the steps of a walk share.
type walker struct {
	*site
	client   *harness.LoginClient // of bob
	puller   *harness.LoginClient // of the robot
	receiver *receiver
	ann, bob login
}

// firstAdmin makes the first admin with the token of the link. It works once.
func (w *walker) firstAdmin(t *testing.T) {
	token := w.setupToken(t)
	w.want(t, 303, login{}, "GET", "/setup?token="+token, "")
	page := w.want(t, 200, login{}, "GET", "/setup", "")
	require.Contains(t, string(page.body), "<form")
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token), 0o600))
	w.maintenance(t, login{}, annPassword, "accounts", "setup", "ann", "-token-file", file)
	w.ann = login{name: "ann", secret: annPassword}
	w.secrets = append(w.secrets, annPassword, bobPassword)
	again := w.do(t, login{}, "POST", "/api/v1/setup", fmt.Sprintf(`{"token":%q,"name":"eve","password":%q}`, token,
		annPassword))
	require.Equal(t, 403, again.status, "%s", again.body)
	var who struct {
		Name  string
		Admin bool
	}
	w.want(t, 200, w.ann, "GET", "/api/v1/user", "").into(t, &who)
	require.Equal(t, "ann", who.Name)
	require.True(t, who.Admin)
}

// signUp makes a user by sign-up, who pushes to the own namespace and to no other one.
func (w *walker) signUp(t *testing.T) {
	w.disturb(t, func() {
		r := w.do(t, login{}, "POST", "/api/v1/signup", fmt.Sprintf(`{"name":"bob","password":%q}`, bobPassword))
		require.Equal(t, 201, r.status, "%s", r.body)
	})
	w.bob = login{name: "bob", secret: bobPassword}
	w.want(t, 409, login{}, "POST", "/api/v1/signup", fmt.Sprintf(`{"name":"bob","password":%q}`, annPassword))
	out, err := w.client.Login(t, "bob", bobPassword)
	require.NoError(t, err, out)
	w.disturb(t, func() { w.push(t, "bob/app") })
	out, err = w.client.Push(t, "ann/app")
	require.Error(t, err, "bob has pushed to the namespace of ann")
	require.NotContains(t, out, "500")
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp", "")
	w.want(t, 403, w.bob, "GET", "/api/v1/users/ann", "")
	w.want(t, 403, w.bob, "GET", "/api/v1/jobs", "")
}

// push pushes an image. It tries again, as a script does, because a replica may be killed.
func (w *walker) push(t *testing.T, repo string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if out, err := w.client.Push(t, repo); err != nil {
			return missing("%s: %s", repo, out)
		}
		return nil
	})
}

// layer uploads a layer in two requests. Both replicas are killed during the second one, one after the other. The
// client goes on where the upload is, and the layer has the right bytes.
func (w *walker) layer(t *testing.T) {
	content := make([]byte, 24<<20)
	_, err := rand.Read(content)
	require.NoError(t, err)
	const first = 8 << 20
	begun := w.want(t, 202, w.bob, "POST", "/v2/bob/app/blobs/uploads/", "")
	location := w.local(t, w.want(t, 202, w.bob, "PATCH", w.local(t, begun), string(content[:first]),
		"Content-Type: application/octet-stream"))
	body, cut := &slowReader{content: content[first:]}, make(chan struct{})
	go func() {
		defer close(cut)
		r, err := http.NewRequestWithContext(t.Context(), "PATCH", w.url(location), body)
		if err != nil {
			return
		}
		r.SetBasicAuth("bob", bobPassword)
		r.Header.Set("Content-Type", "application/octet-stream")
		if res, err := http.DefaultTransport.RoundTrip(r); err == nil {
			res.Body.Close()
		}
	}()
	time.Sleep(time.Second)
	for i := range w.Servers() {
		w.Kill(t, i)
	}
	<-cut
	state := w.want(t, 204, w.bob, "GET", location, "")
	_, last, ok := strings.Cut(state.header.Get("Range"), "-")
	require.True(t, ok, "%v", state.header)
	offset, err := strconv.Atoi(last)
	require.NoError(t, err)
	offset++
	require.GreaterOrEqual(t, offset, first, "the first part was acknowledged")
	require.Less(t, offset, len(content), "the upload was to be cut off")
	t.Logf("the upload was cut off after %d bytes", offset)
	r := w.want(t, 202, w.bob, "PATCH", w.local(t, state), string(content[offset:]),
		"Content-Type: application/octet-stream", fmt.Sprintf("Content-Range: %d-%d", offset, len(content)-1))
	d := digest.FromBytes(content)
	w.disturb(t, func() {
		eventually(t, time.Minute, func() error {
			r := w.do(t, w.bob, "PUT", w.local(t, r)+"?digest="+d.String(), "")
			if exists := w.do(t, w.bob, "HEAD", "/v2/bob/app/blobs/"+d.String(), ""); exists.status != 200 {
				return missing("PUT has the status %d, HEAD %d", r.status, exists.status)
			}
			return nil
		})
	})
	got := w.want(t, 200, w.bob, "GET", "/v2/bob/app/blobs/"+d.String(), "")
	require.Equal(t, d, digest.FromBytes(got.body))
}

// local returns the path in the Location of a response.
func (w *walker) local(t *testing.T, r reply) string {
	t.Helper()
	u, err := url.Parse(r.header.Get("Location"))
	require.NoError(t, err)
	require.NotEmpty(t, u.Path)
	return u.RequestURI()
}

// slowReader sends all but the last 4 MiB of its content at once, and the rest in a minute.
type slowReader struct {
	content []byte
	at      int
}

func (s *slowReader) Read(p []byte) (int, error) {
	if s.at == len(s.content) {
		return 0, io.EOF
	}
	const slow, steps = 4 << 20, 1200
	most := len(s.content) - slow - s.at
	if most <= 0 {
		time.Sleep(time.Minute / steps)
		most = slow / steps
	}
	n := copy(p[:min(len(p), most)], s.content[s.at:])
	s.at += n
	return n, nil
}

// robot makes a robot that pulls the private repository, which nobody else can.
func (w *walker) robot(t *testing.T) {
	w.maintenance(t, w.bob, "", "accounts", "robot", "add", "bob", "ci", "-grant", "read:app")
	secret := strings.TrimSpace(w.maintenance(t, w.bob, "", "accounts", "token", "add", "bob+ci", "build", "-expires",
		"1d"))
	w.secrets = append(w.secrets, secret)
	out, err := w.puller.Login(t, "bob+ci", secret)
	require.NoError(t, err, out)
	w.disturb(t, func() {
		eventually(t, time.Minute, func() error {
			if out, err := w.puller.Pull(t, "bob/app"); err != nil {
				return missing("%s", out)
			}
			return nil
		})
	})
	_, err = w.puller.Push(t, "bob/other")
	require.Error(t, err, "the robot may only read bob/app")
	w.want(t, 403, login{name: "bob+ci", secret: secret}, "GET", "/api/v1/accounts/bob+ci/tokens", "")
	w.want(t, 401, login{}, "GET", "/v2/bob/app/tags/list", "")
}

// public lets everybody pull.
func (w *walker) public(t *testing.T) {
	const path = "/api/v1/repositories/bob%2Fapp"
	w.want(t, 428, w.bob, "PATCH", path, `{"visibility":"public"}`)
	w.want(t, 412, w.bob, "PATCH", path, `{"visibility":"public"}`, `If-Match: "another"`)
	r := w.want(t, 200, w.bob, "GET", path, "")
	w.disturb(t, func() {
		got := w.do(t, w.bob, "PATCH", path, `{"visibility":"public","description":"An application."}`, r.etag())
		require.Contains(t, []int{200, 412}, got.status, "%s", got.body) // 412: made before the replica was killed
	})
	eventually(t, within, func() error {
		if r := w.do(t, login{}, "GET", "/v2/bob/app/tags/list", ""); r.status != 200 {
			return missing("anonymous callers get %d", r.status)
		}
		return nil
	})
}

// pushTags pushes tags without a pause while both replicas are killed, one after the other. It returns those whose push
// was acknowledged. A push that was cut off is not repeated.
func (w *walker) pushTags(t *testing.T) (acknowledged []string) {
	t.Helper()
	manifest := w.want(t, 200, w.bob, "GET", "/v2/bob/app/manifests/latest", "", "Accept: "+v1.MediaTypeImageManifest,
		"Accept: application/vnd.docker.distribution.manifest.v2+json")
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			tag := fmt.Sprintf("push-%03d", n)
			r, err := w.try(t, w.bob, "PUT", "/v2/bob/app/manifests/"+tag, string(manifest.body),
				"Content-Type: "+manifest.header.Get("Content-Type"))
			if err == nil && r.status == 201 {
				acknowledged = append(acknowledged, tag)
			}
		}
	}()
	for i := range w.Servers() {
		w.Kill(t, i)
	}
	close(stop)
	<-ended
	require.NotEmpty(t, acknowledged)
	t.Logf("%d pushes were acknowledged", len(acknowledged))
	return acknowledged
}

// retention rehearses and applies the rules, which remove an old tag, and restores the tag from the history.
func (w *walker) retention(t *testing.T) {
	var image struct{ Digest string }
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/tags/latest", "").into(t, &image)
	for _, tag := range []string{"old-1", "old-2"} {
		w.want(t, 200, w.bob, "PUT", "/api/v1/repositories/bob%2Fapp/tags/"+tag, fmt.Sprintf(`{"digest":%q}`, image.Digest),
			"If-None-Match: *")
		time.Sleep(1100 * time.Millisecond) // the times of some storages are whole seconds
	}
	time.Sleep(2 * time.Second) // collection.grace
	plan := filepath.Join(t.TempDir(), "plan.json")
	said := w.maintenance(t, w.ann, "", "retain", "plan", "-o", plan)
	require.Regexp(t, `1 of \d+ tags`, said)
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/tags/old-1", "")
	w.disturb(t, func() { w.maintenance(t, w.ann, "", "retain", "apply", plan) })
	w.want(t, 404, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/tags/old-1", "")
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/tags/old-2", "")
	var history struct {
		Items []struct{ Change, Tag string }
	}
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/history?tag=old-1", "").into(t, &history)
	require.Equal(t, "untag", history.Items[0].Change)
	w.want(t, 200, w.bob, "POST", "/api/v1/repositories/bob%2Fapp/restore", `{"tag":"old-1"}`)
	w.want(t, 200, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/tags/old-1", "")
}

// questions asks about what is there.
func (w *walker) questions(t *testing.T) {
	eventually(t, 30*time.Second, func() error {
		var usage struct{ Figures struct{ Tags int } }
		r := w.do(t, w.bob, "GET", "/api/v1/repositories/bob%2Fapp/usage", "")
		if r.status != 200 || json.Unmarshal(r.body, &usage) != nil || usage.Figures.Tags < 3 {
			return missing("usage: %s", r.body)
		}
		return nil
	})
	eventually(t, time.Minute, func() error {
		if r := w.do(t, w.bob, "GET", "/api/v1/search?q=app", ""); !strings.Contains(string(r.body), `"bob/app"`) {
			return missing("search: %s", r.body)
		}
		return nil
	})
	const ask = `{"account":%q,"accesses":[{"type":"repository","name":"bob/app","action":"delete"}]}`
	var answer struct{ Allowed bool }
	w.want(t, 200, w.ann, "POST", "/api/v1/rules/explain", fmt.Sprintf(ask, "bob")).into(t, &answer)
	require.True(t, answer.Allowed)
	w.want(t, 200, w.ann, "POST", "/api/v1/rules/explain", fmt.Sprintf(ask, "bob+ci")).into(t, &answer)
	require.False(t, answer.Allowed)
	w.want(t, 200, w.ann, "GET", "/v2/hub.example/library/app/manifests/v1", "") // through the mirror
	w.want(t, 204, w.ann, "PUT", "/api/v1/mirror/pins/hub.example%2Flibrary%2Fapp/v1", "")
	w.maintenance(t, w.ann, "", "jobs", "run", "scrub")
	eventually(t, time.Minute, func() error {
		for line := range strings.Lines(w.maintenance(t, w.ann, "", "jobs", "list")) {
			if strings.HasPrefix(line, "scrub ") && !strings.Contains(line, " - ") {
				return nil
			}
		}
		return missing("the scrub has not ended")
	})
}

// quota begins a push that is larger than the limit of the namespace.
func (w *walker) quota(t *testing.T) {
	r := w.do(t, w.bob, "POST", "/v2/bob/big/blobs/uploads/?digest=sha256:"+strings.Repeat("0", 64), "",
		"Content-Type: application/octet-stream")
	require.Contains(t, []int{400, 401}, r.status, "an empty body has another digest: %s", r.body)
	var state struct {
		Used, Max struct{ Bytes int64 }
	}
	w.want(t, 200, w.bob, "GET", "/api/v1/quotas/bob", "").into(t, &state)
	require.Positive(t, state.Used.Bytes)
	require.EqualValues(t, 50<<20, state.Max.Bytes)
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.url("/v2/bob/big/blobs/uploads/?digest=sha256:"+
		strings.Repeat("0", 64)), strings.NewReader(strings.Repeat("x", 60<<20)))
	require.NoError(t, err)
	req.SetBasicAuth("bob", bobPassword)
	req.Header.Set("Content-Type", "application/octet-stream")
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, 403, res.StatusCode)
}

// session signs bob in. The session ends on all replicas when bob is disabled.
func (w *walker) session(t *testing.T) {
	var made struct{ Session string }
	r := w.do(t, login{}, "POST", "/signin/password", fmt.Sprintf(`{"name":"bob","password":%q}`, bobPassword),
		"Accept: application/json")
	require.Equal(t, 200, r.status, "%s", r.body)
	r.into(t, &made)
	cookie := ""
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if strings.HasPrefix(c.Name, "__Host-") && c.Value != "" {
			require.True(t, c.Secure && c.HttpOnly && c.Path == "/" && c.SameSite == http.SameSiteLaxMode, "%v", c)
			cookie = "Cookie: " + c.Name + "=" + c.Value
			w.secrets = append(w.secrets, c.Value)
		}
	}
	require.NotEmpty(t, cookie)
	w.want(t, 200, login{}, "GET", "/api/v1/user", "", cookie)
	w.want(t, 401, login{}, "GET", "/v2/", "", cookie)
	w.disturb(t, func() { w.maintenance(t, w.ann, "", "accounts", "user", "disable", "bob", "-reason", "holidays") })
	eventually(t, within, func() error {
		for _, replica := range w.Servers() {
			r, err := w.at(t, replica.Addr, login{}, "GET", "/api/v1/user", "", cookie)
			require.NoError(t, err)
			if r.status != 401 {
				return missing("the session is still valid at %s: %d", replica.Addr, r.status)
			}
		}
		return nil
	})
	w.want(t, 401, w.bob, "GET", "/api/v1/user", "")
	w.maintenance(t, w.ann, "", "accounts", "user", "enable", "bob")
}

// audit finds what was done and what was refused.
func (w *walker) audit(t *testing.T) {
	for _, want := range []string{"push", "user.create", "user.disable", "denied"} {
		eventually(t, 30*time.Second, func() error {
			if log := w.maintenance(t, w.ann, "", "audit", "-since", "1d", "-limit", "0"); !strings.Contains(log, want) {
				return missing("the audit has no %q:\n%s", want, log)
			}
			return nil
		})
	}
	eventually(t, within, func() error { // all replicas know that bob is enabled
		if r := w.do(t, w.bob, "GET", "/api/v1/audit", ""); r.status != 403 {
			return missing("bob gets %d: %s", r.status, r.body)
		}
		return nil
	})
}
