package web

// quotaViews are the views of quotas.
func quotaViews() []view { return nil }
