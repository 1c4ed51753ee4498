package interleave

import (
	"context"
)

// roles are what an actor can be. A collector is added apart, by addCollectors.
var roles = map[string]func(c *client, ctx context.Context){
	"pusher": (*client).pushSome, "mover": (*client).moveTag, "uploader": (*client).uploadSome,
	"puller":  (*client).pullSome,
	"changer": (*client).changeTags,
	"deleter": (*client).deleteSome, "undoer": (*client).undoSome, "mounter": (*client).mountSome,
	"keeper": (*client).keepHouse,
}

// mixes are the roles that the actors of a run are drawn from: all of them, or those that conflict
// most.
var mixes = map[string][]string{
	"all":   {"pusher", "pusher", "pusher", "mover", "uploader", "puller", "deleter", "deleter", "undoer"},
	"tags":  {"mover", "mover", "pusher", "deleter"},
	"bytes": {"mounter", "mounter", "mounter", "uploader", "pusher"},
	"again": {"pusher", "pusher", "deleter", "deleter"},
	"undo":  {"undoer", "undoer", "deleter", "deleter", "pusher"},
	"whole": {"pusher", "pusher", "deleter", "deleter"},
	// A referrer and its subject are created and deleted, beside collectors that would remove the
	// referrer.
	"referrers": {"pusher", "pusher", "pusher", "pusher", "deleter"},
	// The extra mixes: tags change on conditions; a tag moves between manifests that are deleted.
	"conditions": {"changer"},
	"pointers":   {"mover", "mover", "pusher", "deleter", "deleter"},
	// Manifests to which nothing leads are deleted, beside pushes that tag and name them.
	"unused": {"keeper", "keeper", "keeper", "pusher", "pusher", "mover", "deleter", "undoer"},
}

// extraMixes are the mixes that no seed chooses. A mix that seeds could choose would change what
// every seed does.
var extraMixes = []string{"pointers", "conditions", "unused"}

// addActors adds the actors of a run to the schedule.
func (w *world) addActors(seed uint64) {
	kinds := mixes[w.mode.mix]
	for range 2 + w.s.rnd.IntN(4) {
		name := kinds[w.s.rnd.IntN(len(kinds))]
		w.s.add(seed, name, func(ctx context.Context, a *actor) {
			c := &client{actor: a, w: w, store: w.stores[a.rnd.IntN(len(w.stores))]}
			if done, err := w.s.wait(ctx, "begin", ""); err == nil {
				done(nil)
				roles[name](c, ctx)
			}
		})
	}
	if w.mode.mix == "referrers" { // the collectors come first
		for _, a := range w.s.actors {
			a.stalls = append(a.stalls, stall{at: 1, calls: w.s.rnd.IntN(150)})
		}
	}
	if w.mode.mix == "pointers" {
		for _, a := range w.s.actors {
			if a.name == "deleter" {
				w.stallRemoval(a)
			}
		}
	}
	if w.mode.mix == "unused" {
		for _, a := range w.s.actors {
			if a.name == "keeper" { // before it looks at what it has marked, or before it removes that
				a.stalls = append(a.stalls, stall{op: []string{"List", "Delete"}[w.s.rnd.IntN(2)],
					in: []string{"/m/", "/x/"}[w.s.rnd.IntN(2)], at: 1 + w.s.rnd.IntN(3), calls: 10 + w.s.rnd.IntN(60)})
			}
		}
	}
	w.addCollectors(seed)
}

// addCollectors adds up to three collectors to the schedule.
func (w *world) addCollectors(seed uint64) {
	for range []int{0, 1, 2, 2, 2, 3}[w.s.rnd.IntN(6)] {
		w.s.add(seed, "collector", func(ctx context.Context, a *actor) {
			if done, err := w.s.wait(ctx, "begin", ""); err == nil {
				done(nil)
				c := &client{actor: a, w: w, store: w.stores[a.rnd.IntN(len(w.stores))]}
				c.collectSome(ctx)
			}
		})
		if w.mode.mix == "referrers" && w.s.rnd.IntN(2) == 0 {
			// The collector stalls until the subject has come: before it marks the subject as
			// awaited, or before it removes the manifest that it has marked.
			a := w.s.actors[len(w.s.actors)-1]
			a.stalls = append(a.stalls, stall{op: []string{"Put", "Delete", "Delete"}[w.s.rnd.IntN(3)], in: "/m/",
				at: 1 + w.s.rnd.IntN(2), calls: 400})
		}
		if w.mode.mix == "pointers" {
			w.stallRemoval(w.s.actors[len(w.s.actors)-1])
		}
	}
}

// stallRemoval makes an actor stall before it removes a tag or a back reference.
func (w *world) stallRemoval(a *actor) {
	a.stalls = append(a.stalls, stall{op: "Delete", in: []string{"/t/", "/x/"}[w.s.rnd.IntN(2)], at: 1 + w.s.rnd.IntN(2),
		calls: 20 + w.s.rnd.IntN(80)})
}
