package quota_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"

	"github.com/registrykit/registry"
	"github.com/registrykit/registry/quota"
	"github.com/registrykit/registry/registrytest"
	"github.com/registrykit/registry/storage/memory"
)

// server is a registry over HTTP with a quota of 1 MiB of bytes, 2 tags and 3 repositories for "team".
type server struct {
	*httptest.Server
	t *testing.T
	q *quota.Quotas
}

func newServer(t *testing.T) *server {
	q := newQuotas(t, memory.New(nil), nil,
		quota.Limit{Prefix: "team", Max: quota.Amounts{Bytes: 1 << 20, Tags: 2, Repositories: 3}})
	reg, err := registry.New(q, nil)
	require.NoError(t, err)
	s := &server{Server: httptest.NewServer(reg), t: t, q: q}
	t.Cleanup(s.Close)
	return s
}

// do sends a request, and returns the status, the headers and the body of the response.
func (s *server) do(method, path string, body io.Reader) (int, http.Header, string) {
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+strings.TrimPrefix(path, s.URL), body)
	require.NoError(s.t, err)
	res, err := s.Client().Do(req)
	require.NoError(s.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, res.Header, string(text)
}

// push pushes a blob with one POST.
func (s *server) push(repo string, content []byte) {
	status, _, text := s.do("POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(digest.FromBytes(content)),
		bytes.NewReader(content))
	require.Equal(s.t, http.StatusCreated, status, text)
}

// begin begins an upload, and returns its location.
func (s *server) begin(repo string) string {
	status, h, text := s.do("POST", "/v2/"+repo+"/blobs/uploads/", nil)
	require.Equal(s.t, http.StatusAccepted, status, text)
	return h.Get("Location")
}

// refusal checks that a response is a refusal with the figures, and returns them.
func (s *server) refusal(status int, text string) quota.Excess {
	s.t.Helper()
	require.Equal(s.t, http.StatusForbidden, status, text)
	var body struct {
		Errors []struct {
			Code, Message string
			Detail        quota.Excess
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(text), &body), text)
	require.Len(s.t, body.Errors, 1)
	require.Equal(s.t, "DENIED", body.Errors[0].Code)
	require.Contains(s.t, body.Errors[0].Message, "the quota of team is exceeded")
	return body.Errors[0].Detail
}

