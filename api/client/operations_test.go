package client_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/api/client"
	"github.com/registrykit/registry/api/types"
	"github.com/registrykit/registry/auth"
	"github.com/registrykit/registry/auth/accounts"
)

// TestOperations uses every method of the client on a hub with all parts. Each operation of the description is used.
func TestOperations(t *testing.T) {
	h := newHub(t)
	ann := h.as(t, "ann")
	for _, step := range []func(*testing.T, *hub, *client.Client){
		caller, users, links, organisations, teams, robots, tokens, sessions, repositories, tags, webhooks, retention, usage,
		jobs, mirror, losses, audit, removals,
	} {
		step(t, h, ann)
	}
	require.Empty(t, h.unused(), "operations without a method of the client")
}

func caller(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	parts, err := ann.Parts(ctx)
	require.NoError(t, err)
	require.Contains(t, parts, "audit")
	rules, err := ann.PasswordRules(ctx)
	require.NoError(t, err)
	require.Equal(t, accounts.DefaultMinPassword, rules.MinLength)
	state, err := ann.SetupState(ctx)
	require.NoError(t, err)
	require.False(t, state.Open)
	_, err = ann.Description(ctx)
	require.NoError(t, err)
	who, err := ann.Caller(ctx)
	require.NoError(t, err)
	require.Equal(t, "ann", who.Name)
	require.True(t, who.Admin)
	cleo, err := h.client(t, nil).SignUp(ctx, types.SignUp{Name: "cleo", Password: password, FullName: "Cleo"})
	require.NoError(t, err)
	require.Equal(t, "Cleo", cleo.FullName)
	require.NoError(t, h.as(t, "cleo").ChangePassword(ctx, password, "another password of cleo"))
	_, err = h.as(t, "cleo").Caller(ctx)
	require.ErrorIs(t, err, client.ErrUnauthorized)
}

func users(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	made, version, err := ann.CreateUser(ctx, types.NewUser{Name: "bob", Password: password},
		&client.ChangeOptions{Reason: "new"})
	require.NoError(t, err)
	email := "bob@example.com"
	bob, next, err := ann.UpdateUser(ctx, "bob", version, types.ProfileChange{Email: &email}, nil)
	require.NoError(t, err)
	require.Equal(t, email, bob.Email)
	_, _, err = ann.UpdateUser(ctx, "bob", version, types.ProfileChange{Email: &email}, nil)
	require.ErrorIs(t, err, client.ErrChanged)
	_, next, err = ann.RenameUser(ctx, "bob", next, "robert", nil)
	require.NoError(t, err)
	_, _, err = ann.RenameUser(ctx, "robert", next, "bob", nil)
	require.NoError(t, err)
	bob, _, err = ann.ReleaseUserName(ctx, "bob", "", "robert", nil)
	require.NoError(t, err)
	require.Empty(t, bob.FormerNames)
	bob, _, err = ann.DisableUser(ctx, "bob", "", &client.ChangeOptions{Reason: "holidays"})
	require.NoError(t, err)
	require.Equal(t, "holidays", bob.Disabled.Reason)
	disabled := true
	require.Len(t, all(t, ann.Users(ctx, &client.UsersOptions{Disabled: &disabled})), 1)
	_, _, err = ann.EnableUser(ctx, "bob", "", nil)
	require.NoError(t, err)
	require.Len(t, all(t, ann.Users(ctx, nil)), 3, "two pages")
	require.Len(t, all(t, ann.Users(ctx, &client.UsersOptions{Query: "bo"})), 1)
	require.NoError(t, ann.RemovePassword(ctx, "bob", client.AnyVersion, nil))
	require.NoError(t, ann.SetPassword(ctx, "bob", client.AnyVersion, password, nil))
	bob, _, err = ann.User(ctx, "bob")
	require.NoError(t, err)
	require.Equal(t, made.ID, bob.ID)
	require.NoError(t, ann.AddAdmin(ctx, "bob", nil))
	admins, err := ann.Admins(ctx)
	require.NoError(t, err)
	require.Len(t, admins, 2)
	require.NoError(t, ann.RemoveAdmin(ctx, "bob", nil))
	err = ann.RemoveAdmin(ctx, "ann", nil)
	require.ErrorIs(t, err, client.ErrConflict)
	var e *client.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "LAST", e.Code)
}

