package web

// webhookViews are the views of webhooks.
func webhookViews() []view { return nil }
