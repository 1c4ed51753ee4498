package web

// robotViews are the views of robots.
func robotViews() []view { return nil }
