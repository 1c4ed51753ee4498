package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/notification/filter"
	"github.com/registrykit/registry/notification/format"
	"github.com/registrykit/registry/notification/webhook"
)

// The names of the fields.
const (
	fieldName          = "name"
	fieldURL           = "url"
	fieldFormat        = "format"
	fieldActions       = "actions"
	fieldKinds         = "kinds"
	fieldRepositories  = "repositories"
	fieldTags          = "tags"
	fieldMediaTypes    = "media-types"
	fieldArtifactTypes = "artifact-types"
	fieldActors        = "actors"
	fieldNoSignatures  = "no-signatures"
	fieldNoBlobs       = "no-blobs"
	fieldSamplePulls   = "sample-pulls"
	fieldSecretFile    = "secret-file"
	fieldAuthorization = "authorization-file"
	fieldTimeout       = "timeout"
	fieldMaxEvents     = "max-events"
	fieldAllow         = "allow"
)

// lists are the fields that may have several values.
var lists = []string{fieldActions, fieldKinds, fieldRepositories, fieldTags, fieldMediaTypes, fieldArtifactTypes,
	fieldActors, fieldAllow}

// parameters are the fields that a URL may have.
var parameters = append([]string{fieldName, fieldFormat, fieldNoSignatures, fieldNoBlobs, fieldSamplePulls,
	fieldSecretFile, fieldAuthorization, fieldTimeout, fieldMaxEvents}, lists...)

// fieldError is a mistake in a field.
type fieldError struct {
	field string
	index int // in a list, or -1
	err   error
}

func (e *fieldError) Error() string { return e.field + ": " + e.err.Error() }

func (e *fieldError) Unwrap() error { return e.err }

// set sets a field. Only lists have several values.
func (p *parsed) set(field string, values []string) error {
	if slices.Contains(lists, field) {
		return p.setList(field, values)
	}
	var err error
	value := values[0]
	switch field {
	case fieldName:
		p.Name, err = value, checkName(value)
	case fieldURL:
		p.URL = auth.Secret(value)
	case fieldFormat:
		p.Format = value
	case fieldNoSignatures:
		p.Filter.NoSignatures, err = boolean(value)
	case fieldNoBlobs:
		p.Filter.NoBlobs, err = boolean(value)
	case fieldSamplePulls:
		p.Filter.SamplePulls, err = positive(value)
	case fieldSecretFile:
		p.secretFile, err = value, absolute(value)
	case fieldAuthorization:
		if err = absolute(value); err == nil {
			p.Options.Authorization, err = readAuthorization(value)
		}
	case fieldTimeout:
		if p.Options.Timeout, err = time.ParseDuration(value); err != nil || p.Options.Timeout <= 0 {
			err = errors.New("this must be a time above zero, such as 30s")
		}
	case fieldMaxEvents:
		p.Options.MaxEvents, err = positive(value)
	default:
		err = errors.New("this field is not known")
	}
	if err != nil {
		return &fieldError{field, -1, err}
	}
	return nil
}

func (p *parsed) setList(field string, values []string) error {
	switch field {
	case fieldActions:
		p.Filter.Actions = convert[notification.Action](values)
		if len(values) == 1 && values[0] == "all" {
			p.Filter.Actions = nil
		}
	case fieldKinds:
		p.Filter.Kinds = convert[notification.Kind](values)
	case fieldRepositories:
		p.Filter.Repositories = values
	case fieldTags:
		p.Filter.Tags = values
	case fieldMediaTypes:
		p.Filter.MediaTypes = values
	case fieldArtifactTypes:
		p.Filter.ArtifactTypes = values
	case fieldActors:
		p.Filter.Actors = values
	case fieldAllow:
		for i, v := range values {
			prefix, err := parsePrefix(v)
			if err != nil {
				return &fieldError{field, i, err}
			}
			p.Options.AllowPrefixes = append(p.Options.AllowPrefixes, prefix)
		}
	}
	return nil
}

// filterFields are the fields of filter.Options by the name in its errors.
var filterFields = map[string]string{
	"Actions": fieldActions, "Kinds": fieldKinds, "Repositories": fieldRepositories, "Tags": fieldTags,
	"MediaTypes": fieldMediaTypes, "ArtifactTypes": fieldArtifactTypes, "Actors": fieldActors,
	"SamplePulls": fieldSamplePulls,
}

// finish checks the whole and fills in what depends on it.
func (p *parsed) finish() (Webhook, error) {
	if p.URL == "" {
		return Webhook{}, &fieldError{fieldURL, -1, errors.New("a webhook without a URL")}
	}
	f, err := format.Named(p.Format, &format.Options{ExternalURL: p.opts.ExternalURL})
	if err != nil {
		return Webhook{}, &fieldError{fieldFormat, -1, err}
	}
	p.Options.Format = f
	file := p.secretFile
	if file == "" {
		file = p.opts.SecretFile
	}
	if file != "" {
		if p.Options.Secrets, err = readSecrets(file); err != nil {
			return Webhook{}, &fieldError{fieldSecretFile, -1, err}
		}
	}
	if _, err := webhook.New(p.URL.Value(), nil); err != nil {
		return Webhook{}, &fieldError{fieldURL, -1, err}
	}
	sink, err := webhook.New(p.URL.Value(), &p.Options)
	if err != nil { // the other options have been checked
		return Webhook{}, &fieldError{fieldAuthorization, -1, err}
	}
	if _, err = filter.New(sink, &p.Filter); err != nil {
		var mistake *filter.FieldError
		if errors.As(err, &mistake) {
			return Webhook{}, &fieldError{filterFields[mistake.Field], mistake.Index, mistake.Err}
		}
		return Webhook{}, err
	}
	if p.Name == "" {
		p.Name = defaultName(p.URL.Value())
	}
	return p.Webhook, nil
}

func convert[T ~string](values []string) []T {
	out := make([]T, len(values))
	for i, v := range values {
		out[i] = T(v)
	}
	return out
}

func boolean(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("this must be true or false")
}

func positive(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n <= 0 || strings.HasPrefix(text, "+") {
		return 0, errors.New("this must be a number above zero")
	}
	return n, nil
}

func absolute(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("the path of the file must be absolute")
	}
	return nil
}

// parsePrefix reads an address or a range of addresses.
func parsePrefix(text string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Zone() == "" {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%.64q is neither an address nor a range such as 10.1.0.0/16", text)
	case prefix != prefix.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is not the first address of a range; that is %q", text, prefix.Masked())
	}
	return prefix, nil
}
