package disk

// DefaultListCache is the default of Options.ListCache, in bytes.
const DefaultListCache = 64 << 20

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// NoSync skips every fsync, whatever PutOptions.Durability is. A loss of power may then destroy
	// any object, even one that was acknowledged long ago. Default: false.
	NoSync bool
	// ListCache is the maximum size of the cache for the sorted names of large directories, in
	// bytes. With it, a page of a list costs time for the page only. Default: DefaultListCache.
	// Negative means no cache.
	ListCache int64
}
