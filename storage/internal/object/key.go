package object

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/registrykit/registry/internal/objectkey"
)

// The keys of the layout, all of them. docs/layout.md shows a record of each.
//
// R stands for the name of a repository as [objectkey.Escape] returns it. These prefixes belong to
// other packages: a/ and y/ (retention), d/ (notification/endpoints), e/ (notification/outbox), g/
// (auth/session), i/ (importer), l/ (audit), m/ (mirror), p/ (pulltime), q/ (quota), s/ (usage), t/
// (auth/token), w/ (auth/accounts) and z/ (scrub).
//
//	layout                          version of the layout
//	keys/upload                     key that signs the IDs of uploads
//	keys/<name>                     other shared secrets, see storage.Store.SharedSecret
//	data/<xx>/<name>                bytes of a segment, written once, named after its upload
//	dead/<xx>/<name>                tombstone: this segment is condemned
//	lease/<name>                    lease and state of a background job, see package jobs
//	reserve/<n>                     space that is freed when the storage is full
//	u/<xx>/<id>                     progress of an upload
//	r/<R>/b/<alg>/<hex>             link: the repository has the blob, and where its bytes are
//	r/<R>/m/<alg>/<hex>             manifest
//	r/<R>/t/<tag>                   tag
//	r/<R>/x/<alg>/<hex>/<tag>       back reference from a manifest to a tag that may point at it
//	r/<R>/f/<alg>/<hex>/<alg>/<hex> referrer: subject, then the manifest that refers to it
//	r/<R>/a/<alg>/<hex>/<alg>/<hex>.<type>
//	                                hint: subject, then the referrer and its artifact type
//	b/<alg>/<xx>/<hex>/<R>          index: this repository may have this blob
//	c/<R>                           the repository exists
//	h/<R>/<time>.<kind>.<random>... event of the history; the time is inverted, so that the
//	                                newest event comes first; see eventID
const (
	LayoutKey        = "layout"
	SecretPrefix     = "keys/"
	UploadSecretKey  = SecretPrefix + "upload"
	UploadPrefix     = "u/"
	RepositoryPrefix = "c/"
	HistoryPrefix    = "h/"
	ContentPrefix    = "r/" // the content of repositories
	IndexesPrefix    = "b/"
	DataPrefix       = "data/"
	DeadPrefix       = "dead/"
	reservePrefix    = "reserve/"
)

// LayoutVersion is the version of the layout that this package writes, and the newest that it
// reads.
const LayoutVersion = 1

// Dir returns a key without its last component, and without the slash before that.
func Dir(key string) string { return key[:max(0, strings.LastIndexByte(key, '/'))] }

// Base returns the last component of a key.
func Base(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

// RepoPrefix returns the prefix of all keys with the content of the repository.
func (r Repo) RepoPrefix() string { return r.prefix }

// digestKey returns the key of the content with a digest. dir is the directory of its kind, such as
// "m/". One concatenation: every operation builds several keys.
func (r Repo) digestKey(dir string, d digest.Digest) string {
	return r.prefix + dir + string(d.Algorithm()) + "/" + d.Encoded()
}

// LinkPrefix returns the prefix of the links.
func (r Repo) LinkPrefix() string { return r.prefix + "b/" }

// LinkKey returns the key of the link of a blob.
func (r Repo) LinkKey(d digest.Digest) string { return r.digestKey("b/", d) }

// ManifestPrefix returns the prefix of the manifests.
func (r Repo) ManifestPrefix() string { return r.prefix + "m/" }

// ManifestKey returns the key of a manifest.
func (r Repo) ManifestKey(d digest.Digest) string { return r.digestKey("m/", d) }

// TagPrefix returns the prefix of the tags.
func (r Repo) TagPrefix() string { return r.prefix + "t/" }

// TagKey returns the key of a tag.
func (r Repo) TagKey(tag string) string { return r.prefix + "t/" + tag }

// BackrefsPrefix returns the prefix of the back references.
func (r Repo) BackrefsPrefix() string { return r.prefix + "x/" }

// backrefPrefix returns the prefix of the back references of a manifest.
func (r Repo) backrefPrefix(d digest.Digest) string {
	return r.digestKey("x/", d) + "/"
}

// BackrefKey returns the key of the back reference from a manifest to a tag.
func (r Repo) BackrefKey(d digest.Digest, tag string) string { return r.backrefPrefix(d) + tag }

// ReferrersPrefix returns the prefix of the entries of referrers.
func (r Repo) ReferrersPrefix() string { return r.prefix + "f/" }

// ReferrerPrefix returns the prefix of the entries of the referrers of subject.
func (r Repo) ReferrerPrefix(subject digest.Digest) string {
	return r.digestKey("f/", subject) + "/"
}

// ReferrerKey returns the key of the entry of the referrer d of subject.
func (r Repo) ReferrerKey(subject, d digest.Digest) string {
	return r.ReferrerPrefix(subject) + objectkey.DigestPath(d)
}

// TypesPrefix returns the prefix of the hints.
func (r Repo) TypesPrefix() string { return r.prefix + "a/" }

// TypePrefix returns the prefix of the hints of the referrers of subject.
func (r Repo) TypePrefix(subject digest.Digest) string {
	return r.digestKey("a/", subject) + "/"
}

// typeKey returns the key of the hint of the referrer d of subject.
func (r Repo) typeKey(subject, d digest.Digest, artifactType string) string {
	return r.TypePrefix(subject) + objectkey.DigestPath(d) + "." + TypeID(artifactType)
}

// HintedEntry returns the key of the entry that a hint belongs to. ok is false if key is not the
// key of a hint.
func (r Repo) HintedEntry(key string) (entry string, ok bool) {
	rest, ok := strings.CutPrefix(key, r.TypesPrefix())
	rest, _, dot := strings.Cut(rest, ".")
	return r.ReferrersPrefix() + rest, ok && dot && objectkey.PathDigest(rest) != ""
}

// IndexPrefix returns the prefix of the index of a blob. The keys below it end in names of
// repositories that may have the blob.
func IndexPrefix(d digest.Digest) string {
	return IndexesPrefix + string(d.Algorithm()) + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/"
}

// IndexKey returns the key in the index of a blob for the repository.
func (r Repo) IndexKey(d digest.Digest) string { return IndexPrefix(d) + objectkey.Escape(r.Name) }

// Indexed returns the repository and the blob that a key of the index is about. ok is false if key
// is not a key of the index.
func Indexed(key string) (repo string, d digest.Digest, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 {
		return "", "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[3])
	return objectkey.Unescape(parts[4]), d, d.Validate() == nil
}

// RepositoryKey returns the key of the repository in the catalog.
func (r Repo) RepositoryKey() string { return RepositoryPrefix + objectkey.Escape(r.Name) }

// eventPrefix returns the prefix of the events of the repository.
func (r Repo) eventPrefix() string { return HistoryPrefix + objectkey.Escape(r.Name) + "/" }

// EventKey returns the key of the event with an ID.
func (r Repo) EventKey(id string) string { return r.eventPrefix() + id }

// UploadKey returns the key of the progress of an upload.
func UploadKey(id string) string { return UploadPrefix + shard(id) + "/" + id }

// DataKey returns the key of the bytes of a segment.
func DataKey(name string) string { return DataPrefix + shard(name) + "/" + name }

// DeadKey returns the key of the tombstone of a segment.
func DeadKey(name string) string { return DeadPrefix + shard(name) + "/" + name }

// shard returns <xx> of the layout. The Store writes no shorter names, but the storage may contain
// some.
func shard(name string) string { return name[:min(2, len(name))] }
