// Package quota limits the bytes and the numbers of repositories, manifests and tags below prefixes of
// repository names. It is a filter: a [registry.Backend] around another one.
//
//	limits, err := quota.Load("quota.yaml")
//	quotas, err := quota.New(store, store, driver, limits, nil)
//	go quotas.Run(ctx)
//	reg, err := registry.New(quotas, nil)
//
// # Limits
//
// Limits are an ordered list, and the first entry that covers a repository decides; a repository that no
// entry covers has no limit:
//
//	limits:
//	- prefix: team              # team, team/app, team/app/web, and not teams
//	  max: {bytes: 100GiB, tags: 10000}
//	  soft: {bytes: 80GiB}      # an event, see Options.Soft and Options.Sink; refuses nothing
//	- prefix: users/ci
//	  unlimited: true
//	- prefix: users/*           # users/ann, users/bob and so on: a limit of its own for each
//	  max: {bytes: 5GiB, repositories: 20}
//	- prefix: ""                # all other repositories together
//	  max: {bytes: 1TiB}
//
// # What counts
//
// A prefix has each blob and each manifest once, however many of its repositories have it. A blob that
// two prefixes have counts in both. So pushing a layer that another repository of the prefix has costs
// nothing. These rules make a figure too large for a while, and never too small, until the next count:
//
//   - A push to one repository counts in full if another push of the same blob goes on at the same time.
//   - A manifest counts again in each further repository of the prefix.
//   - Deletes free nothing before a count. Of a deleted manifest, the blobs stay until a collection.
//   - The bytes of an upload count from when they arrive until it ends or Options.Hold has passed.
//   - Content that is pushed while a count lists its repository may count twice.
//
// # Refusals
//
// A push that would exceed a limit is refused with [ErrExceeded], 403 DENIED, which has the figures. It is
// refused by the first request that shows it: before the body, if its length is known, or as soon as the
// body exceeds what is left. Clients that upload a blob by PATCH do not state its digest, so such an
// upload is refused even if the prefix has the blob already; a mount, or a POST with the digest, is not.
// Deletes and reads are never refused.
//
// If the figure cannot be read or written, a push is refused with registry.ErrUnavailable, 503.
//
// Up to 4096 pushes and unfinished uploads below one prefix can go on at a time. Further ones are
// refused with registry.ErrTooManyRequests, 429. If callers who do not trust each other share a prefix,
// such as "", set storage.Options.MaxUploads well below that, so that none of them can begin so many.
//
// # How it works
//
// The storage has one record for each prefix: the figure of the last count, what pushes have added since,
// and what pushes that are going on hold. A push adds to the record before it stores anything, by a
// compare-and-swap, so pushes on any number of replicas never exceed a limit together. One write serves
// all pushes of a process that wait for it. A process that dies leaves what it holds, which counts until
// a count after Options.Hold. A count lists the repositories of the prefix and replaces the figure, so no
// mistake lasts longer than that. The model internal/model/quota.pml proves these rules.
//
// Run counts a prefix when something was deleted through the filter, when a push was refused, and at
// least every Options.Every. Content that is stored without the filter counts at the next count.
//
// # Cost
//
// A push of a blob makes two further requests to the storage, whether it comes in one request or by PATCH
// and PUT: it looks in the index of the store whether the prefix has the blob, and writes the record. It
// makes one if this process knows that the prefix has the blob, and three if it finds that out. A mount
// makes two. A further chunk of an upload makes none mostly. A push of a manifest makes two, one more for
// each tag if tags are limited, and one in all for what the process knows. If repositories are limited, the
// first push to a repository since the last count makes one or two more. If another replica has written
// the record, the write is repeated after a read. One write serves all pushes of a process that wait. On
// storage that limits the rate of writes to one object, such as once a second, pushes wait for that.
//
// A count makes about five requests for each repository, one for each further thousand blobs, manifests
// and tags of it, and one for each blob and manifest that is new since the last count. It holds 40 bytes
// for each blob and manifest of the prefix in memory, and what usage.Meter.Contents states for the eight
// repositories that it lists at a time. A prefix to which a process has pushed takes about 1 KiB in it.
package quota
