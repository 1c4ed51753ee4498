package accounts

import "context"

// TidyUser removes what Remove and the limit of organisations remove.
func (a *Accounts) TidyUser(ctx context.Context, user ID) error { return a.tidyUser(ctx, user) }
