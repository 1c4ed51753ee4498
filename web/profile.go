package web

// profileViews are the views of the own account.
func profileViews() []view { return nil }
