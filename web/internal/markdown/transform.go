package markdown

import (
	"github.com/yuin/goldmark/ast"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// rel is the attribute of links: a description of anybody gets no reputation from the page, and no hold on it.
const rel = "nofollow noreferrer noopener"

// shift is how many levels headings go down.
const shift = 2

// transformer changes a document for a page: headings go down, cells of a heading have a scope,
// links have a rel, and an image becomes a link to it.
type transformer struct{}

// Transform implements parser.ASTTransformer.
func (transformer) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	var images []*ast.Image
	long := 0 // the length of all destinations: many links can name one definition
	shorten := func(l *ast.Link) {
		if long += len(l.Destination); long > maxHTML {
			l.Destination = nil
		}
		l.Title = nil // the policy removes it
	}
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			n.Level = min(n.Level+shift, 6)
		case *ast.Link:
			shorten(n)
			n.SetAttributeString("rel", []byte(rel))
		case *ast.AutoLink:
			n.SetAttributeString("rel", []byte(rel))
		case *ast.Image:
			images = append(images, n)
		case *extast.TableCell:
			if n.Parent().Kind() == extast.KindTableHeader {
				n.SetAttributeString("scope", []byte("col"))
			}
		}
		return ast.WalkContinue, nil
	})
	for _, image := range images {
		if link := replaceImage(image); link != nil {
			shorten(link)
		}
	}
}

// replaceImage replaces an image by a link with its text, and returns the link. Within another link, it leaves the text
// alone, and returns nil.
func replaceImage(image *ast.Image) *ast.Link {
	parent := image.Parent()
	for n := parent; n != nil; n = n.Parent() {
		if n.Kind() != ast.KindLink {
			continue
		}
		for child := image.FirstChild(); child != nil; child = image.FirstChild() {
			parent.InsertBefore(parent, image, child)
		}
		parent.RemoveChild(parent, image)
		return nil
	}
	link := ast.NewLink()
	link.Destination = image.Destination
	link.SetAttributeString("rel", []byte(rel))
	for child := image.FirstChild(); child != nil; child = image.FirstChild() {
		link.AppendChild(link, child)
	}
	if link.FirstChild() == nil {
		link.AppendChild(link, ast.NewString(image.Destination))
	}
	parent.ReplaceChild(parent, image, link)
	return link
}
