package quota

import "time"

// ExpireAtOnce makes what pushes hold expire at the next count of q, as if Options.Hold had passed.
func ExpireAtOnce(q *Quotas) { q.opts.Hold = -time.Hour }

// CountAtOnce makes Run count without the usual delay.
func CountAtOnce(q *Quotas) { q.settleAfter, q.minAge = 0, 0 }
