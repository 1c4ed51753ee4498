package web

// binViews are the views of the bin.
func binViews() []view { return nil }
