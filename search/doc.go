// Package search finds repositories, tags, images and accounts, in an index in memory.
//
//	index, err := search.New(store, &search.Options{Accounts: people, Content: store})
//	go index.Run(ctx) // reads what there is, and every minute what has changed
//	...
//	found, err := index.Search(ctx, "web arm64", search.Viewer{Repository: mayPull}, nil)
//
// The index also answers how many repositories each namespace has, see [Index.Namespaces]; which images
// share their lowest layers, see [Index.Sharing]; and when something was last pushed to a repository,
// see [Index.Figures].
//
// # Who sees what
//
// The index contains everything, and the caller of [Index.Search] says what its own caller may see: a
// [Viewer]. Search asks about every repository before it looks at the query. So neither the results, nor
// their number, nor the time of a search depend on what a hidden repository has. A tag that is hidden in
// a visible repository is left out as well; only the time of a search can depend on it.
//
// # Age
//
// [Index.State] states how old the index is. A refresh lists all names of repositories, and reads a
// limited number of descriptions and accounts, the oldest first. So a new repository is found after
// [Options].Every. With N accounts, a new account is found after at most N / [Options].Reads
// refreshes, and a new description likewise.
//
// Tags and images are read again of repositories that have changed. A host gives the events of the
// registry to [Index.Notify], a [notification.Sink]: [Index.Run] then reads a repository within a second.
// A host with several replicas gives it the events of all, for example those of outbox.Outbox.Since. In
// addition, each refresh looks at Options.Reads / 10 repositories in their turn, which finds changes
// without an event.
//
// # Cost
//
// To look at a repository, the index lists its tags and manifests, a request for each thousand. It reads
// only those that are new or have changed. The first refresh reads everything: about six requests for a
// repository with one image. The memory is limited by [Options].MaxBytes: an image takes about 400 bytes,
// and 1 KiB more if it has many labels. Of a manifest, the index keeps the first 256 layers, each as 64
// bits; 16 platforms; and labels and annotations up to 1 KiB.
package search
