package rules

import "time"

// SetNow replaces the clock of the file.
func (r *Rules) SetNow(now func() time.Time) { r.file.Now = now }