func links(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	people, err := accounts.New(h.driver, nil)
	require.NoError(t, err)
	bob, err := people.Lookup(ctx, "bob")
	require.NoError(t, err)
	person := accounts.Person{Issuer: "https://id.example", Subject: "1"}
	require.NoError(t, people.Link(ctx, accounts.Actor{}, person, bob.ID))
	list, err := ann.Links(ctx, "bob")
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, person, accounts.Person{Issuer: list[0].Issuer, Subject: list[0].Subject})
	require.NoError(t, ann.Unlink(ctx, "bob", list[0].ID, &client.ChangeOptions{Reason: "break-in"}))
	require.ErrorIs(t, ann.Unlink(ctx, "bob", list[0].ID, nil), client.ErrNotFound)
	list, err = ann.Links(ctx, "bob")
	require.NoError(t, err)
	require.Empty(t, list)
}

func organisations(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	_, version, err := ann.CreateOrganisation(ctx, types.NewOrganisation{Name: "acme"},
		&client.ChangeOptions{Force: true}) // repositories of that name exist
	require.NoError(t, err)
	name := "Acme, Inc."
	acme, version, err := ann.UpdateOrganisation(ctx, "acme", version, types.ProfileChange{FullName: &name}, nil)
	require.NoError(t, err)
	require.Equal(t, name, acme.FullName)
	_, _, err = ann.CreateOrganisation(ctx, types.NewOrganisation{Name: "firm"}, nil)
	require.NoError(t, err)
	_, _, err = ann.RenameOrganisation(ctx, "firm", "", "company", nil)
	require.NoError(t, err)
	_, _, err = ann.ReleaseOrganisationName(ctx, "company", "", "firm", nil)
	require.NoError(t, err)
	_, _, err = ann.DisableOrganisation(ctx, "company", "", nil)
	require.NoError(t, err)
	_, _, err = ann.EnableOrganisation(ctx, "company", "", nil)
	require.NoError(t, err)
	require.NoError(t, ann.DeleteOrganisation(ctx, "company", client.AnyVersion, client.DeleteRepositories, nil))
	require.Len(t, all(t, ann.Organisations(ctx)), 1)
	require.NoError(t, ann.AddMember(ctx, "acme", "bob", nil))
	require.NoError(t, ann.AddOwner(ctx, "acme", "bob", nil))
	owners, err := ann.Owners(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, []string{"ann", "bob"}, owners)
	require.NoError(t, ann.RemoveOwner(ctx, "acme", "bob", nil))
	require.NoError(t, ann.AddMember(ctx, "acme", "cleo", nil))
	require.Len(t, all(t, ann.Members(ctx, "acme")), 3)
	require.NoError(t, ann.RemoveMember(ctx, "acme", "cleo", nil))
	member, err := ann.Member(ctx, "acme", "bob")
	require.NoError(t, err)
	require.Equal(t, "bob", member.User)
	_, err = ann.Member(ctx, "acme", "cleo")
	require.ErrorIs(t, err, client.ErrNotFound)
	acme, again, err := ann.Organisation(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, name, acme.FullName)
	require.NotEmpty(t, again)
	require.NotEmpty(t, version)
}

func teams(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	_, _, err := ann.CreateTeam(ctx, "acme",
		types.NewTeam{Name: "dev", Grants: []types.Grant{{Repositories: "**", Role: "read"}}}, nil)
	require.NoError(t, err)
	team, version, err := ann.Team(ctx, "acme", "dev")
	require.NoError(t, err)
	require.Len(t, team.Grants, 1)
	team, _, err = ann.UpdateTeam(ctx, "acme", "dev", version, types.TeamChange{Grants: &[]types.Grant{}}, nil)
	require.NoError(t, err)
	require.Empty(t, team.Grants)
	require.NoError(t, ann.JoinTeam(ctx, "acme", "dev", "bob", nil))
	require.Len(t, all(t, ann.TeamMembers(ctx, "acme", "dev")), 1)
	memberships := all(t, ann.Memberships(ctx, "bob"))
	require.Equal(t, []string{"dev"}, memberships[0].Teams)
	require.NoError(t, ann.LeaveTeam(ctx, "acme", "dev", "bob", nil))
	require.Len(t, all(t, ann.Teams(ctx, "acme")), 1)
	require.NoError(t, ann.DeleteTeam(ctx, "acme", "dev", client.AnyVersion, nil))
}

