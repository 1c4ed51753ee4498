package interleave

import (
	"context"
	mathrand "math/rand/v2"
)

// actor is somebody who uses the storage: a goroutine that may start others, which all end when it
// ends.
type actor struct {
	id     int
	name   string
	rnd    *mathrand.Rand
	do     func(ctx context.Context, a *actor)
	page   int // elements of a list that are taken at once
	dieAt  int // the call before which it dies, 0 if it does not
	stalls []stall
	made   int // calls
	done   bool
	dead   bool
	diedAt int // by the clock of the schedule
}

// stall is that a call of an actor does not go on for long.
type stall struct {
	at    int    // which call
	write bool   // of those that change something
	op    string // or are this, unless it is ""
	in    string // and have this in their key
	seen  int    // calls that are such
	calls int    // of others meanwhile, if there are so many
}

// call is a goroutine of an actor that is about to make a storage call.
type call struct {
	actor   *actor
	op, key string
	seen    bool // counted
	until   int  // the count of calls before which it does not go on, unless nobody else can
	going   chan error
}

type actorKey struct{}

// add adds an actor. It begins with run.
func (s *schedule) add(seed uint64, name string, do func(ctx context.Context, a *actor)) {
	a := &actor{id: len(s.actors), name: name, do: do, rnd: mathrand.New(mathrand.NewPCG(seed, uint64(len(s.actors)+2)))}
	a.page = []int{1, 1, 2, 1000}[s.rnd.IntN(4)]
	// Early calls more often than late ones, as most operations are short.
	at := func() int { return 1 + s.rnd.IntN(1+s.rnd.IntN(2<<s.rnd.IntN(9))) }
	if s.rnd.IntN(6) == 0 {
		a.dieAt = at()
	}
	// Most harm is done between a look and the write that follows from it.
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
