package config_test

import (
	"fmt"

	"github.com/registrykit/registry/notification/config"
)

// The values of a flag that may be given several times.
func ExampleLoad() {
	webhooks, err := config.Load([]string{
		"https://ci.example/hook?key=abc#name=ci&format=harbor&actions=push&repositories=team/**",
		"https://audit.example/#name=audit&format=json",
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, w := range webhooks {
		sink, err := w.Sink()
		fmt.Println(w.Name, w.URL, w.Format, w.Filter.Actions, sink != nil, err)
	}
	_, err = config.Load([]string{"https://ci.example/hook?key=abc#action=push"}, nil)
	fmt.Println(err != nil)
	// Output:
	// ci *** harbor [push] true <nil>
	// audit *** json [!pull] true <nil>
	// true
}

// A mistake is reported with its line.
func ExampleParseYAML() {
	_, err := config.ParseYAML([]byte(`
webhooks:
- url: https://ci.example/hook
  repositories: [team/**, "team/["]
`), nil)
	fmt.Println(err)
	// Output: config: line 4: repositories: pattern "team/[": malformed
}