func robots(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	_, _, err := ann.CreateRobot(ctx, "acme", types.NewRobot{Name: "ci"}, nil)
	require.NoError(t, err)
	robot, version, err := ann.Robot(ctx, "acme", "ci")
	require.NoError(t, err)
	require.Equal(t, "acme+ci", robot.Name)
	robot, _, err = ann.UpdateRobot(ctx, "acme", "ci", version,
		types.RobotChange{Grants: &[]types.Grant{{Repositories: "app", Role: "write"}}}, nil)
	require.NoError(t, err)
	require.Len(t, robot.Grants, 1)
	_, _, err = ann.DisableRobot(ctx, "acme", "ci", "", nil)
	require.NoError(t, err)
	robot, _, err = ann.EnableRobot(ctx, "acme", "ci", "", nil)
	require.NoError(t, err)
	require.Nil(t, robot.Disabled)
	require.Len(t, all(t, ann.Robots(ctx, "acme")), 1)
}

func tokens(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	made, err := ann.CreateToken(ctx, "acme+ci", types.NewToken{Name: "build", Expires: time.Now().Add(time.Hour)}, nil)
	require.NoError(t, err)
	robot := h.client(t, &client.Options{Name: "acme+ci", Secret: auth.Secret(made.Value)})
	who, err := robot.Caller(ctx)
	require.NoError(t, err)
	require.Equal(t, "robot", who.Kind)
	_, err = robot.Tokens(ctx, "acme+ci")
	require.ErrorIs(t, err, client.ErrDenied)
	token, version, err := ann.Token(ctx, "acme+ci", made.Token.ID)
	require.NoError(t, err)
	require.Equal(t, "build", token.Name)
	rotated, err := ann.RotateToken(ctx, "acme+ci", token.ID, version, time.Minute, nil)
	require.NoError(t, err)
	require.NotEqual(t, made.Value, rotated.Value)
	tokens, err := ann.Tokens(ctx, "acme+ci")
	require.NoError(t, err)
	require.Len(t, tokens, 2)
	require.NoError(t, ann.RevokeToken(ctx, "acme+ci", rotated.Token.ID, client.AnyVersion, nil))
}

// sessions signs bob in twice on a command line.
func sessions(t *testing.T, h *hub, _ *client.Client) {
	ctx := t.Context()
	in, err := client.NewSignIn(h.url+"/signin", nil)
	require.NoError(t, err)
	methods, err := in.Methods(ctx)
	require.NoError(t, err)
	require.True(t, methods.Password)
	_, err = in.Password(ctx, "bob", "wrong")
	require.ErrorIs(t, err, client.ErrDenied)
	_, err = in.Device(ctx, "none")
	require.ErrorIs(t, err, client.ErrNotFound)
	var of []*client.Client
	for range 3 {
		made, err := in.Password(ctx, "bob", password)
		require.NoError(t, err)
		require.Equal(t, "bob", made.Name)
		of = append(of, h.client(t, &client.Options{Session: auth.Secret(made.Session)}))
	}
	bob := of[0]
	var other string
	for _, s := range all(t, bob.Sessions(ctx)) {
		if !s.Current {
			other = s.ID
		}
	}
	_, version, err := bob.Session(ctx, other)
	require.NoError(t, err)
	require.NoError(t, bob.EndSession(ctx, other, version))
	_, _, err = bob.Session(ctx, other)
	require.ErrorIs(t, err, client.ErrNotFound)
	require.NoError(t, bob.EndOtherSessions(ctx))
	require.Len(t, all(t, bob.Sessions(ctx)), 1)
}

