package web

// sessionViews are the views of sessions.
func sessionViews() []view { return nil }
