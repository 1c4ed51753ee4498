package web

// repositoryViews are the views of a repository: its tags, artifacts, untagged manifests and history.
func repositoryViews() []view { return nil }
