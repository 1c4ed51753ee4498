package web

// usageViews are the views of usage.
func usageViews() []view { return nil }
