//go:build linux || darwin

package disk

import (
	"encoding/binary"
	"hash/crc32"
)

// A segment begins with a header, and records follow. All numbers are little-endian.
//
//	header: magic (12 bytes), version (uint32)
//	record: length of the body (uint32), checksum (uint32), body
//	body:   kind (1 byte), seq (int64), length of the path (uint16), path, content
//
// The checksum of a record is the CRC-32C of the length and the body, continued from the checksum
// of the record before it. The first record continues from that of the generation of the segment.
// So what remains of an earlier use of the file, or of records that were cut off, is never taken
// for a record.
const (
	journalMagic   = "disk journal"
	journalVersion = 1
	headerSize     = int64(len(journalMagic) + 4)

	recordHeader = 8
	bodyHeader   = 11

	maxSmall = 128 << 10 // bytes of the largest content of a record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordKind is what a record says about its path, see the package documentation.
type recordKind uint8

const (
	putRecord recordKind = iota + 1
	absentRecord
	keptRecord
	contentRecord
)

// record is one record of the journal.
type record struct {
	kind    recordKind
	path    string // relative to objects/
	seq     int64  // the modification time of the file; of absentRecord: of the youngest file that may have been there
	content []byte // of putRecord and contentRecord
}

// encodedSize returns the number of bytes that append adds.
func (r *record) encodedSize() int { return recordHeader + bodyHeader + len(r.path) + len(r.content) }

// append appends the record to b. crc is the checksum of the record before it. append returns the
// checksum of this one.
func (r *record) append(b []byte, crc uint32) ([]byte, uint32) {
	start := len(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(bodyHeader+len(r.path)+len(r.content)))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = append(b, byte(r.kind))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.seq))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.path)))
	b = append(b, r.path...)
	b = append(b, r.content...)
	crc = chain(crc, b[start:])
	binary.LittleEndian.PutUint32(b[start+4:], crc)
	return b, crc
}

// chain returns the checksum of an encoded record that follows one with the checksum crc.
func chain(crc uint32, encoded []byte) uint32 {
	return crc32.Update(crc32.Update(crc, castagnoli, encoded[:4]), castagnoli, encoded[recordHeader:])
}

// seed returns the checksum from which the first record of a segment continues.
func seed(generation uint64) uint32 {
	return crc32.Checksum(binary.LittleEndian.AppendUint64(nil, generation), castagnoli)
}

// readRecord decodes the record at the beginning of b. n is its size, or 0 if there is no whole
// record. The content of the record is a part of b.
func readRecord(b []byte, crc uint32) (r record, n int, next uint32) {
	if len(b) < recordHeader+bodyHeader {
		return record{}, 0, 0
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if length < bodyHeader || length > int64(len(b)-recordHeader) {
		return record{}, 0, 0
	}
	b = b[:recordHeader+length]
	next = binary.LittleEndian.Uint32(b[4:])
	if next != chain(crc, b) {
		return record{}, 0, 0
	}
	body := b[recordHeader:]
	pathLen := int(binary.LittleEndian.Uint16(body[9:]))
	if pathLen > len(body)-bodyHeader {
		return record{}, 0, 0
	}
	return record{
		kind:    recordKind(body[0]),
		seq:     int64(binary.LittleEndian.Uint64(body[1:])),
		path:    string(body[bodyHeader : bodyHeader+pathLen]),
		content: body[bodyHeader+pathLen:],
	}, len(b), next
}

// readRecords returns the records of a segment, and the position and the checksum of its end. b is
// the content of the file, whose header is valid.
func readRecords(b []byte, generation uint64) (records []record, end int64, crc uint32) {
	end, crc = headerSize, seed(generation)
	for {
		r, n, next := readRecord(b[end:], crc)
		if n == 0 {
			return records, end, crc
		}
		records, end, crc = append(records, r), end+int64(n), next
	}
}

func appendHeader(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(append(b, journalMagic...), journalVersion)
}
