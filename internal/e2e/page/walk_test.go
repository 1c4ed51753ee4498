package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// The people of the walk.
const (
	annPassword = "ann keeps the whole hub"
	bobPassword = "bob reads what is there"
)

// walk is two replicas of examples/hub on one storage, a browser of ann, who is the admin, and one of bob.
type walk struct {
	*harness.Replicas
	t        *testing.T
	url, log string
	ann, bob *tab
	client   *harness.LoginClient // of ann
	robot    *harness.LoginClient
}

// TestWalk is the walk of somebody who runs a hub, in a browser: a sign-in, a push, the image with its layers, a wrong
// delete and its undo, a robot, and a reader. The replicas take turns by themselves.
func TestWalk(t *testing.T) {
	w := newWalk(t)
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"the first admin signs in", w.signIn}, {"an image is pushed", w.push}, {"it appears with its layers", w.look},
		{"it is deleted and restored", w.undo}, {"a robot pulls and pushes", w.useRobot}, {"a reader only reads", w.read},
	} {
		start := time.Now()
		step.do()
		t.Logf("%s: %v", step.what, time.Since(start).Round(100*time.Millisecond))
	}
	b, err := os.ReadFile(w.log)
	require.NoError(t, err)
	require.NotRegexp(t, ` status=5\d\d `, string(b))
	require.NotContains(t, string(b), annPassword)
}

// newWalk starts a hub.
func newWalk(t *testing.T) *walk {
	t.Helper()
	program, err := harness.BuildHub()
	require.NoError(t, err)
	dir := t.TempDir()
	o := harness.Options{Program: program, Log: filepath.Join(dir, "log"), Storage: filepath.Join(dir, "data")}
	w := &walk{t: t, Replicas: harness.NewReplicas(t, 1, o), log: o.Log, ann: newTab(t), bob: newTab(t)}
	w.url = "http://" + w.Addr
	w.client, w.robot = harness.SkopeoLogin(t, w.Addr), harness.CraneLogin(t, w.Addr)
	if *full {
		w.client, w.robot = harness.DockerLogin(t, w.Addr), harness.DockerLogin(t, w.Addr)
	}
	for _, b := range []*tab{w.ann, w.bob} {
		b.size(1280, 900, 1)
		b.colours("light")
	}
	return w
}

// signIn makes the first admin by the link of the log, starts a second replica, and signs in by the form.
func (w *walk) signIn() {
	w.t.Helper()
	log, err := os.ReadFile(w.log)
	require.NoError(w.t, err)
	link := regexp.MustCompile(`/setup\?token=[\w-]+`).FindString(string(log))
	require.NotEmpty(w.t, link, "%s", log)
	w.ann.open(w.url, link)
	w.ann.submit(`form[action="/setup"]`, "name", "ann", "password", annPassword, "again", annPassword)
	w.Add(w.t)
	w.ann.signIn(w.url, "ann", annPassword)
}

// signIn signs in by the form.
func (b *tab) signIn(url, name, password string) {
	b.t.Helper()
	b.open(url, "/sign-in?return=/")
	if !eval[bool](b, `!!document.querySelector('form[action$="/password"]')`) {
		return // the setup has signed in
	}
	b.submit(`form[action$="/password"]`, "name", name, "password", password)
	require.Equal(b.t, "/", eval[string](b, `location.pathname`))
	require.Contains(b.t, eval[string](b, `document.querySelector(".top nav").textContent`), name)
}

// submit fills the fields of a form, which are pairs of a name and a value, and clicks its last button that is no
// preview.
func (b *tab) submit(form string, pairs ...string) {
	b.t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		field := fmt.Sprintf(`%s [name=%q]`, form, pairs[i])
		set := eval[bool](b,
			fmt.Sprintf(`(e => { if (!e) return false; e.value = %s; return true; })(document.querySelector(%s))`,
				quoted(pairs[i+1]), quoted(field)))
		require.True(b.t, set, "%s has no field %s", eval[string](b, `location.href + document.body.innerText`), field)
	}
	b.click(form + ` button:not([name]):not([type="button"])`)
}

// click clicks an element, and waits for the page to which it leads.
func (b *tab) click(selector string) {
	b.t.Helper()
	require.True(b.t, eval[bool](b, fmt.Sprintf(`!!document.querySelector(%s)`, quoted(selector))), "no %s in %s",
		selector,
		eval[string](b, `location.href + document.querySelector("main").innerText`))
	eval[int](b, `window.leaving = 1`)
	b.do(chromedp.Click(chromedp.CSS(selector)))
	require.Eventually(b.t, func() bool {
		left := eval[bool](b, `window.leaving !== 1 && document.readyState === "complete"`)
		return left
	}, 20*time.Second, 50*time.Millisecond, "nothing happened after a click on %s", selector)
}

// quoted returns a text as a string of JavaScript.
func quoted(text string) string {
	b, _ := json.Marshal(text) // a string can be encoded
	return string(b)
}

// push pushes an image as ann.
func (w *walk) push() {
	w.t.Helper()
	out, err := w.client.Login(w.t, "ann", annPassword)
	require.NoError(w.t, err, out)
	out, err = w.client.Push(w.t, "ann/app")
	require.NoError(w.t, err, out)
}

