package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"
)

// ObjectStore is a running storage server that speaks S3, with one bucket.
type ObjectStore struct {
	Addr   string // host:port
	Bucket string
	User   string
	Secret string
	Log    string // file with its output

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// StartMinIO starts MinIO over a folder and waits until it responds. The caller must call Stop.
func StartMinIO(dir string) (*ObjectStore, error) {
	o, err := newObjectStore(dir)
	if err != nil {
		return nil, err
	}
	console, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	return o, o.start("minio", []string{"MINIO_ROOT_USER=" + o.User, "MINIO_ROOT_PASSWORD=" + o.Secret,
		"MINIO_UPDATE=off"},
		"server", "--quiet", "--address", o.Addr, "--console-address", console, filepath.Join(dir, "data"))
}

// StartVersityGW starts versitygw over a folder and waits until it responds. The caller must call
// Stop.
func StartVersityGW(dir string) (*ObjectStore, error) {
	o, err := newObjectStore(dir)
	if err != nil {
		return nil, err
	}
	return o, o.start("versitygw", []string{"ROOT_ACCESS_KEY=" + o.User, "ROOT_SECRET_KEY=" + o.Secret},
		"--port", o.Addr, "posix", filepath.Join(dir, "data"))
}

// NewMinIO starts MinIO on a temporary folder. The server ends with the test.
func NewMinIO(t *testing.T) *ObjectStore { return newStore(t, StartMinIO) }

// NewVersityGW starts versitygw on a temporary folder. The server ends with the test.
func NewVersityGW(t *testing.T) *ObjectStore { return newStore(t, StartVersityGW) }

func newStore(t *testing.T, start func(dir string) (*ObjectStore, error)) *ObjectStore {
	t.Helper()
	o, err := start(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, o.Stop())
		if t.Failed() {
			b, _ := os.ReadFile(o.Log)
			t.Logf("object store:\n%s", b[max(0, len(b)-4000):])
		}
	})
	return o
}

func newObjectStore(dir string) (*ObjectStore, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	return &ObjectStore{Addr: addr, Bucket: "registry", User: "test-user", Secret: "test-secret",
			Log: filepath.Join(dir, "log"), done: make(chan struct{})},
		os.MkdirAll(filepath.Join(dir, "data"), 0o755)
}

func (o *ObjectStore) start(name string, env []string, args ...string) error {
	path, err := Tool(name)
	if err != nil {
		return err
	}
	log, err := os.Create(o.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	o.cmd = exec.Command(path, args...)
	o.cmd.Env = append(os.Environ(), env...)
	o.cmd.Stdout, o.cmd.Stderr = log, log
	if err := o.cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = o.cmd.Wait()
		close(o.done)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		_, err := o.Client("").CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &o.Bucket})
		if err == nil {
			return nil
		}
		select {
		case <-o.done:
			err = errors.New("it ended while starting")
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
			continue
		}
		b, _ := os.ReadFile(o.Log)
		return errors.Join(fmt.Errorf("%s: %w\n%s", name, err, b), o.Stop())
	}
}

// Client returns a client of the store. addr is the address of a proxy in front of the store; ""
// means the store itself.
func (o *ObjectStore) Client(addr string) *s3.Client {
	if addr == "" {
		addr = o.Addr
	}
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + addr), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		HTTPClient: &http.Client{Timeout: time.Minute},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: o.User, SecretAccessKey: o.Secret}, nil
		}),
	})
}

// URL returns the URL of the bucket for gocloud.dev. addr is the address of a proxy in front of the
// store; "" means the store itself.
func (o *ObjectStore) URL(addr string) string {
	if addr == "" {
		addr = o.Addr
	}
	q := url.Values{"region": {"us-east-1"}, "endpoint": {"http://" + addr}, "use_path_style": {"true"}}
	return "s3://" + o.Bucket + "?" + q.Encode()
}

// Env returns the environment variables that give a program access.
func (o *ObjectStore) Env() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + o.User, "AWS_SECRET_ACCESS_KEY=" + o.Secret, "AWS_EC2_METADATA_DISABLED=true"}
}

// Stop stops the server by its process id.
func (o *ObjectStore) Stop() error {
	if err := o.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-o.done:
	case <-time.After(20 * time.Second):
		err := o.cmd.Process.Kill()
		<-o.done
		return err
	}
	return nil
}
