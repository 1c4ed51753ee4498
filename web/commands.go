package web

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
)

// tool is a program with which people use an image or artifact.
type tool string

// The tools, by their titles.
const (
	docker       tool = "docker"
	dockerPlugin tool = "docker plugin"
	podman       tool = "podman"
	crane        tool = "crane"
	skopeo       tool = "skopeo"
	containerd   tool = "containerd"
	dockerfile   tool = "Dockerfile"
	kubernetes   tool = "Kubernetes"
	helm         tool = "Helm"
	oras         tool = "ORAS"
	conftest     tool = "conftest"
	flux         tool = "Flux"
)

// commands are the commands for an image or artifact.
type commands struct {
	// First is the usual command, by tag if there is one.
	First string
	// Tools are all commands.
	Tools []toolCommands
}

// toolCommands are the commands of one tool.
type toolCommands struct {
	Tool tool
	// Tag and Digest are the commands by tag and by digest. Each may be "".
	Tag, Digest string
}

// subject is what commands are about.
type subject struct {
	// Repo is the name with the host, such as "images.example.com/acme/app".
	Repo string
	// Tag and Digest are a tag and the digest. One of them may be "".
	Tag, Digest string
	// Platform is the platform of an index, such as "linux/arm64", or "".
	Platform string
}

// safe matches what may stand in a command without quotes: the characters of hosts, names, tags and digests.
var safe = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._:/@+\-]*$`)

// safeHost matches the host of a registry, which may be an IPv6 address.
var safeHost = regexp.MustCompile(`^([a-zA-Z0-9][a-zA-Z0-9.\-]*|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?$`)

// placeholder is the host in commands if that of the request is none.
const placeholder = "registry.example.com"

// commands returns the commands for a manifest. tag, digest and platform may be "". A name that is not made of the
// characters of names gets into no command.
func (q *request) commands(repo, tag, digest, platform string, k kind) commands {
	host := q.registryHost()
	if !safeHost.MatchString(host) {
		host = placeholder
	}
	s := subject{Repo: host + "/" + repo, Tag: tag, Digest: digest, Platform: platform}
	if !safe.MatchString(repo) || tag != "" && !safe.MatchString(tag) || digest != "" && !safe.MatchString(digest) {
		return commands{}
	}
	if !safe.MatchString(platform) {
		s.Platform = ""
	}
	var c commands
	for _, t := range k.Tools {
		line := toolCommands{Tool: t}
		if tag != "" {
			line.Tag = t.command(&s, s.Repo+":"+tag, tag)
		}
		if digest != "" {
			line.Digest = t.command(&s, s.Repo+"@"+digest, "")
		}
		if line.Tag == "" && line.Digest == "" {
			continue
		}
		c.Tools = append(c.Tools, line)
		if c.First == "" {
			c.First = line.Tag
		}
		if c.First == "" {
			c.First = line.Digest
		}
	}
	return c
}

// command returns the command of a tool for a reference, or "" if the tool has none. tag is "" for a digest.
func (t tool) command(s *subject, ref, tag string) string {
	base := path.Base(s.Repo)
	platform := ""
	if s.Platform != "" {
		platform = " --platform " + s.Platform
	}
	switch t {
	case docker:
		return "docker pull" + platform + " " + ref
	case dockerPlugin:
		return "docker plugin install " + ref
	case podman:
		return "podman pull" + platform + " " + ref
	case crane:
		return "crane pull" + platform + " " + ref + " " + base + ".tar"
	case skopeo:
		return "skopeo copy docker://" + ref + " dir:" + base
	case containerd:
		return "ctr images pull" + platform + " " + ref
	case dockerfile:
		return "FROM " + ref
	case kubernetes:
		return fmt.Sprintf("containers:\n- name: %s\n  image: %s", containerName(base), ref)
	case helm:
		if tag == "" {
			return "" // not each version of Helm takes a digest
		}
		// Helm writes the "+" of a version as "_" in a tag.
		return "helm pull oci://" + s.Repo + " --version " + strings.ReplaceAll(tag, "_", "+")
	case oras:
		return "oras pull" + platform + " " + ref
	case conftest:
		return "conftest pull oci://" + ref
	case flux:
		return "flux pull artifact oci://" + ref + " --output ."
	}
	return ""
}

// containerName returns the name of a container that is made of the last component of a repository: letters, digits and
// hyphens.
func containerName(base string) string {
	name := strings.Trim(strings.NewReplacer(".", "-", "_", "-").Replace(base), "-")
	return name[:min(len(name), 63)]
}

// attached returns the commands that show and check what signs or describes an image, by its digest. keys are the keys
// of the kinds that refer to it.
func (q *request) attached(repo, digest string, keys map[string]bool) (list []string) {
	host := q.registryHost()
	if !safeHost.MatchString(host) {
		host = placeholder
	}
	ref := host + "/" + repo + "@" + digest
	if !safe.MatchString(repo + "@" + digest) {
		return nil
	}
	if keys[kindSignature.Key] {
		list = append(list, "cosign verify --key cosign.pub "+ref)
	}
	if keys[kindAttestation.Key] {
		list = append(list, "cosign verify-attestation --key cosign.pub "+ref)
	}
	if len(keys) > 0 {
		list = append(list, "oras discover "+ref)
	}
	return list
}

// pushCommands returns the commands that push the first image of a repository.
func (q *request) pushCommands(repo string) []string {
	host := q.registryHost()
	target := host + "/" + repo + ":latest"
	return []string{"docker login " + host, "docker tag IMAGE " + target, "docker push " + target}
}

// firstPush returns the commands that push an image into the namespace of the sender. Where everybody may push, nobody
// logs in.
func (q *request) firstPush() []string {
	if !q.signedIn() && q.mayRepository("app", auth.Push) {
		return q.pushCommands("app")[1:]
	}
	name := q.visitor.Identity().Name
	if registry.CheckName(name) != nil || strings.Contains(name, "/") {
		name = "NAME"
	}
	return q.pushCommands(name + "/app")
}
