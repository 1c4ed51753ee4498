package harness

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/stretchr/testify/require"
)

// Azurite is a running Azurite, a storage server that speaks the protocol of Azure Blob Storage. It
// keeps its objects in memory.
type Azurite struct {
	Addr    string // host:port
	Account string
	Key     string
}

// NewAzurite starts Azurite. The server ends with the test.
func NewAzurite(t *testing.T) *Azurite {
	t.Helper()
	addr, err := FreeAddr()
	require.NoError(t, err)
	key := make([]byte, 64)
	_, err = rand.Read(key)
	require.NoError(t, err)
	a := &Azurite{Addr: addr, Account: "testaccount", Key: base64.StdEncoding.EncodeToString(key)}
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	t.Setenv("AZURITE_ACCOUNTS", a.Account+":"+a.Key)
	Daemon(t, func() error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}, "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", port, "--inMemoryPersistence",
		"--silent", "--disableTelemetry", "--skipApiVersionCheck")
	return a
}

// Create creates an empty container.
func (a *Azurite) Create(t *testing.T, container string) {
	t.Helper()
	_, err := a.client(t).CreateContainer(t.Context(), container, nil)
	require.NoError(t, err)
}

// Delete deletes a container and its blobs. It may be called by a cleanup of the test.
func (a *Azurite) Delete(t *testing.T, container string) {
	t.Helper()
	_, err := a.client(t).DeleteContainer(context.WithoutCancel(t.Context()), container, nil)
	require.NoError(t, err)
}

func (a *Azurite) client(t *testing.T) *azblob.Client {
	t.Helper()
	credential, err := azblob.NewSharedKeyCredential(a.Account, a.Key)
	require.NoError(t, err)
	client, err := azblob.NewClientWithSharedKeyCredential(fmt.Sprintf("http://%s/%s", a.Addr, a.Account), credential, nil)
	require.NoError(t, err)
	return client
}

// URL returns the URL of a container for gocloud.dev. addr is the address of a proxy in front of
// the server; "" means the server itself.
func (a *Azurite) URL(container, addr string) string {
	if addr == "" {
		addr = a.Addr
	}
	q := url.Values{"protocol": {"http"}, "domain": {addr}, "localemu": {"true"}}
	return "azblob://" + container + "?" + q.Encode()
}

// Env returns the environment variables that give a program access.
func (a *Azurite) Env() []string {
	return []string{"AZURE_STORAGE_ACCOUNT=" + a.Account, "AZURE_STORAGE_KEY=" + a.Key}
}
