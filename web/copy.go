package web

// copyViews are the views of retagging and copying.
func copyViews() []view { return nil }
