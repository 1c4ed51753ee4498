package accounts_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry/auth/accounts"
	"github.com/registrykit/registry/storage/driver/drivertest"
	"github.com/registrykit/registry/storage/memory"
)

// BenchmarkAuthenticate measures logins of a user whom the process knows. They make no request to the storage.
func BenchmarkAuthenticate(b *testing.B) {
	storage := drivertest.NewFaulty(memory.New(nil), nil)
	d := newDesk(b, storage, nil)
	ann := d.user("ann", password)
	robot := d.robot(ann.ID, "ci")
	s, rs := d.secret(ann.ID, nil), d.secret(robot.ID, nil)
	bob := d.user("bob", "")
	bs := d.secret(bob.ID, nil)
	for _, org := range []string{"acme", "other"} {
		id := newOrganisation(b, d.people, org, ann.ID)
		for _, team := range []string{"dev", "ops"} {
			newTeam(b, d.people, id, team)
			require.NoError(b, d.people.JoinTeam(context.Background(), admin, id, team, bob.ID))
		}
	}
	for name, r := range map[string]*http.Request{
		"password": basic("ann", password), "secret": basic("ann", s.Value.Value()), "bearer": bearer(s.Value.Value()),
		"robot": basic("ann+ci", rs.Value.Value()), "member of 4 teams": basic("bob", bs.Value.Value()),
	} {
		b.Run(name, func(b *testing.B) {
			d.in(r)
			requests := storage.Count("")
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.logins.Authenticate(r); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(storage.Count("")-requests)/float64(b.N), "requests/op")
		})
	}
}

// BenchmarkRefused measures logins that are refused, by the reason. Those by password must take the same time. The
// minimum is what remains of the time on a machine that does something else, too.
func BenchmarkRefused(b *testing.B) {
	d := newDesk(b, nil, &accounts.AuthenticatorOptions{Failures: 1e9, AddressFailures: 1e9})
	for _, row := range d.refusals() {
		b.Run(row.name, func(b *testing.B) {
			least := time.Hour
			for b.Loop() {
				begin := time.Now()
				if _, err := d.logins.Authenticate(row.r); err == nil {
					b.Fatal()
				}
				least = min(least, time.Since(begin))
			}
			b.ReportMetric(float64(least.Nanoseconds()), "min-ns")
		})
	}
}

// BenchmarkRotateSecret measures a rotation on a storage without delays, and counts its requests.
func BenchmarkRotateSecret(b *testing.B) {
	storage := drivertest.NewFaulty(memory.New(nil), nil)
	d := newDesk(b, storage, nil)
	ann := d.user("ann", "")
	ctx := context.Background()
	last := d.secret(ann.ID, nil).ID
	requests := storage.Count("")
	n := 0
	for b.Loop() {
		made, err := d.people.RotateSecret(ctx, admin, ann.ID, last, 0)
		if err != nil {
			b.Fatal(err)
		}
		last = made.ID
		n++
	}
	b.ReportMetric(float64(storage.Count("")-requests)/float64(n), "requests/op")
	require.LessOrEqual(b, len(d.secrets(ann.ID)), accounts.MaxUserSecrets, fmt.Sprint(n))
}
