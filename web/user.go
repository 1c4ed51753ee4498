package web

// userViews are the views of users.
func userViews() []view { return nil }
