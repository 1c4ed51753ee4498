// Package search finds repositories and accounts by words of their names and descriptions, in an
// index in memory.
//
//	index, err := search.New(store, &search.Options{Accounts: people})
//	go index.Run(ctx) // reads the names, and again every minute
//	...
//	found, err := index.Search(ctx, "web", search.Viewer{Repository: mayPull}, nil)
//
// # Who sees what
//
// The index contains all names, and the caller of [Index.Search] says which of them its own caller
// may see: a [Viewer]. Search asks about every repository before it looks at the query. So neither
// the results, nor their number, nor the time of a search depend on whether a hidden name matches.
//
// # Age
//
// [Index.State] states how old the index is. A refresh lists all names of repositories, and reads a
// limited number of descriptions and accounts, the oldest first. So a new repository is found after
// [Options].Every. With N accounts, a new account is found after at most N / [Options].Reads
// refreshes, and a new description likewise.
package search
