package demosite

import (
	"context"
	"fmt"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/reference"
)

// Texts are texts that a client can put into labels, annotations, descriptions and names. A page
// must show them as text.
var Texts = [...]string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
	`{{.}}`, `</title></main><h1>owned`, "\u202egnp.exe", "\u2066\u2067left", "a\x00b\x1b[31mred", "%s%d%!v(MISSING)",
	`data:text/html,<script>alert(1)</script>`, strings.Repeat("W", 5000),
}

// longName is a repository whose name is as long as permitted.
var longName = "acme/" + strings.Repeat("very-long-component-of-a-name/", 7) + "x"

// fillHostile pushes content with hostile texts and with very many elements.
func (s *Site) fillHostile(ctx context.Context) error {
	p := s.as(ctx, Ann)
	texts := map[string]string{}
	for i, text := range Texts {
		texts[fmt.Sprintf("label.%d", i)], texts[text[:min(len(text), 100)]] = text, text
	}
	for _, key := range []string{ocispec.AnnotationURL, ocispec.AnnotationSource, ocispec.AnnotationDocumentation} {
		texts[key] = Texts[3]
	}
	texts[ocispec.AnnotationTitle], texts[ocispec.AnnotationLicenses] = Texts[0], Texts[10]
	const repo = "acme/hostile"
	im := image{arch: Texts[1], created: time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), seed: 1, annotations: texts}
	im.config = ocispec.ImageConfig{User: Texts[0], Entrypoint: Texts[:], Cmd: Texts[:],
		Env: append([]string{"=", "A"}, Texts[:]...), WorkingDir: Texts[7],
		ExposedPorts: map[string]struct{}{Texts[2]: {}}, Volumes: map[string]struct{}{Texts[5]: {}}, Labels: texts,
	}
	for i, text := range Texts {
		im.layers = append(im.layers, layer{command: text, size: 10 + i})
	}
	for i := range 200 {
		im.layers = append(im.layers, layer{command: fmt.Sprint("RUN step ", i), size: 1})
	}
	d := p.push(repo, im, "latest", strings.Repeat("t", 128))
	for i := range 60 {
		p.referrer(repo, "application/"+strings.Repeat("x", 1+i), d, fmt.Sprint(i), texts)
	}
	var of []ocispec.Descriptor
	for i := range 100 {
		child := d
		child.Platform = &ocispec.Platform{OS: Texts[i%5], Architecture: fmt.Sprint(i), Variant: Texts[6]}
		of = append(of, child)
	}
	p.index(repo, texts, of, "index")
	p.artifact(repo, typeHelmConfig,
		`{"name":"<script>","version":["no"],"home":"javascript:alert(1)","icon":"javascript:1"}`,
		typeHelmChart, "x", texts, "chart")
	p.artifact(repo, "a/b", "[[[[", "c/d", "x", texts, "odd")
	p.push(longName, service("x", "1", "amd64", 1000, ago(1), 3), strings.Repeat("T", 128))
	for i := range 80 {
		p.push(fmt.Sprintf("acme/many/r%d", i), service("x", "1", "amd64", 400, ago(i), 3), "latest")
	}
	if p.err != nil {
		return p.err
	}
	for _, name := range []string{repo, longName} {
		_, err := s.People.UpdateRepository(ctx, accounts.Actor{Name: Ann}, name, func(r *accounts.Repository) error {
			r.Description = "# " + strings.Join(Texts[:len(Texts)-1], "\n\n") +
				"\n\n[link](javascript:alert(1)) ![image](http://x.example/y)"
			return nil
		})
		if err != nil {
			return err
		}
	}
	return s.deleteHostile(ctx)
}

// deleteHostile deletes some of it, for the bin.
func (s *Site) deleteHostile(ctx context.Context) error {
	p := s.as(ctx, Ann)
	if err := p.to.DeleteManifest(ctx, "acme/hostile", reference.Ref{Tag: strings.Repeat("t", 128)}, nil); err != nil {
		return err
	}
	return p.to.DeleteManifest(ctx, longName, reference.Ref{Tag: strings.Repeat("T", 128)}, nil)
}
