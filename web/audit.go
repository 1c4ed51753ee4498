package web

// auditViews are the views of the audit log.
func auditViews() []view { return nil }