func repositories(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	require.Len(t, all(t, ann.Repositories(ctx, &client.RepositoriesOptions{Namespace: "acme", Query: "a"})), 2)
	_, version, err := ann.Repository(ctx, "acme/app")
	require.NoError(t, err)
	public, text := "public", "An app."
	repo, _, err := ann.UpdateRepository(ctx, "acme/app", version,
		types.RepositoryChange{Visibility: &public, Description: &text})
	require.NoError(t, err)
	require.Equal(t, text, repo.Description)
	require.Eventually(t, func() bool {
		found, err := ann.Search(ctx, "app", &client.SearchOptions{Kind: "repository", Limit: 5})
		return err == nil && len(found.Items) > 0
	}, 30*time.Second, 50*time.Millisecond)
	namespaces, err := ann.Namespaces(ctx, "", nil)
	require.NoError(t, err)
	require.NotEmpty(t, namespaces.Items)
	shared, err := ann.SharedLayers(ctx, "acme/app", "v1", 5)
	require.NoError(t, err)
	require.False(t, shared.Built.IsZero())
	rules, err := ann.Rules(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, rules.Items)
	answer, err := ann.Explain(ctx, types.ExplainRequest{Account: "bob",
		Accesses: []types.Access{{Type: "repository", Name: "acme/app", Action: "delete"}}})
	require.NoError(t, err)
	require.False(t, answer.Allowed)
	digest := h.image.Descriptor.Digest.String()
	image, _, err := ann.Image(ctx, "acme/app", "v1")
	require.NoError(t, err)
	require.Equal(t, digest, image.Digest)
	content, err := ann.Manifest(ctx, "acme/app", digest)
	require.NoError(t, err)
	require.JSONEq(t, string(h.image.Manifest), string(content))
	require.Empty(t, all(t, ann.Referrers(ctx, "acme/app", "v1", "")))
	require.Empty(t, all(t, ann.ReferrersWithSizes(ctx, "acme/app", "v1", "")))
}

func tags(t *testing.T, h *hub, ann *client.Client) {
	ctx, digest := t.Context(), h.image.Descriptor.Digest.String()
	require.Eventually(t, func() bool { // its first run removes build-1
		job, err := ann.Job(ctx, "retain")
		return err == nil && !job.Ended.IsZero()
	}, 30*time.Second, 50*time.Millisecond)
	_, version, err := ann.SetTag(ctx, "acme/app", "new", "", digest)
	require.NoError(t, err)
	_, _, err = ann.SetTag(ctx, "acme/app", "new", "", digest)
	require.ErrorIs(t, err, client.ErrChanged, "the tag exists")
	_, _, err = ann.SetTag(ctx, "acme/app", "new", version, digest)
	require.NoError(t, err)
	tag, _, err := ann.Tag(ctx, "acme/app", "new")
	require.NoError(t, err)
	require.Equal(t, digest, tag.Digest)
	require.Len(t, all(t, ann.Tags(ctx, "acme/app", nil)), 3, "two pages")
	require.Len(t, all(t, ann.Tags(ctx, "acme/app", &client.TagsOptions{Query: "build"})), 1)
	newest := all(t, ann.Tags(ctx, "acme/app", &client.TagsOptions{Digest: digest, Sort: "-set", Details: true}))
	require.Equal(t, "image", newest[0].Details.Kind)
	require.Len(t, all(t, ann.Manifests(ctx, "acme/app", nil)), 1)
	require.Empty(t, all(t, ann.Manifests(ctx, "acme/app", &client.ManifestsOptions{Kind: "untagged"})))
	require.NoError(t, ann.DeleteTag(ctx, "acme/app", "new", version))
	changes := all(t, ann.History(ctx, "acme/app", "new"))
	require.Equal(t, "untag", changes[0].Change)
	gone := all(t, ann.Bin(ctx, &client.BinOptions{Namespace: "acme", Query: "app", Since: time.Now().Add(-time.Hour)}))
	require.Equal(t, "new", gone[0].Tag)
	preview, err := ann.PreviewDeletion(ctx, "acme/app", types.Deletion{Digests: []string{digest}})
	require.NoError(t, err)
	require.NotEmpty(t, preview.Manifests[0].Tags)
	restored, err := ann.Restore(ctx, "acme/app", types.Restore{Tag: "new"})
	require.NoError(t, err)
	require.Equal(t, digest, restored.Manifests[0].Digest)
	err = ann.DeleteImage(ctx, "acme/app", digest, client.AnyVersion, true)
	require.ErrorIs(t, err, client.ErrDenied, "tags lead to it")
}

