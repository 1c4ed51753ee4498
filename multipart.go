package registry

import "crypto/rand"

// multipart is the body of a response with several parts of a blob (RFC 9110, section 14.6).
type multipart struct {
	parts    []part
	whole    int64 // bytes of the blob
	boundary string
	size     int64 // bytes of the body
}

// newMultipart returns the body with parts of a blob of size bytes. The boundary is random, so that
// nobody can make a blob that contains it.
func newMultipart(parts []part, size int64) *multipart {
	m := &multipart{parts: parts, whole: size, boundary: rand.Text() + rand.Text()}
	for i, p := range parts {
		m.size += int64(len(m.head(i))) + p.size()
	}
	m.size += int64(len(m.tail()))
	return m
}

// head returns what precedes the bytes of a part.
func (m *multipart) head(i int) string {
	before := "\r\n--"
	if i == 0 {
		before = "--"
	}
	return before + m.boundary + "\r\nContent-Range: " + m.parts[i].contentRange(m.whole) +
		"\r\nContent-Type: " + blobMediaType + "\r\n\r\n"
}

// tail returns what follows the last part.
func (m *multipart) tail() string { return "\r\n--" + m.boundary + "--\r\n" }

// mediaType returns the Content-Type of the response.
func (m *multipart) mediaType() string { return "multipart/byteranges; boundary=" + m.boundary }

// send sends the body.
//
// Errors: as contentWriter.sendPart.
func (m *multipart) send(w *contentWriter) error {
	for i, p := range m.parts {
		if _, err := w.Write([]byte(m.head(i))); err != nil {
			return err
		}
		w.real, w.until = -1, p.end // so that align also announces the part
		if err := w.sendPart(p); err != nil {
			return err
		}
	}
	_, err := w.Write([]byte(m.tail()))
	return err
}
