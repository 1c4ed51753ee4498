package web

// signInViews are the views of the sign-in.
func signInViews() []view { return nil }
