package web

// retentionViews are the views of retention.
func retentionViews() []view { return nil }
