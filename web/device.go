package web

import (
	"strings"

	"github.com/registrykit/registry/web/internal/lang"
)

// browsers and systems are the parts of a header User-Agent that name a program and a system. The first one counts:
// many browsers also name others.
var (
	browsers = [][2]string{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"},
		{"MicroMessenger/", "WeChat"}, {"QQBrowser/", "QQ Browser"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"HeadlessChrome/", "Chrome"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}}
	systems = [][2]string{{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"HarmonyOS", "HarmonyOS"}, {"Android", "Android"},
		{"Windows", "Windows"}, {"CrOS", "ChromeOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}}
)

// maxAgent is the maximum length of a header User-Agent that is shown as it is, in characters.
const maxAgent = 60

// device returns the device of a session in words, such as "Firefox on Windows". kind is that of types.Session.
func device(l *lang.Language, kind, agent string) string {
	first := func(known [][2]string) string {
		for _, one := range known {
			if strings.Contains(agent, one[0]) {
				return one[1]
			}
		}
		return ""
	}
	if kind == "command-line" {
		program, _, _ := strings.Cut(agent, " ")
		if program == "" {
			return l.Text("Command line")
		}
		return l.Text("Command line (%s)", clip(program, maxAgent))
	}
	browser, system := first(browsers), first(systems)
	switch {
	case browser != "" && system != "":
		return l.Text("%s on %s", l.Text(browser), l.Text(system))
	case browser != "":
		return l.Text(browser)
	case agent != "":
		return clip(agent, maxAgent)
	}
	return l.Text("Unknown device")
}
