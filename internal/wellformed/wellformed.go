// Package wellformed checks the markup of pages in tests: that a browser builds from a page the
// elements that its author has written.
package wellformed

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// void are the elements without an end tag.
var void = [...]string{"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
	"wbr"}

// Check returns an error for the first mistake of a page: a tag that is missing or closes nothing, an attribute that an
// element has twice, and an element where HTML does not permit it, such as a div in a p, which a browser moves.
func Check(page []byte) error {
	written, err := elements(page)
	if err != nil {
		return err
	}
	root, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		return err
	}
	var built []string
	walk(root, "", &built)
	for i, path := range written {
		if i >= len(built) || built[i] != path {
			return fmt.Errorf("the element %s is not where it was written", path)
		}
	}
	if len(built) != len(written) {
		return fmt.Errorf("the browser adds %s", built[len(written)])
	}
	return nil
}

// elements returns the paths of the elements of a page, as their tags say.
func elements(page []byte) (paths []string, err error) {
	z := html.NewTokenizer(bytes.NewReader(page))
	var open []string
	for {
		switch z.Next() {
		case html.ErrorToken:
			if len(open) > 0 {
				return nil, fmt.Errorf("%s is not closed", strings.Join(open, "/"))
			}
			return paths, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			token := z.Token()
			if name := twice(token.Attr); name != "" {
				return nil, fmt.Errorf("%s/%s has the attribute %s twice", strings.Join(open, "/"), token.Data, name)
			}
			path := append(slices.Clip(open), token.Data)
			paths = append(paths, "/"+strings.Join(path, "/"))
			if token.Type == html.StartTagToken && !slices.Contains(void[:], token.Data) {
				open = path
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				return nil, fmt.Errorf("</%s> closes %s", name, strings.Join(open, "/"))
			}
			open = open[:len(open)-1]
		}
	}
}

// twice returns the name of an attribute that is there twice, or "".
func twice(attributes []html.Attribute) string {
	seen := map[string]bool{}
	for _, a := range attributes {
		if seen[a.Key] {
			return a.Key
		}
		seen[a.Key] = true
	}
	return ""
}

// walk appends the paths of the elements below a node.
func walk(n *html.Node, above string, paths *[]string) {
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		if child.Type == html.ElementNode {
			path := above + "/" + strings.ToLower(child.Data)
			*paths = append(*paths, path)
			walk(child, path, paths)
		}
	}
}
