package config

import (
	"errors"

	"github.com/registrykit/registry/client/login"
)

// credentials are where the credentials of an upstream come from.
type credentials struct {
	usernameFile, passwordFile string
	dockerConfig               string
}

// credentialKeys are the keys of an upstream about logins.
var credentialKeys = []key[upstream]{
	{"usernameFile", func(u *upstream, v *value) (err error) { u.credentials.usernameFile, err = v.path(); return err }},
	{"passwordFile", func(u *upstream, v *value) (err error) { u.credentials.passwordFile, err = v.path(); return err }},
	{"dockerConfig", func(u *upstream, v *value) (err error) { u.credentials.dockerConfig, err = v.path(); return err }},
	{"realms", func(u *upstream, v *value) (err error) { u.Realms, err = each(v, (*value).realm); return err }},
	{"passThrough", func(u *upstream, v *value) (err error) { u.PassThrough, err = v.boolean(); return err }},
	{"proof", func(u *upstream, v *value) (err error) { u.Proof, err = v.above(); return err }},
}

// given reports whether the file names credentials.
func (c *credentials) given() bool { return *c != credentials{} }

// source returns the source of the credentials, or nil for an anonymous mirror.
func (c *credentials) source() (login.Source, error) {
	switch {
	case !c.given():
		return nil, nil
	case (c.usernameFile == "") != (c.passwordFile == ""):
		return nil, errors.New("usernameFile and passwordFile need each other")
	case c.dockerConfig == "":
		return login.Files(c.usernameFile, c.passwordFile), nil
	case c.usernameFile != "":
		return nil, errors.New("dockerConfig excludes usernameFile and passwordFile")
	}
	return login.DockerConfig(c.dockerConfig), nil
}
