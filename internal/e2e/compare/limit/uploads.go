package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// smallBody is the largest body in bytes that goes to the log.
const smallBody = 256 << 10

// uploads are the uploads that have begun.
type uploads struct {
	syncs atomic.Int64 // of large bodies
	open  sync.Map     // id → *upload
	next  atomic.Int64
}

// upload is the content of an upload: in memory as long as it is small, otherwise in a file.
type upload struct {
	hash  hash.Hash
	small bytes.Buffer
	file  *os.File
}

// unused are uploads that are used again, so that the limit does not measure the garbage collector.
var unused = sync.Pool{New: func() any { return &upload{hash: sha256.New()} }}

// post begins an upload, or mounts a blob.
func (s *server) post(w http.ResponseWriter, r *http.Request) error {
	header := w.Header()
	if mounted := r.URL.Query().Get("mount"); mounted != "" {
		if err := s.log.append([]byte(r.RequestURI)); err != nil {
			return err
		}
		header.Set("Location", strings.TrimSuffix(r.URL.Path, "uploads/")+mounted)
		header.Set("Docker-Content-Digest", mounted)
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	id := strconv.FormatInt(s.uploads.next.Add(1), 10)
	s.uploads.open.Store(id, unused.Get())
	header.Set("Location", r.URL.Path+id)
	header.Set("Docker-Upload-UUID", id)
	header.Set("Range", "0-0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// patch stores a part of an upload.
func (s *server) patch(w http.ResponseWriter, r *http.Request) error {
	u, _, err := s.upload(r)
	if err != nil {
		return err
	}
	if err := s.receive(u, r.Body); err != nil {
		return err
	}
	w.Header().Set("Location", r.URL.Path)
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// put commits an upload, or stores a manifest.
func (s *server) put(w http.ResponseWriter, r *http.Request) error {
	if strings.Contains(r.URL.Path, "/manifests/") {
		return s.manifest(w, r)
	}
	u, id, err := s.upload(r)
	if err != nil {
		return err
	}
	if err := s.receive(u, r.Body); err != nil {
		return err
	}
	want := r.URL.Query().Get("digest")
	if got := "sha256:" + hex.EncodeToString(u.hash.Sum(nil)); got != want {
		return errors.New("the content has the digest " + got)
	}
	if err := s.commit(u); err != nil {
		return err
	}
	s.uploads.open.Delete(id)
	u.small.Reset()
	u.hash.Reset()
	u.file = nil
	unused.Put(u)
	w.Header().Set("Docker-Content-Digest", want)
	w.Header().Set("Location", strings.TrimSuffix(r.URL.Path, "uploads/"+id)+want)
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *server) manifest(w http.ResponseWriter, r *http.Request) error {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	if err := s.log.append(content); err != nil {
		return err
	}
	w.Header().Set("Docker-Content-Digest", "sha256:"+hex.EncodeToString(sum[:]))
	w.Header().Set("Location", r.URL.Path)
	w.WriteHeader(http.StatusCreated)
	return nil
}

// upload returns the upload of a request, and its id.
func (s *server) upload(r *http.Request) (*upload, string, error) {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	u, ok := s.uploads.open.Load(id)
	if !ok {
		return nil, "", errors.New("no upload " + id)
	}
	return u.(*upload), id, nil
}

// receive hashes and stores a body.
func (s *server) receive(u *upload, body io.Reader) error {
	buffer := s.buffers.Get().(*[]byte)
	defer s.buffers.Put(buffer)
	for {
		n, err := io.ReadFull(body, *buffer)
		if n > 0 {
			u.hash.Write((*buffer)[:n])
			if err := s.write(u, (*buffer)[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// write adds b to the content of an upload.
func (s *server) write(u *upload, b []byte) error {
	if u.file == nil && u.small.Len()+len(b) <= smallBody {
		_, err := u.small.Write(b)
		return err
	}
	if u.file == nil {
		f, err := os.Create(filepath.Join(s.dir, "upload-"+strconv.FormatInt(s.uploads.next.Add(1), 10)))
		if err != nil {
			return err
		}
		u.file = f
		if _, err := f.Write(u.small.Bytes()); err != nil {
			return err
		}
	}
	_, err := u.file.Write(b)
	return err
}

// commit makes the content of an upload durable.
func (s *server) commit(u *upload) error {
	if u.file == nil {
		return s.log.append(u.small.Bytes())
	}
	s.uploads.syncs.Add(1)
	if err := fdatasync(u.file); err != nil {
		return err
	}
	return u.file.Close()
}
