package demosite

import (
	"context"
	"fmt"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/notification/endpoints"
	"github.com/registrykit/registry/reference"
	"github.com/registrykit/registry/registrytest"
)

// fillPeople makes the accounts.
func (s *Site) fillPeople(ctx context.Context, hostile bool) error {
	by, ids := accounts.Actor{Name: Boss}, map[string]accounts.ID{}
	full := map[string]string{Ann: "Ann Archer", Bob: "Bob Baker", Cleo: "Cleo Chan", "dora": "", "emil": "Emil Ek"}
	for _, name := range []string{Ann, Bob, Cleo, "dora", "emil"} {
		profile := accounts.Profile{FullName: full[name], Email: name + "@acme.example"}
		if hostile {
			profile.FullName, profile.Email = Texts[0], Texts[1]
		}
		user, err := s.People.CreateUser(ctx, by, name, Password, &accounts.UserOptions{Profile: profile})
		if err != nil {
			return err
		}
		ids[name] = user.ID
	}
	if _, err := s.People.Disable(ctx, by, ids["emil"]); err != nil {
		return err
	}
	by = accounts.Actor{Name: Ann}
	for _, name := range []string{"acme", "playground"} {
		profile := accounts.Profile{FullName: "Acme Corporation"}
		if hostile {
			profile.FullName = Texts[6] + Texts[2]
		}
		made, err := s.People.CreateOrganisation(ctx, by, name, ids[Ann], &accounts.UserOptions{Profile: profile})
		if err != nil {
			return err
		}
		ids[name] = made.ID
	}
	return s.fillAcme(ctx, by, ids, hostile)
}

// fillAcme makes the members, teams and robots of the organisation acme, and its webhooks.
func (s *Site) fillAcme(ctx context.Context, by accounts.Actor, ids map[string]accounts.ID, hostile bool) error {
	acme, about := ids["acme"], "Everybody who deploys the shop"
	if hostile {
		about = Texts[0] + Texts[1]
	}
	for _, name := range []string{Bob, "dora"} {
		if err := s.People.AddMember(ctx, by, acme, ids[name]); err != nil {
			return err
		}
	}
	for name, grants := range map[string][]accounts.Grant{
		"readers":   {{Repositories: "**", Role: accounts.Read}},
		"platform":  {{Repositories: "shop/**", Role: accounts.Admin}, {Repositories: "base/**", Role: accounts.Write}},
		"front-end": {{Repositories: "shop/web", Role: accounts.Write}},
	} {
		if _, err := s.People.CreateTeam(ctx, by, acme, name,
			&accounts.TeamOptions{Description: about, Grants: grants}); err != nil {
			return err
		}
	}
	for team, user := range map[string]string{"readers": Bob, "platform": "dora", "front-end": "dora"} {
		if err := s.People.JoinTeam(ctx, by, acme, team, ids[user]); err != nil {
			return err
		}
	}
	for _, name := range []string{"ci", "deploy"} {
		robot, err := s.People.CreateRobot(ctx, by, acme, name, []accounts.Grant{{Repositories: "**", Role: accounts.Write}})
		if err != nil {
			return err
		}
		if _, err := s.People.CreateSecret(ctx, by, robot.ID, "pipeline",
			&accounts.SecretOptions{Expires: time.Now().Add(40 * 24 * time.Hour)}); err != nil {
			return err
		}
	}
	for _, name := range []string{"laptop", "build server"} {
		if _, err := s.People.CreateSecret(ctx, by, ids[Ann], name, nil); err != nil {
			return err
		}
	}
	return s.fillWebhooks(ctx, hostile)
}

// fillWebhooks makes two webhooks, one of which fails.
func (s *Site) fillWebhooks(ctx context.Context, hostile bool) error {
	for _, name := range []string{"Deployments", "broken"} {
		settings := endpoints.Settings{Name: name, URL: auth.Secret(s.receiver.URL + "/" + name)}
		if hostile {
			settings.Name = Texts[3]
		}
		if _, _, err := s.hooks.Create(ctx, Ann, endpoints.Scope{Namespace: "acme"}, settings); err != nil {
			return err
		}
	}
	return nil
}

// fillContents pushes the images.
func (s *Site) fillContents(ctx context.Context) error {
	p := s.as(ctx, Ann)
	s.pushShop(ctx, p)
	s.pushOthers(p)
	cleo := s.as(ctx, Cleo)
	cleo.push("cleo/playground", service("playground", "0.1", "amd64", 400_000, ago(400), 77), "latest")
	if err := firstError(p.err, cleo.err); err != nil {
		return err
	}
	if err := s.describe(ctx); err != nil {
		return err
	}
	if err := s.loseOne(ctx, p); err != nil {
		return err
	}
	if err := s.pullSome(ctx); err != nil {
		return err
	}
	return s.deleteSome(ctx)
}

// ago returns a time a number of hours ago.
func ago(hours int) time.Time { return time.Now().Add(-time.Duration(hours) * time.Hour) }

