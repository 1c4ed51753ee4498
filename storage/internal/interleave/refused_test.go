package interleave

import (
	"fmt"
	"slices"
	"time"
)

// remembered is how long collectors leave alone what a push names that was refused: see
// storage/refuse.go.
const remembered = time.Minute

// checkRefusedOnce demands of a push that was refused, after it had sent all that its manifest names, that
// it was not refused before, unless that is long ago or somebody has deleted something meanwhile.
// The rule needs collectors that keep the grace of the Stores.
func (w *world) checkRefusedOnce(o *op) error {
	if !o.refused || o.kind != opPut || o.ensured == 0 || w.mode.grace == "mixed" {
		return nil
	}
	// Who has found a child there has not sent what that names. A tag that is kept is refused if a
	// user has deleted any of it.
	if o.tag == keptTag && slices.ContainsFunc(w.mans[o.man].children,
		func(c int) bool { return w.interfered(o.repo, c, 0) }) {
		return nil
	}
	for _, before := range w.ops {
		if before.actor != o.actor || before.repo != o.repo || before.man != o.man || before.kind != opPut ||
			!before.refused ||
			before.end >= o.ensured || o.to.Sub(before.from) >= remembered || w.interfered(o.repo, o.man, before.start) {
			continue
		}
		return fmt.Errorf("%s was refused twice, within %v", w.text(o), o.to.Sub(before.from))
	}
	return nil
}