// raw sends the head of a request whose body has length bytes, or is chunked if length is negative, and
// then writes zeros until the response comes. It returns the response and how much was written.
func (s *server) raw(method, path string, length int64) (status int, text string, written int64) {
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(s.t, err)
	defer conn.Close()
	framing := fmt.Sprintf("Content-Length: %d", length)
	if length < 0 {
		framing = "Transfer-Encoding: chunked"
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: registry\r\n%s\r\n\r\n", method,
		strings.TrimPrefix(path, s.URL), framing)
	require.NoError(s.t, err)
	answered := make(chan struct{})
	done := make(chan int64)
	go func() {
		n := int64(0)
		defer func() { done <- n }()
		for length < 0 {
			select {
			case <-answered:
				return
			default:
			}
			c, err := fmt.Fprintf(conn, "10000\r\n%s\r\n", make([]byte, 1<<16))
			if err != nil {
				return
			}
			n += int64(c)
		}
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	close(answered)
	require.NoError(s.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, err)
	return res.StatusCode, string(b), <-done
}

// TestRefusedAtTheFirstRequest: each way of pushing is refused by the first request that shows that the
// limit would be exceeded, with the figures in the response, and before the body if its length is known.
func TestRefusedAtTheFirstRequest(t *testing.T) {
	const mib = 1 << 20
	excess := quota.Excess{Prefix: "team", Resource: quota.Bytes, Limit: mib, Used: mib / 2, Needed: mib}
	setup := func(t *testing.T) *server {
		s := newServer(t)
		s.push("team/app", random(1, mib/2))
		return s
	}
	t.Run("POST", func(t *testing.T) {
		s := setup(t)
		status, text, _ := s.raw("POST", "/v2/team/app/blobs/uploads/?digest="+string(digest.FromString("x")), mib)
		require.Equal(t, excess, s.refusal(status, text))
	})
	t.Run("PATCH", func(t *testing.T) {
		s := setup(t)
		status, text, _ := s.raw("PATCH", s.begin("team/app"), mib)
		require.Equal(t, excess, s.refusal(status, text))
	})
	t.Run("second PATCH", func(t *testing.T) {
		s := setup(t)
		_, h, _ := s.do("PATCH", s.begin("team/app"), bytes.NewReader(random(2, mib/4)))
		status, text, _ := s.raw("PATCH", h.Get("Location"), mib*3/4)
		require.Equal(t, excess, s.refusal(status, text))
		require.NoError(t, s.q.Flush(t.Context()))
		require.EqualValues(t, mib/2, used(t, s.q, "team").Bytes, "the upload has ended")
	})
	t.Run("PATCH of unknown length", func(t *testing.T) {
		s := setup(t)
		status, text, written := s.raw("PATCH", s.begin("team/app"), -1)
		require.Greater(t, s.refusal(status, text).Needed, int64(mib/2))
		require.GreaterOrEqual(t, written, int64(mib/2))
		require.Less(t, s.refusal(status, text).Needed, int64(mib))
	})
	t.Run("PUT", func(t *testing.T) {
		s := setup(t)
		status, text, _ := s.raw("PUT", s.begin("team/app")+"?digest="+string(digest.FromString("x")), mib)
		require.Equal(t, excess, s.refusal(status, text))
	})
	t.Run("PUT of unknown length", func(t *testing.T) {
		s := setup(t)
		status, text, _ := s.raw("PUT", s.begin("team/app")+"?digest="+string(digest.FromString("x")), -1)
		require.Less(t, s.refusal(status, text).Needed, int64(mib))
	})
	t.Run("mount", func(t *testing.T) {
		s := setup(t)
		s.push("elsewhere", random(3, mib))
		for _, from := range []string{"&from=elsewhere", ""} {
			status, _, text := s.do("POST",
				"/v2/team/app/blobs/uploads/?mount="+string(digest.FromBytes(random(3, mib)))+from, nil)
			require.Equal(t, excess, s.refusal(status, text))
		}
	})
	t.Run("manifest", func(t *testing.T) {
		s := setup(t)
		s.push("team/app", random(4, mib/2))
		content := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
		status, _, text := s.do("PUT", "/v2/team/app/manifests/v1", bytes.NewReader(content))
		require.Equal(t, quota.Excess{Prefix: "team", Resource: quota.Bytes, Limit: mib, Used: mib,
			Needed: int64(len(content))}, s.refusal(status, text))
	})
	t.Run("tag", func(t *testing.T) {
		s := setup(t)
		img := registrytest.RandomImage(1, 0, 0)
		require.NoError(t, img.Push(t.Context(), s.q, "team/app", "v1"))
		require.NoError(t, img.Push(t.Context(), s.q, "team/app", "v2"))
		m, err := s.q.GetManifest(t.Context(), "team/app", tagRef("v1"))
		require.NoError(t, err)
		for _, path := range []string{"v3", string(m.Descriptor.Digest) + "?tag=v3&tag=v4"} {
			status, _, text := s.do("PUT", "/v2/team/app/manifests/"+path, bytes.NewReader(m.Content))
			require.Equal(t, quota.Tags, s.refusal(status, text).Resource)
		}
		status, _, _ := s.do("PUT", "/v2/team/app/manifests/v1", bytes.NewReader(m.Content))
		require.Equal(t, http.StatusCreated, status)
	})
	t.Run("repository", func(t *testing.T) {
		s := setup(t)
		s.push("team/two", random(1, mib/2))
		s.push("team/three", random(1, mib/2))
		status, _, text := s.do("POST", "/v2/team/four/blobs/uploads/", nil)
		require.Equal(t, quota.Excess{Prefix: "team", Resource: quota.Repositories, Limit: 3, Used: 3, Needed: 1},
			s.refusal(status, text))
	})
}

// TestBlobOfThePrefixIsNotRefused: a full prefix takes a blob that it has.
func TestBlobOfThePrefixIsNotRefused(t *testing.T) {
	s := newServer(t)
	content := random(1, 1<<20)
	s.push("team/app", content)
	s.push("team/two", content)
	d := string(digest.FromBytes(content))
	status, _, text := s.do("POST", "/v2/team/three/blobs/uploads/?mount="+d+"&from=team/app", nil)
	require.Equal(t, http.StatusCreated, status, text)
	location := s.begin("team/three")
	status, _, text = s.do("PUT", location+"?digest="+d, bytes.NewReader(content))
	require.Equal(t, http.StatusCreated, status, text)
	location = s.begin("team/three")
	status, _, text = s.do("PUT", location+"?digest="+d, io.MultiReader(bytes.NewReader(content))) // of unknown length
	require.Equal(t, http.StatusCreated, status, text)
	require.EqualValues(t, 1<<20, used(t, s.q, "team").Bytes)
}

// TestUploadInChunks: the bytes count while they arrive, and once at the end.
func TestUploadInChunks(t *testing.T) {
	s := newServer(t)
	content := random(1, 1<<20)
	location := s.begin("team/app")
	for i := range 16 {
		part := content[i<<16 : (i+1)<<16]
		var body io.Reader = bytes.NewReader(part)
		if i%2 == 1 {
			body = io.MultiReader(body) // of unknown length
		}
		status, h, text := s.do("PATCH", location, body)
		require.Equal(t, http.StatusAccepted, status, text)
		location = h.Get("Location")
		state, err := s.q.State(t.Context(), "team")
		require.NoError(t, err)
		require.GreaterOrEqual(t, state.Pending.Bytes, int64((i+1)<<16))
		require.LessOrEqual(t, state.Used.Bytes, int64(1<<20))
	}
	status, _, text := s.do("PUT", location+"?digest="+string(digest.FromBytes(content)), nil)
	require.Equal(t, http.StatusCreated, status, text)
	require.NoError(t, s.q.Flush(t.Context()))
	state, err := s.q.State(t.Context(), "team")
	require.NoError(t, err)
	require.Zero(t, state.Pending)
	require.EqualValues(t, 1<<20, state.Used.Bytes)

	location = s.begin("team/app") // full, and the next upload that is cancelled leaves nothing behind
	status, _, text = s.do("PATCH", location, bytes.NewReader([]byte("x")))
	require.EqualValues(t, 1, s.refusal(status, text).Needed)
}
