package disk

// DefaultListCache is the value of Options.ListCache if that is zero, in bytes.
const DefaultListCache = 64 << 20

// Options are the options of [New]. The zero value is ready to use.
type Options struct {
	// NoSync leaves out every fsync, whatever durability is asked for. A loss of power may then
	// cost any object, also one acknowledged long ago. Default: false.
	NoSync bool
	// ListCache is how many bytes of memory at most keep the sorted names of large directories, so
	// that a page of a list costs the page. Default: DefaultListCache. Negative: nothing is kept.
	ListCache int64
}