// look finds the image from the start page, with the sizes of its layers and the command that pulls it.
func (w *walk) look() {
	w.t.Helper()
	m := w.manifest("ann/app", "latest")
	w.ann.open(w.url, "/")
	w.ann.click(`main a[href="/repositories/ann/app"]`)
	require.Contains(w.t, eval[string](w.ann, `document.querySelector(".pull code").textContent`),
		"docker pull "+w.Addr+"/ann/app")
	w.ann.click(`main a[href="/repositories/ann/app/-/images/latest"]`)
	rows := eval[[]string](w.ann, `[...document.querySelectorAll("table.layers tbody tr")].map(r => r.innerText)`)
	layers := 0
	for _, row := range rows {
		if regexp.MustCompile(`\d [kMG]?B`).MatchString(row) {
			layers++
		}
	}
	require.Equal(w.t, len(m.Layers), layers, "%q", rows)
	html := eval[string](w.ann, `document.querySelector("main").innerHTML`)
	for _, l := range m.Layers {
		require.Contains(w.t, html, l.Digest.Encoded()[:12])
	}
}

// manifest requests an image as ann from the registry.
func (w *walk) manifest(repo, tag string) (m ocispec.Manifest) {
	w.t.Helper()
	var token struct{ Token string }
	w.get("/v2/token?service=registry&scope=repository:"+repo+":pull", func(r *http.Request) {
		r.SetBasicAuth("ann", annPassword)
	}, &token)
	w.get("/v2/"+repo+"/manifests/"+tag, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+token.Token)
		r.Header["Accept"] = []string{ocispec.MediaTypeImageManifest, "application/vnd.docker.distribution.manifest.v2+json"}
	}, &m)
	return m
}

// get requests JSON.
func (w *walk) get(path string, prepare func(*http.Request), into any) {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, w.url+path, nil)
	r.RequestURI = ""
	prepare(r)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(w.t, err)
	defer res.Body.Close()
	require.Equal(w.t, http.StatusOK, res.StatusCode, path)
	require.NoError(w.t, json.NewDecoder(res.Body).Decode(into))
}

// undo deletes the tag on the page of the repository, and restores it with the button of the notice.
func (w *walk) undo() {
	w.t.Helper()
	w.ann.open(w.url, "/repositories/ann/app")
	w.ann.do(chromedp.Click(chromedp.CSS(`tbody input[name="tag"][value="latest"]`)))
	w.ann.click(`form[action$="/-/delete"] button.danger`)
	w.ann.click(`form[method="post"] button.danger`)
	require.Contains(w.t, eval[string](w.ann, `document.querySelector(".undo").textContent`), "latest")
	out, err := w.robot.Pull(w.t, "ann/app")
	require.Error(w.t, err, out)
	w.ann.click(`.undo button`)
	require.Contains(w.t, eval[string](w.ann, `document.querySelector("main").textContent`), "latest")
	w.ann.open(w.url, "/repositories/ann/app")
	require.True(w.t, eval[bool](w.ann, `!!document.querySelector('a[href$="/images/latest"]')`))
}

// useRobot makes a robot with a token on the page. A client pulls and pushes as the robot.
func (w *walk) useRobot() {
	w.t.Helper()
	w.ann.open(w.url, "/robots/ann/-/new")
	w.ann.submit(`form[action="/robots/ann/-/new"]`, "name", "ci", "pattern-0", "**", "role-0", "write")
	w.ann.open(w.url, "/robots/ann/ci")
	w.ann.click(`main a[href$="/-/new"]`)
	w.ann.submit(`form.fields`, "name", "pipeline")
	token := strings.TrimSpace(eval[string](w.ann, `document.querySelector(".pull code").textContent`))
	out, err := w.robot.Login(w.t, "ann+ci", token)
	require.NoError(w.t, err, out)
	out, err = w.robot.Pull(w.t, "ann/app")
	require.NoError(w.t, err, out)
	out, err = w.robot.Push(w.t, "ann/built")
	require.NoError(w.t, err, out)
	w.ann.open(w.url, "/")
	require.True(w.t, eval[bool](w.ann, `!!document.querySelector('main a[href="/repositories/ann/built"]')`))
}

// read lets everybody pull ann/app. A reader sees no buttons that change it, and what the reader may not do does not
// exist.
func (w *walk) read() {
	w.t.Helper()
	w.ann.open(w.url, "/users/-/new")
	w.ann.submit(`form[action="/users/-/new"]`, "name", "bob", "password", bobPassword)
	w.ann.open(w.url, "/repositories/ann/app/-/settings")
	w.ann.submit(`form:has([name="visibility"])`, "visibility", "public")
	w.bob.signIn(w.url, "bob", bobPassword)
	require.EventuallyWithT(w.t, func(c *assert.CollectT) {
		w.bob.open(w.url, "/repositories/ann/app")
		assert.True(c, eval[bool](w.bob, `!!document.querySelector('a[href$="/images/latest"]')`))
	}, 20*time.Second, 500*time.Millisecond, "other replicas know the visibility within ten seconds")
	for _, path := range []string{"/repositories/ann/app", "/repositories/ann/app/-/images/latest"} {
		w.bob.open(w.url, path)
		require.Zero(w.t, eval[int](w.bob, `document.querySelectorAll("main .danger, main form[method=post]").length`), path)
	}
	for _, path := range []string{"/repositories/ann/app/-/delete?tag=latest", "/repositories/ann/app/-/settings",
		"/repositories/ann/built", "/users", "/jobs"} {
		w.bob.open(w.url, "/")
		status := eval[int](w.bob, fmt.Sprintf(`fetch(%s).then(r => r.status)`, quoted(path)))
		require.Equal(w.t, http.StatusNotFound, status, path)
	}
	status := eval[int](w.bob, `fetch("/repositories/ann/app/-/delete", {method: "POST",
		body: new URLSearchParams({tag: "latest", "tag-version": '"x"'})}).then(r => r.status)`)
	require.Contains(w.t, []int{http.StatusForbidden, http.StatusNotFound}, status)
	require.NotEmpty(w.t, w.manifest("ann/app", "latest").Layers)
}
