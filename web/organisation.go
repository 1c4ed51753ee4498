package web

// organisationViews are the views of organisations.
func organisationViews() []view { return nil }
