package upstream

// Views returns the number of views that are kept.
func Views(u *Upstream) int {
	u.views.mu.Lock()
	defer u.views.mu.Unlock()
	return len(u.views.young) + len(u.views.old)
}
