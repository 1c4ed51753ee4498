package web

// deleteViews are the views of deletes of tags, images and repositories.
func deleteViews() []view { return nil }
