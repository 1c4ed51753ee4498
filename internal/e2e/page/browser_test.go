package page

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/internal/e2e/harness"
)

// browser is the browser of all tests. Each test has tabs of its own, in a profile of its own.
var browser struct {
	sync.Mutex
	ctx  context.Context
	stop []context.CancelFunc
}

// startBrowser starts the browser, once.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	browser.Lock()
	defer browser.Unlock()
	if browser.ctx != nil {
		return browser.ctx
	}
	path, err := harness.Tool("chromium")
	require.NoError(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.Headless, chromedp.Flag("disable-component-update", true),
		chromedp.Flag("no-first-run", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"), // loopback only
		chromedp.WSURLReadTimeout(time.Minute))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	require.NoError(t, chromedp.Do(ctx))
	browser.ctx, browser.stop = ctx, []context.CancelFunc{stop, stopAllocator}
	return ctx
}

// stopBrowser ends the browser.
func stopBrowser() {
	for _, stop := range browser.stop {
		stop()
	}
}

// tab is a tab of the browser. It notes what a page must not do.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string
	allowed  string // the host to which requests may go
}

// newTab opens a tab in a profile of its own.
func newTab(t *testing.T) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(startBrowser(t), chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	b := &tab{t: t, ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, b.note))
	call(b, network.Enable, network.EnableParams{})
	call(b, cdplog.Enable, cdp.Empty{})
	return b
}

// note notes errors of the console, such as violations of the policy, and requests to other hosts.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *cdpruntime.EventExceptionThrown:
		b.problems = append(b.problems, "exception: "+e.ExceptionDetails.Text)
	case *cdpruntime.EventConsoleAPICalled:
		if e.Type == cdpruntime.ConsoleAPICalledTypeError || e.Type == cdpruntime.ConsoleAPICalledTypeWarning {
			b.problems = append(b.problems, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *cdplog.EventEntryAdded:
		// The browser reports the status of a page as an error, too.
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			b.problems = append(b.problems, "log: "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		url := e.Request.URL
		if b.allowed != "" && !strings.HasPrefix(url, b.allowed) && !strings.HasPrefix(url, "data:") {
			b.problems = append(b.problems, "request to another host: "+url)
		}
	}
}

// noted returns what was noted since the last call.
func (b *tab) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	problems := b.problems
	b.problems = nil
	return problems
}

// do runs actions, for at most a minute in all.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	require.NoError(b.t, chromedp.Do(ctx, actions...))
}

// read runs an action, and returns its value.
func read[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	v, err := chromedp.Run(ctx, action)
	require.NoError(b.t, err)
	return v
}

// call sends a command of the protocol of the browser.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, time.Minute)
	defer stop()
	r, err := chromedp.Call(ctx, command, params)
	require.NoError(b.t, err)
	return r
}

// eval evaluates an expression in the page. A promise is awaited.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return read(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// open opens a page of a site.
func (b *tab) open(base, path string) {
	b.t.Helper()
	b.mu.Lock()
	b.allowed = base
	b.mu.Unlock()
	b.do(chromedp.Navigate(base + path))
}

// size sets the size of the window, in pixels of CSS. scale is the zoom.
func (b *tab) size(width, height int64, scale float64) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: scale})
}

// colours sets the colours that the system of the reader prefers, "light" or "dark". Nothing moves,
// so that a test sees the final state.
func (b *tab) colours(scheme string) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// maxShot is the maximum height of a screenshot, in pixels.
const maxShot = 3000

// shot writes a screenshot of the whole page.
func (b *tab) shot(file string) {
	b.t.Helper()
	size := call(b, cdppage.GetLayoutMetrics, cdp.Empty{}).CSSContentSize
	beyond := true
	png := call(b, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{CaptureBeyondViewport: &beyond,
		Clip: &cdppage.Viewport{Width: size.Width, Height: min(size.Height, maxShot), Scale: 1}})
	require.NoError(b.t, os.WriteFile(file, png.Data, 0o644))
}
