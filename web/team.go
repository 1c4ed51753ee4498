package web

// teamViews are the views of teams.
func teamViews() []view { return nil }
