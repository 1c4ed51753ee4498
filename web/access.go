package web

// accessViews are the views of the question who may do what.
func accessViews() []view { return nil }
