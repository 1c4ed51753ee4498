package web

// imageViews are the views of an image or another artifact.
func imageViews() []view { return nil }
