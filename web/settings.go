package web

// settingsViews are the views of the settings of a repository.
func settingsViews() []view { return nil }