func webhooks(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	made, err := ann.CreateWebhook(ctx, client.RepositoryScope("acme/app"),
		types.NewWebhook{Name: "ci", URL: receiver.URL})
	require.NoError(t, err)
	id := made.Webhook.ID
	_, version, err := ann.Webhook(ctx, id)
	require.NoError(t, err)
	name := "deploy"
	hook, version, err := ann.UpdateWebhook(ctx, id, version, types.WebhookChange{Name: &name})
	require.NoError(t, err)
	require.Equal(t, name, hook.Name)
	rotated, err := ann.RotateWebhook(ctx, id, types.WebhookRotation{})
	require.NoError(t, err)
	require.NotEqual(t, made.Secret, rotated.Secret)
	tested, err := ann.TestWebhook(ctx, id)
	require.NoError(t, err)
	require.Equal(t, "delivered", tested.State)
	delivery, err := ann.Delivery(ctx, id, tested.ID)
	require.NoError(t, err)
	require.True(t, json.Valid(delivery.Event))
	replayed, err := ann.Replay(ctx, id, tested.ID)
	require.NoError(t, err)
	require.Equal(t, 2, replayed.Attempts)
	require.Len(t, all(t, ann.Deliveries(ctx, id, client.AllDeliveries)), 1)
	require.Empty(t, all(t, ann.Deliveries(ctx, id, client.DeadDeliveries)))
	require.Len(t, all(t, ann.Webhooks(ctx, client.AllScopes)), 1)
	require.Empty(t, all(t, ann.Webhooks(ctx, client.NamespaceScope("acme"))))
	require.Empty(t, all(t, ann.Webhooks(ctx, client.RegistryScope)))
	require.ErrorIs(t, ann.DeleteWebhook(ctx, id, version), client.ErrChanged, "the secret was replaced")
	require.NoError(t, ann.DeleteWebhook(ctx, id, client.AnyVersion))
}

func retention(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	_, _, err := ann.SetTag(ctx, "acme/app", "build-3", "", h.image.Descriptor.Digest.String())
	require.NoError(t, err)
	rules, err := ann.RetentionRules(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"builds"}, rules.Rules)
	body, err := ann.RetentionPlan(ctx)
	require.NoError(t, err)
	plan, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	result, err := ann.ApplyRetention(ctx, bytes.NewReader(plan), true)
	require.NoError(t, err)
	require.True(t, result.DryRun)
	result, err = ann.ApplyRetention(ctx, bytes.NewReader(plan), false)
	require.NoError(t, err)
	require.EqualValues(t, 1, result.Tags)
	result, err = ann.UndoRetention(ctx, bytes.NewReader(plan), false)
	require.NoError(t, err)
	require.EqualValues(t, 1, result.Tags)
}

