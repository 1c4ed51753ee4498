package web

// eventViews are the views of live events.
func eventViews() []view { return nil }
