package object

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// The keys of the layout, all of them. R stands for the name of a repository with "/" written as
// ".~": a "." in a name is always followed by a letter or digit, so nothing else is written so, and
// the names keep their order.
//
//	layout                          version of the layout
//	keys/upload                     secret that signs the ids of uploads
//	keys/<name>                     secret that others keep here, see Store.SharedSecret
//	data/<xx>/<name>                bytes of a segment, written once; the name begins with the id of its upload
//	dead/<xx>/<name>                this segment is condemned
//	lease/collect                   who collects, and when it was done last
//	reserve/<n>                     room that is given up when the storage is full
//	u/<xx>/<id>                     progress of an upload
//	r/<R>/b/<alg>/<hex>             link: the blob is in the repository, and where its bytes are
//	r/<R>/m/<alg>/<hex>             manifest
//	r/<R>/t/<tag>                   tag
//	r/<R>/x/<alg>/<hex>/<tag>       back reference from a manifest to a tag that may point at it
//	r/<R>/f/<alg>/<hex>/<alg>/<hex> referrer: subject, then the manifest that refers to it
//	r/<R>/a/<alg>/<hex>/<alg>/<hex>.<type>
//	                                hint: subject, then the referrer and its artifact type (see typeID)
//	b/<alg>/<xx>/<hex>/<R>          index: this repository may have this blob
//	c/<R>                           the repository exists
//	h/<R>/<time>.<kind>.<random>... event of the history; the time is inverted, so that the newest comes first (see eventID)
const (
	LayoutKey        = "layout"
	SecretPrefix     = "keys/"
	UploadSecretKey  = SecretPrefix + "upload"
	UploadPrefix     = "u/"
	RepositoryPrefix = "c/"
	HistoryPrefix    = "h/"
	ContentPrefix    = "r/" // of repositories
	IndexesPrefix    = "b/"
	DataPrefix       = "data/"
	DeadPrefix       = "dead/"
	LeaseKey         = "lease/collect"
	reservePrefix    = "reserve/"
)

// layoutVersion is the version of the layout that this package writes, and the newest it reads.
const LayoutVersion = 1

const slash = ".~"

func Escape(name string) string { return strings.ReplaceAll(name, "/", slash) }

func Unescape(r string) string { return strings.ReplaceAll(r, slash, "/") }

func DigestPath(d digest.Digest) string {
	return string(d.Algorithm()) + "/" + d.Encoded()
}

// pathDigest is the digest that a key ends in, "" if it does not.
func PathDigest(key string) digest.Digest {
	i := strings.LastIndexByte(key, '/')
	if i < 0 {
		return ""
	}
	j := strings.LastIndexByte(key[:i], '/')
	d := digest.NewDigestFromEncoded(digest.Algorithm(key[j+1:i]), key[i+1:])
	if d.Validate() != nil {
		return ""
	}
	return d
}

// dir is a key without its last component.
func Dir(key string) string { return key[:max(0, strings.LastIndexByte(key, '/'))] }

// base is the last component of a key.
func Base(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

func (r Repo) RepoPrefix() string { return ContentPrefix + Escape(r.Name) + "/" }

func (r Repo) LinkPrefix() string { return r.RepoPrefix() + "b/" }

func (r Repo) LinkKey(d digest.Digest) string { return r.LinkPrefix() + DigestPath(d) }

func (r Repo) ManifestPrefix() string { return r.RepoPrefix() + "m/" }

func (r Repo) ManifestKey(d digest.Digest) string { return r.ManifestPrefix() + DigestPath(d) }

func (r Repo) TagPrefix() string { return r.RepoPrefix() + "t/" }

func (r Repo) TagKey(tag string) string { return r.TagPrefix() + tag }

func (r Repo) BackrefsPrefix() string { return r.RepoPrefix() + "x/" }

func (r Repo) backrefPrefix(d digest.Digest) string {
	return r.BackrefsPrefix() + DigestPath(d) + "/"
}

func (r Repo) BackrefKey(d digest.Digest, tag string) string { return r.backrefPrefix(d) + tag }

func (r Repo) ReferrersPrefix() string { return r.RepoPrefix() + "f/" }

func (r Repo) ReferrerPrefix(subject digest.Digest) string {
	return r.ReferrersPrefix() + DigestPath(subject) + "/"
}

func (r Repo) ReferrerKey(subject, d digest.Digest) string {
	return r.ReferrerPrefix(subject) + DigestPath(d)
}

func (r Repo) TypesPrefix() string { return r.RepoPrefix() + "a/" }

func (r Repo) TypePrefix(subject digest.Digest) string {
	return r.TypesPrefix() + DigestPath(subject) + "/"
}

func (r Repo) typeKey(subject, d digest.Digest, artifactType string) string {
	return r.TypePrefix(subject) + DigestPath(d) + "." + TypeID(artifactType)
}

// hintedEntry is the key of the entry that a hint belongs to; ok is false if key is no key of a
// hint.
func (r Repo) HintedEntry(key string) (entry string, ok bool) {
	rest, ok := strings.CutPrefix(key, r.TypesPrefix())
	rest, _, dot := strings.Cut(rest, ".")
	return r.ReferrersPrefix() + rest, ok && dot && PathDigest(rest) != ""
}

func IndexPrefix(d digest.Digest) string {
	return IndexesPrefix + string(d.Algorithm()) + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/"
}

func (r Repo) IndexKey(d digest.Digest) string { return IndexPrefix(d) + Escape(r.Name) }

// indexed is what an entry of the index stands for; ok is false if it is none.
func Indexed(key string) (repo string, d digest.Digest, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 {
		return "", "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[3])
	return Unescape(parts[4]), d, d.Validate() == nil
}

func (r Repo) RepositoryKey() string { return RepositoryPrefix + Escape(r.Name) }

func (r Repo) eventPrefix() string { return HistoryPrefix + Escape(r.Name) + "/" }

func (r Repo) EventKey(id string) string { return r.eventPrefix() + id }

func UploadKey(id string) string { return UploadPrefix + shard(id) + "/" + id }

func DataKey(name string) string { return DataPrefix + shard(name) + "/" + name }

func DeadKey(name string) string { return DeadPrefix + shard(name) + "/" + name }

// shard is <xx> of the layout. Names that are shorter are not of the Store, but may be in the
// storage all the same.
func shard(name string) string { return name[:min(2, len(name))] }
