package web

// jobViews are the views of background jobs.
func jobViews() []view { return nil }
