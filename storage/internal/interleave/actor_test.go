package interleave

import (
	"context"
	mathrand "math/rand/v2"
)

// actor is one user of the storage. It is a goroutine that may start others, all of which end
// before it ends.
type actor struct {
	id     int
	name   string
	rnd    *mathrand.Rand
	do     func(ctx context.Context, a *actor)
	page   int // the number of elements that one call of a list returns
	dieAt  int // the number of the call before which it dies; 0 if it does not die
	stalls []stall
	made   int // the number of calls it has made
	done   bool
	dead   bool
	diedAt int // the time of its death by the clock of the schedule
}

// stall delays one call of an actor: call number at of those that match.
type stall struct {
	at    int
	write bool   // only Put and Delete match
	op    string // only this operation matches; "" matches any
	in    string // only keys that contain this match
	seen  int    // the number of matching calls so far
	calls int    // how many calls of other actors go first, if they make that many
}

// call is a goroutine of an actor that is about to make a storage call.
type call struct {
	actor   *actor
	op, key string
	seen    bool       // count has counted it
	until   int        // it goes on when schedule.calls reaches this, or when no other call can go on
	going   chan error // receives nil when the call may be made, or errOver
}

// actorKey is the key of the actor in the context of its calls.
type actorKey struct{}

// add adds an actor, which begins when run is called.
func (s *schedule) add(seed uint64, name string, do func(ctx context.Context, a *actor)) {
	a := &actor{id: len(s.actors), name: name, do: do, rnd: mathrand.New(mathrand.NewPCG(seed, uint64(len(s.actors)+2)))}
	a.page = []int{1, 1, 2, 1000}[s.rnd.IntN(4)]
	// Early calls are more likely than late ones, because most operations are short.
	at := func() int { return 1 + s.rnd.IntN(1+s.rnd.IntN(2<<s.rnd.IntN(9))) }
	if s.rnd.IntN(6) == 0 {
		a.dieAt = at()
	}
	// Most stalls are before a write, because most defects need a delay between a read and the
	// write that depends on it.
	for range s.rnd.IntN(4) {
		st := stall{at: at(), calls: []int{20, 100, 400, 1 << 30}[s.rnd.IntN(4)]}
		switch s.rnd.IntN(4) {
		case 0, 1:
			st.write, st.at = true, 1+s.rnd.IntN(1+s.rnd.IntN(12))
		case 2:
			kinds := []string{"/b/", "/m/", "/t/", "/x/"}
			switch name {
			case "collector":
				kinds = []string{"data/", "data/", "dead/", "/b/", "/m/", "/x/"}
			case "mounter", "uploader":
				kinds = []string{"/b/"}
			}
			st.write, st.at, st.in = true, 1+s.rnd.IntN(1+s.rnd.IntN(3)), kinds[s.rnd.IntN(len(kinds))]
		}
		a.stalls = append(a.stalls, st)
	}
	s.actors = append(s.actors, a)
}
