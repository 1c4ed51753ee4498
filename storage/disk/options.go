package disk

// DefaultListCache is the default of Options.ListCache, in bytes.
const DefaultListCache = 64 << 20

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// NoSync skips every fsync, whatever PutOptions.Durability is. A loss of power may then destroy
	// any object, even one that was acknowledged long ago. Default: false.
	NoSync bool
	// NoJournal makes objects durable by syncing their files and directories, without a journal.
	// That takes more waits for the disk. While a Driver uses a directory without a journal, New
	// fails for a Driver with one, and vice versa. Default: false. NoSync implies it.
	NoJournal bool
	// ListCache is the maximum size of the cache of lists, in bytes: the sorted names of
	// directories, and the sizes and times of their files. With it, a page of a list costs time for
	// the page only. Default: DefaultListCache. Negative means no cache.
	ListCache int64
}
