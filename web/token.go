package web

// tokenViews are the views of tokens.
func tokenViews() []view { return nil }
