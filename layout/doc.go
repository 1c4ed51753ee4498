// Package layout reads and writes OCI image layouts, in a directory or in a tar archive, and reads
// the archives of "docker save". A [Layout] is a [registry.Backend], so replicate.Copy and
// replicate.Sync copy into it and out of it:
//
//	l, err := layout.Open("app.tar", &layout.Options{Repository: "team/app"})
//	…
//	defer l.Close()
//	_, err = replicate.Copy(ctx, store, l, "team/app:v1", &replicate.Options{Referrers: true})
//
// [Open] reads what exists. [Create] makes a directory or an archive, or adds to a directory.
// Manifests and blobs are kept byte for byte in both directions, so digests never change.
//
// # Names
//
// An entry of index.json has a name in the annotation org.opencontainers.image.ref.name: a tag, or
// a repository and a tag. A host at its beginning is dropped, and so is "library/" after docker.io:
//
//	v1                           the tag v1 of Options.Repository
//	team/app:v1                  the tag v1 of team/app
//	docker.io/library/app:v1     the tag v1 of app
//	ghcr.io/team/app:v1          the tag v1 of team/app
//
// If the name is a tag and Options.Repository is "", the repository is that of the annotation
// io.containerd.image.name, which BuildKit, containerd and "docker save" write, or else
// [DefaultRepository]. An entry with another name or without one is a manifest without a tag;
// [Layout.Roots] lists it. A tag that two entries give to different manifests cannot be read; the
// manifests can, by their digests.
//
// A Layout writes tags of Options.Repository as a tag, and those of other repositories with their
// repository. If Options.Repository is "", the first repository that is pushed to an empty layout
// takes its place. skopeo and oras find the first kind as "oci:DIR:v1" and "DIR:v1".
//
// # Content
//
// A layout has one pool of content. What it has is in each of its repositories, and Referrers lists
// the referrers of the whole layout: those among the entries of index.json, and those that an entry
// leads to, also by a list of the referrers tag schema. A manifest that is pushed without a tag
// becomes an entry without a name, which is how oras finds referrers, until an index that names it
// is pushed.
//
// Every blob and manifest is verified when it is read to its end: the last bytes of wrong content
// are withheld, and the Read fails with registry.ErrDigestInvalid. Nothing can be deleted.
//
// # Directories
//
// A blob is written to a temporary file, verified, synced and renamed. index.json is replaced by a
// rename, after the blobs that it names are durable. Programs that use this package lock the
// directory (flock) while they change index.json, so none loses the entries of another. Other tools
// take no lock and must not write at the same time.
//
// No file outside the directory is read or written, and no symbolic link is followed to a blob.
//
// # Archives
//
// An archive is written in two steps. Pushes go to a directory beside it, "NAME.tmp-…". Close packs
// that directory into one file, syncs it and renames it, so an interrupted export leaves no file of
// that name. The space that this needs is that of the archive and of its largest blob. Archives of
// a repository with the same content are equal byte for byte: their entries are sorted and have no
// times. An archive also has the file manifest.json, with which "docker load" reads the images that
// have a tag: an index is listed in it if the archive has exactly one of its images.
//
// An archive is read in place. Its entries are indexed once, at about 200 bytes of memory each. An
// archive that is compressed with gzip is first unpacked to a temporary file.
//
// An archive of "docker save" without an OCI layout has no manifest. One is made of its config,
// which is kept byte for byte, and its layers: a Docker schema 2 manifest, so its digest is not the
// one that the image had in a registry. Layers without compression have the digests that the config
// states. The tags are those of RepoTags.
//
// # Refused
//
// Open refuses archives with absolute names, "..", links, devices, sparse files or two files of one
// name; those that end early; and those that exceed the limits in [Options]. A symbolic link from
// one layer to another is accepted in archives of "docker save", which have them for layers that
// images share.
package layout
