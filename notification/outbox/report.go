package outbox

import "time"

// reportEvery is how often it is logged at most that a sink fails.
const reportEvery = time.Hour

// report is what the log says about a sink.
type report struct {
	at   time.Time // when it was last logged that the sink fails
	open bool      // it was not logged since that the sink works again
}

// report logs that a sink fails, now and then, and that it works again. Without it, nobody would hear
// of a wrong URL before the first event is given up, after days.
func (o *Outbox) report(name string, err error) {
	o.statsMu.Lock()
	r := o.reports[name]
	switch {
	case err == nil && r.open:
		r.open = false
	case err != nil && (r.at.IsZero() || time.Since(r.at) >= reportEvery):
		r = report{time.Now(), true}
	default:
		o.statsMu.Unlock()
		return
	}
	o.reports[name] = r
	o.statsMu.Unlock()
	if err == nil {
		o.opts.Logger.Info("outbox: the sink accepts events again", "sink", name)
		return
	}
	o.opts.Logger.Warn("outbox: the sink fails; its events wait", "sink", name, "error", text(err))
}
