package web_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDevices: a device is in words that its owner recognises.
func TestDevices(t *testing.T) {
	s := newSignInSite(t, nil, nil)
	const mozilla = "Mozilla/5.0 "
	for agent, want := range map[string]string{
		mozilla + "(X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                            "Firefox on Linux",
		mozilla + "(Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0": "Edge on Windows",
		mozilla + "(Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/18.0 Safari/605.1":       "Safari on macOS",
		mozilla + "(iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 CriOS/140.0 Safari/604.1": "Chrome on iPhone",
		mozilla +
			"(Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36": "Chrome on Android",
		mozilla +
			"(Linux; Android 15) AppleWebKit/537.36 Chrome/116.0 MicroMessenger/8.0 Safari/537.36": "WeChat on Android",
		"curl/8.9.1": "curl/8.9.1",
		"":           "Unknown device",
	} {
		b := s.browser(t)
		b.agent = agent
		b.signIn("ann")
		require.Contains(t, b.get("/ui/sessions").doc.Find("tbody tr").Text(), want+" this device", agent)
	}
}
