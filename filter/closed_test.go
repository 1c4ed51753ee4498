package filter

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/auth"
)

// kindOfTomorrow is an operation that this version does not know.
const kindOfTomorrow registry.OpKind = "Tomorrow"

// TestFilterUnknownOperationRefused checks that filters reject an operation that they do not know.
func TestFilterUnknownOperationRefused(t *testing.T) {
	op := &registry.Op{Kind: kindOfTomorrow, Repository: "a"}
	err := readOnly(t.Context(), op, func(context.Context) error {
		t.Error("it was let through")
		return nil
	})
	require.ErrorIs(t, err, registry.ErrUnsupported)
	require.Equal(t, []auth.Access{
		{Type: auth.TypeRegistry, Name: auth.NameCatalog, Action: auth.All},
		{Type: auth.TypeRepository, Name: "a", Action: auth.All},
	}, op.Access(), "what Authorize asks for")
}

// TestFilterUnknownMethodUnsupported checks that a method added to Backend later is that of
// Unimplemented in every filter, because no filter embeds the Backend that it wraps.
func TestFilterUnknownMethodUnsupported(t *testing.T) {
	allow := auth.AuthorizerFunc(func(context.Context, auth.Identity, []auth.Access) error { return nil })
	below := struct{ registry.Unimplemented }{}
	authorized, err := Authorize(below, allow, auth.Identity{})
	require.NoError(t, err)
	tenant, err := Sub(below, "a")
	require.NoError(t, err)
	backend := reflect.TypeFor[registry.Backend]()
	for name, b := range map[string]registry.Backend{
		"ReadOnly": ReadOnly(below), "Switch": new(Switch).ReadOnly(below), "Immutable": Immutable(below, nil),
		"Observe": Observe(below, nil), "Log": Log(below, nil), "Authorize": authorized, "Sub": tenant,
	} {
		embeds := false
		typ := reflect.TypeOf(b).Elem()
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.Anonymous {
				continue
			}
			require.Equal(t, reflect.TypeFor[registry.Unimplemented](), f.Type,
				"%s embeds what may have the methods of tomorrow", name)
			embeds = true
		}
		require.True(t, embeds, name)
		require.True(t, reflect.TypeOf(b).Implements(backend))
	}
}
