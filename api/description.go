package api

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"

	"go.yaml.in/yaml/v4"

	"github.com/registrykit/registry/api/types"
)

// descriptions are the hand-written files of the OpenAPI description: base.yaml, and one for each part.
//
//go:embed openapi/*.yaml
var descriptions embed.FS

// descriptionRoutes are the routes about the API itself.
func (a *API) descriptionRoutes() []route {
	return []route{
		{method: "GET", path: "/v1/openapi.json", access: everyone, handle: func(*request) (*response, error) {
			return &response{contentType: jsonType, stream: func(w http.ResponseWriter) error {
				_, err := w.Write(a.openapi)
				return err
			}}, nil
		}},
		{method: "GET", path: "/v1/parts", access: everyone, handle: func(*request) (*response, error) {
			list := types.PartList{Items: []string{}}
			for _, p := range a.parts() {
				list.Items = append(list.Items, p.name)
			}
			return &response{body: list}, nil
		}},
	}
}

// describe returns the description of parts as JSON: base.yaml with the paths and schemas of the parts.
func describe(parts []part) ([]byte, error) {
	whole, err := readDescription("base")
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		one, err := readDescription(p.name)
		if err != nil {
			return nil, err
		}
		for _, at := range [][]string{{"paths"}, {"components", "schemas"}, {"components", "parameters"},
			{"components", "responses"}, {"components", "requestBodies"}, {"tags"}} {
			if err := merge(whole, one, at); err != nil {
				return nil, fmt.Errorf("api: openapi/%s.yaml: %w", p.name, err)
			}
		}
	}
	return json.Marshal(whole)
}

// readDescription reads a file of the description.
func readDescription(name string) (map[string]any, error) {
	content, err := descriptions.ReadFile("openapi/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(content, &v); err != nil {
		return nil, fmt.Errorf("api: openapi/%s.yaml: %w", name, err)
	}
	return v, nil
}

// merge adds the members of an object, or the elements of a list, in one description to that in another.
func merge(to, from map[string]any, at []string) error {
	for ; len(at) > 1; at = at[1:] {
		next, ok := from[at[0]].(map[string]any)
		if !ok {
			return nil
		}
		if to[at[0]] == nil {
			to[at[0]] = map[string]any{}
		}
		to, from = to[at[0]].(map[string]any), next
	}
	key := at[0]
	switch more := from[key].(type) {
	case map[string]any:
		if to[key] == nil {
			to[key] = map[string]any{}
		}
		all := to[key].(map[string]any)
		for name, v := range more {
			_, twice := all[name]
			switch {
			case twice && key == "paths": // with other methods
				if err := merge(all, more, []string{name}); err != nil {
					return err
				}
				continue
			case twice:
				return fmt.Errorf("%s %s is described twice", key, name)
			}
			all[name] = v
		}
	case []any:
		list, _ := to[key].([]any)
		to[key] = append(list, more...)
	}
	return nil
}
