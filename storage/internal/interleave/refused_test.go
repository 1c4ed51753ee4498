package interleave

import (
	"fmt"
	"slices"
	"time"
)

// remembered is how long collections keep what a refused push names. See storage/refused.go.
const remembered = time.Minute

// checkRefusedOnce demands that a client that uploads all that its manifest names is refused at
// most once. It may be refused again after a while, or if another client has deleted something in
// between. The rule holds only if collections use the grace period of the Stores.
func (w *world) checkRefusedOnce(o *op) error {
	if !o.refused || o.kind != opPut || o.ensured == 0 || w.mode.grace == "mixed" {
		return nil
	}
	// A client that has found a child has not uploaded what the child names. The push of a kept tag
	// is refused if a client has deleted any of that.
	interfered := func(c int) bool { return w.interfered(o.repo, c, 0) }
	if o.tag == keptTag && slices.ContainsFunc(w.mans[o.man].children, interfered) {
		return nil
	}
	for _, before := range w.ops {
		same := before.actor == o.actor && before.repo == o.repo && before.man == o.man && before.kind == opPut
		if !same || !before.refused || before.end >= o.ensured || o.to.Sub(before.from) >= remembered ||
			w.interfered(o.repo, o.man, before.start) {
			continue
		}
		return fmt.Errorf("%s was refused twice, within %v", w.text(o), o.to.Sub(before.from))
	}
	return nil
}
