package web

// mirrorViews are the views of the mirror.
func mirrorViews() []view { return nil }