// pushShop pushes acme/shop/web with 14 versions of two platforms, with signatures and a bill of
// materials. Each version is pushed on another day, as far as the usage shows. The tag stable stays
// behind, and edge moves with each build.
func (s *Site) pushShop(ctx context.Context, p *pusher) {
	const repo = "acme/shop/web"
	for n := range 14 {
		version, size := fmt.Sprintf("v1.%d.0", n), 4_200_000+n*90_000
		var of []ocispec.Descriptor
		for _, arch := range []string{"amd64", "arm64"} {
			of = append(of, p.push(repo, service("shop", version, arch, size, ago(24*7*(14-n)), uint64(n+1))))
		}
		tags := []string{version}
		if n == 13 {
			tags = append(tags, "v1", "latest")
		}
		if n == 9 || n == 11 {
			tags = append(tags, "stable")
		}
		index := p.index(repo, labels("shop", version), of, tags...)
		if p.err == nil {
			p.err = s.countDay(ctx, historyDays*(13-n)/13)
		}
		if n < 10 {
			continue
		}
		p.referrer(repo, typeSignature, index, `{"mediaType":"`+typeSignature+`"}`,
			map[string]string{"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"})
		p.referrer(repo, typeSBOM, index, `{"spdxVersion":"SPDX-2.3"}`, nil)
		p.referrer(repo, typeProvenance, of[0], `{"_type":"https://in-toto.io/Statement/v1"}`, nil)
	}
	for n := range 6 {
		p.push(repo, service("shop", fmt.Sprintf("build-%d", n), "amd64", 5_000_000+n*7000, ago(n), uint64(n+50)),
			fmt.Sprintf("build-%d", 4711+n), "edge")
	}
	p.push(repo, service("shop", "lost", "amd64", 5_100_000, ago(90), 99)) // untagged
}

// pushOthers pushes the other repositories of acme, and a private one of ann.
func (s *Site) pushOthers(p *pusher) {
	for i, name := range []string{"acme/shop/worker", "acme/base/go", "acme/tools/migrate", "playground/hello"} {
		for n := range 3 {
			p.push(name, service("worker", fmt.Sprint(n), "amd64", 1_500_000+i*300_000, ago(30*n), uint64(i*10+n)),
				fmt.Sprintf("%d.%d.0", i+1, n))
		}
	}
	p.push("ann/notes", service("notes", "1", "amd64", 300_000, ago(1000), 5), "latest")
	p.artifact("acme/charts/shop", typeHelmConfig,
		`{"name":"shop","version":"2.0.1","appVersion":"1.13.0","apiVersion":"v2","description":"The shop, for Kubernetes",`+
			`"keywords":["shop"],"home":"https://shop.acme.example","maintainers":[{"name":"Ann Archer"}]}`,
		typeHelmChart, string(registrytest.RandomBytes(501, 18_300)), map[string]string{ocispec.AnnotationTitle: "shop",
			ocispec.AnnotationVersion: "2.0.1"},
		"2.0.1")
	p.artifact("acme/models/prices", ocispec.MediaTypeEmptyJSON, "{}", "application/vnd.acme.model.v1",
		string(registrytest.RandomBytes(502, 7_400_000)),
		map[string]string{ocispec.AnnotationTitle: "prices.bin"}, "2026-11")
}

// readme is the description of a repository.
const readme = `The web front end of the shop.

## How to run it

` + "```sh\ndocker run -p 8080:8080 acme/shop/web:latest\n```" + `

| Variable | Meaning | Default |
|---|---|---|
| ` + "`TZ`" + ` | the time zone | UTC |
| ` + "`SHOP_DB`" + ` | the database | none |

Questions: [the platform team](https://wiki.acme.example/platform).
`

// describe sets descriptions and visibilities.
func (s *Site) describe(ctx context.Context) error {
	for name, set := range map[string]accounts.Repository{
		"acme/shop/web":    {Description: readme, Visibility: accounts.Public},
		"acme/shop/worker": {Description: "Background jobs of the shop."},
		"acme/base/go":     {Description: "Go and its tools on Debian.", Visibility: accounts.Public},
	} {
		_, err := s.People.UpdateRepository(ctx, accounts.Actor{Name: Ann}, name, func(r *accounts.Repository) error {
			r.Description, r.Visibility = set.Description, set.Visibility
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pullSome pulls some images, also from the mirror.
func (s *Site) pullSome(ctx context.Context) error {
	ctx = withPull(ctx)
	b := s.as(ctx, Bob)
	if b.err != nil {
		return b.err
	}
	for _, pulled := range []struct{ repo, tag string }{
		{"acme/shop/web", "latest"}, {"acme/shop/web", "v1.13.0"}, {"acme/shop/web", "v1.12.0"},
		{"acme/shop/worker", "1.2.0"},
		{"docker.io/library/debian", "latest"}, {"docker.io/library/nginx", "13"}, {"docker.io/library/debian", "latest"},
	} {
		if err := pullImage(ctx, b.to, pulled.repo, reference.Ref{Tag: pulled.tag}); err != nil {
			return err
		}
	}
	_, err := b.to.GetManifest(ctx, "quay.example/any/app", reference.Ref{Tag: "latest"})
	if err == nil {
		return fmt.Errorf("quay.example responds")
	}
	return nil
}

// deleteSome deletes tags and a repository, for the bin, and is refused once.
func (s *Site) deleteSome(ctx context.Context) error {
	p := s.as(ctx, Ann)
	p.push("acme/old/site", service("site", "1", "amd64", 800_000, ago(3000), 31), "1.0", "1.1")
	if p.err != nil {
		return p.err
	}
	if err := p.to.DeleteRepository(ctx, "acme/old/site", nil); err != nil {
		return err
	}
	if err := p.to.DeleteManifest(ctx, "acme/shop/web", reference.Ref{Tag: "build-4711"}, nil); err != nil {
		return err
	}
	if err := p.to.DeleteManifest(ctx, "acme/tools/migrate", reference.Ref{Tag: "3.0.0"}, nil); err != nil {
		return err
	}
	if err := s.as(ctx, Bob).to.DeleteManifest(ctx, "acme/shop/worker", reference.Ref{Tag: "1.2.0"}, nil); err == nil {
		return fmt.Errorf("bob may delete")
	}
	return nil
}

// firstError returns the first error that is not nil.
func firstError(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}
