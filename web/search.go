package web

// searchViews are the views of the search.
func searchViews() []view { return nil }
