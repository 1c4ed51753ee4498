package storage

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
	layoutKey    = "layout"
	secrets      = "keys/"
	uploadKeyKey = secrets + "upload"
	uploads      = "u/"
	repositories = "c/"
	history      = "h/"
	contents     = "r/" // of repositories
	indexes      = "b/"
	segments     = "data/"
	marks        = "dead/"
	leaseKey     = "lease/collect"
	reserves     = "reserve/"
)

// layoutVersion is the version of the layout that this package writes, and the newest it reads.
const layoutVersion = 1

const slash = ".~"

func escape(repo string) string { return strings.ReplaceAll(repo, "/", slash) }

func unescape(r string) string { return strings.ReplaceAll(r, slash, "/") }

func digestPath(d digest.Digest) string {
	return string(d.Algorithm()) + "/" + d.Encoded()
}

// pathDigest is the digest that a key ends in, "" if it does not.
func pathDigest(key string) digest.Digest {
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
func dir(key string) string { return key[:max(0, strings.LastIndexByte(key, '/'))] }

// base is the last component of a key.
func base(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

func repoPrefix(repo string) string { return contents + escape(repo) + "/" }

func linkPrefix(repo string) string { return repoPrefix(repo) + "b/" }

func linkKey(repo string, d digest.Digest) string { return linkPrefix(repo) + digestPath(d) }

func manifestPrefix(repo string) string { return repoPrefix(repo) + "m/" }

func manifestKey(repo string, d digest.Digest) string { return manifestPrefix(repo) + digestPath(d) }

func tagPrefix(repo string) string { return repoPrefix(repo) + "t/" }

func tagKey(repo, tag string) string { return tagPrefix(repo) + tag }

func backrefsPrefix(repo string) string { return repoPrefix(repo) + "x/" }

func backrefPrefix(repo string, d digest.Digest) string {
	return backrefsPrefix(repo) + digestPath(d) + "/"
}

func backrefKey(repo string, d digest.Digest, tag string) string { return backrefPrefix(repo, d) + tag }

func referrersPrefix(repo string) string { return repoPrefix(repo) + "f/" }

func referrerPrefix(repo string, subject digest.Digest) string {
	return referrersPrefix(repo) + digestPath(subject) + "/"
}

func referrerKey(repo string, subject, d digest.Digest) string {
	return referrerPrefix(repo, subject) + digestPath(d)
}

func typesPrefix(repo string) string { return repoPrefix(repo) + "a/" }

func typePrefix(repo string, subject digest.Digest) string {
	return typesPrefix(repo) + digestPath(subject) + "/"
}

func typeKey(repo string, subject, d digest.Digest, artifactType string) string {
	return typePrefix(repo, subject) + digestPath(d) + "." + typeID(artifactType)
}

// hintedEntry is the key of the entry that a hint belongs to; ok is false if key is no key of a
// hint.
func hintedEntry(repo, key string) (entry string, ok bool) {
	rest, ok := strings.CutPrefix(key, typesPrefix(repo))
	rest, _, dot := strings.Cut(rest, ".")
	return referrersPrefix(repo) + rest, ok && dot && pathDigest(rest) != ""
}

func indexPrefix(d digest.Digest) string {
	return indexes + string(d.Algorithm()) + "/" + d.Encoded()[:2] + "/" + d.Encoded() + "/"
}

func indexKey(d digest.Digest, repo string) string { return indexPrefix(d) + escape(repo) }

// indexed is what an entry of the index stands for; ok is false if it is none.
func indexed(key string) (repo string, d digest.Digest, ok bool) {
	parts := strings.Split(key, "/")
	if len(parts) != 5 {
		return "", "", false
	}
	d = digest.NewDigestFromEncoded(digest.Algorithm(parts[1]), parts[3])
	return unescape(parts[4]), d, d.Validate() == nil
}

func repositoryKey(repo string) string { return repositories + escape(repo) }

func eventPrefix(repo string) string { return history + escape(repo) + "/" }

func eventKey(repo, id string) string { return eventPrefix(repo) + id }

func uploadKey(id string) string { return uploads + shard(id) + "/" + id }

func dataKey(name string) string { return segments + shard(name) + "/" + name }

func deadKey(name string) string { return marks + shard(name) + "/" + name }

// shard is <xx> of the layout. Names that are shorter are not of the Store, but may be in the
// storage all the same.
func shard(name string) string { return name[:min(2, len(name))] }
