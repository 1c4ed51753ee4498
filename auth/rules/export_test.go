package rules

import "time"

// SetNow has the file looked at by another clock.
func (r *Rules) SetNow(now func() time.Time) { r.file.Now = now }
