package signin

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/registrykit/registry/api/types"
)

const (
	deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"
	// defaultInterval is the time between two polls if the provider states none (RFC 8628, section
	// 3.2).
	defaultInterval = 5
	// maxDeviceLife is the maximum life of a handle, in case that the provider states none or a long
	// one.
	maxDeviceLife = 30 * time.Minute
)

// device is a sign-in on a command line. It is sealed in a handle.
type device struct {
	Provider string `json:"p"`
	Code     string `json:"c"`
	Interval int    `json:"i"` // in seconds
	Expires  int64  `json:"e"` // seconds since 1970
}

// deviceStart begins a sign-in on a command line.
func (h *Handler) deviceStart(w http.ResponseWriter, r *http.Request, p *provider) error {
	r.Header.Set("Accept", jsonType) // it never answers a browser
	if _, err := h.limited(r, h.devices); err != nil {
		return err
	}
	d, err := p.document(r.Context())
	if err != nil {
		return err
	}
	if d.endpoint.DeviceAuthURL == "" {
		return errNoDevice
	}
	// Package oauth2 sends the ID of the client, but not its secret.
	var params []oauth2.AuthCodeOption
	if p.ClientSecret != "" {
		params = append(params, oauth2.SetAuthURLParam("client_secret", p.ClientSecret.Value()))
	}
	begun, err := p.config(d).DeviceAuth(p.context(r.Context()), params...)
	if err != nil {
		var refused *oauth2.RetrieveError
		if errors.As(err, &refused) {
			return tokenError(err)
		}
		return unreachable(err)
	}
	expires := h.now().Add(maxDeviceLife)
	if !begun.Expiry.IsZero() && begun.Expiry.Before(expires) {
		expires = begun.Expiry
	}
	interval := int(begun.Interval)
	if interval < 1 || interval > 60 {
		interval = defaultInterval
	}
	handle, err := h.seal.seal(forDevice, device{p.Name, begun.DeviceCode, interval, expires.Unix()})
	if err != nil {
		return err
	}
	return sendJSON(w, types.DeviceStart{
		UserCode: begun.UserCode, VerificationURI: begun.VerificationURI,
		VerificationURIComplete: begun.VerificationURIComplete, Interval: interval, Expires: expires.UTC(), Handle: handle,
	})
}

// devicePoll asks the provider whether the user has confirmed a sign-in. If so, it begins a
// session.
func (h *Handler) devicePoll(w http.ResponseWriter, r *http.Request, p *provider) error {
	r.Header.Set("Accept", jsonType)
	var given types.DevicePoll
	if !isType(r, jsonType) {
		return errInvalid.WithMessage("the Content-Type must be " + jsonType)
	}
	if err := decodeJSON(w, r, &given); err != nil {
		return err
	}
	var v device
	if err := h.seal.open(forDevice, given.Handle, &v); err != nil || v.Provider != p.Name {
		return errInvalid.WithMessage("the handle is malformed").WithCause(err)
	}
	if h.now().Unix() >= v.Expires {
		return errExpired
	}
	if h.early(given.Handle, v.Interval) {
		return errSlowDown
	}
	d, err := p.document(r.Context())
	if err != nil {
		return err
	}
	token, err := p.config(d).Exchange(p.context(r.Context()), "",
		oauth2.SetAuthURLParam("grant_type", deviceGrant), oauth2.SetAuthURLParam("device_code", v.Code))
	if err != nil {
		return tokenError(err)
	}
	found, err := p.identify(r.Context(), d, token, "")
	if err == nil {
		err = found.permitted()
	}
	if err != nil {
		h.audit(r, nil, err)
		return err
	}
	account, login, err := h.enter(r, found)
	if err != nil {
		h.audit(r, account, err)
		return err
	}
	return h.signIn(w, r, account, login, target{commandLine: true})
}

// early reports whether this process was polled with a handle within the interval, so that a client
// cannot make it send many requests to the provider. A poll may come a second early.
func (h *Handler) early(handle string, interval int) bool {
	key, now := sha256.Sum256([]byte(handle)), h.now()
	last, ok := h.polls.Get(key)
	if ok && now.Sub(last) < time.Duration(interval-1)*time.Second {
		return true
	}
	h.polls.Add(key, now, 1)
	return false
}
