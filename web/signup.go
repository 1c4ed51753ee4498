package web

// signUpViews are the views of the sign-up.
func signUpViews() []view { return nil }