func usage(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	require.Eventually(t, func() bool {
		_, err := ann.UsageOf(ctx, "acme/app")
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	whole, err := ann.Usage(ctx, "")
	require.NoError(t, err)
	require.EqualValues(t, 2, whole.Figures.Repositories)
	require.Len(t, all(t, ann.UsageBelow(ctx, "acme")), 2)
	largest, err := ann.Largest(ctx, "", 1)
	require.NoError(t, err)
	require.Len(t, largest, 1)
	require.NotEmpty(t, all(t, ann.QuotaLimits(ctx)))
	_, err = ann.Recount(ctx, "acme")
	require.NoError(t, err)
	state, err := ann.Quota(ctx, "acme")
	require.NoError(t, err)
	require.EqualValues(t, 2, state.Used.Repositories)
	require.NotEmpty(t, all(t, ann.Quotas(ctx)))
	_, err = ann.Quota(ctx, "")
	require.ErrorIs(t, err, client.ErrNotFound, "the whole storage has no limit")
}

func jobs(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	require.NotEmpty(t, all(t, ann.Jobs(ctx)))
	_, err := ann.RunJob(ctx, "usage")
	require.NoError(t, err)
	job, err := ann.Job(ctx, "usage")
	require.NoError(t, err)
	require.Equal(t, "usage", job.Name)
	require.Eventually(t, func() bool {
		job, err := ann.Job(ctx, "usage")
		return err == nil && !job.Running && job.Requested.IsZero()
	}, 30*time.Second, 50*time.Millisecond)
	_, err = ann.CancelJob(ctx, "usage")
	require.ErrorIs(t, err, client.ErrConflict)
	_, err = ann.Job(ctx, "none")
	require.ErrorIs(t, err, client.ErrNotFound)
}

func mirror(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	const repo = "hub.example/library/app"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url+"/v2/"+repo+"/manifests/v1", nil)
	require.NoError(t, err)
	r.SetBasicAuth("ann", password)
	res, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	state, err := ann.Mirror(ctx)
	require.NoError(t, err)
	require.Equal(t, "hub.example", state.Upstreams[0].Name)
	refreshed, err := ann.RefreshMirror(ctx, types.Refresh{Repository: repo, Tag: "v1"})
	require.NoError(t, err)
	require.Zero(t, refreshed.Changed)
	require.NoError(t, ann.Pin(ctx, repo, "v1"))
	require.Equal(t, []types.Pin{{Repository: repo, Reference: "v1"}}, all(t, ann.Pins(ctx)))
	require.NoError(t, ann.Unpin(ctx, repo, "v1"))
}

func losses(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	lost := all(t, ann.Losses(ctx))
	require.NotEmpty(t, lost)
	_, version, err := ann.Loss(ctx, lost[0].Repository, lost[0].Digest)
	require.NoError(t, err)
	require.NoError(t, ann.ForgetLoss(ctx, lost[0].Repository, lost[0].Digest, version))
	require.Len(t, all(t, ann.Losses(ctx)), len(lost)-1)
}

func audit(t *testing.T, _ *hub, ann *client.Client) {
	ctx := t.Context()
	what := client.AuditQuery{Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Minute), Account: "bob"}
	require.Eventually(t, func() bool {
		records := all(t, ann.Audit(ctx, what))
		return len(records) > 5
	}, 30*time.Second, 200*time.Millisecond)
	body, err := ann.ExportAudit(ctx, what)
	require.NoError(t, err)
	defer body.Close()
	lines := 0
	for s := bufio.NewScanner(body); s.Scan(); lines++ {
		require.True(t, json.Valid(s.Bytes()), s.Text())
	}
	require.Greater(t, lines, 5)
}

func removals(t *testing.T, h *hub, ann *client.Client) {
	ctx := t.Context()
	digest := h.image.Descriptor.Digest.String()
	copied, version, err := ann.Copy(ctx, "acme/app", "", types.Copy{Digest: digest, To: "acme/copy", ToTag: "v1"})
	require.NoError(t, err)
	require.Equal(t, digest, copied.Digest)
	require.Equal(t, client.Version(`"`+digest+`"`), version)
	require.NoError(t, ann.DeleteRepository(ctx, "acme/copy", client.AnyVersion))
	_, err = ann.RestoreTag(ctx, "acme/app", "none", version, digest)
	require.ErrorIs(t, err, client.ErrChanged, "there is no such tag")
	require.NoError(t, ann.DeleteImage(ctx, "acme/app", digest, client.AnyVersion, false))
	require.NoError(t, ann.DeleteRepository(ctx, "acme/lost", client.AnyVersion))
	require.NoError(t, ann.DeleteRobot(ctx, "acme", "ci", client.AnyVersion, nil))
	require.NoError(t, ann.DeleteUser(ctx, "cleo", client.AnyVersion, nil))
	_, _, err = ann.User(ctx, "cleo")
	require.ErrorIs(t, err, client.ErrNotFound)
}
