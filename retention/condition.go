package retention

import (
	"time"

	"github.com/registrykit/registry/internal/duration"
)

// answer is the answer to a condition. An unknown answer must not let anything go.
type answer uint8

const (
	no answer = iota
	unknown
	yes
)

func answerIf(b bool) answer {
	if b {
		return yes
	}
	return no
}

// opposite returns the answer to the opposite condition.
func (a answer) opposite() answer { return yes - a }

// reason is an answer with words for it: why it is yes, or what is not known.
type reason struct {
	answer
	words string
}

// pulls are what is known about the pulls of an item.
type pulls struct {
	last  time.Time // the last known pull, or zero
	since time.Time // all pulls after that time are known; zero if nothing is known
}

// ages yields the answers about the age, as of now.
func (c *conditions) ages(t *item, now time.Time) (all []reason) {
	ask := func(within *time.Duration) answer {
		if t.set.IsZero() {
			return unknown
		}
		return answerIf(t.set.After(now.Add(-*within)))
	}
	since := "set"
	if t.tag == "" {
		since = "untagged"
	}
	unclear := "since when it is " + since
	if d := c.youngerThan; d != nil {
		a := ask(d)
		all = append(all, reason{a, orUnknown(a, since+" within "+duration.Format(*d), unclear)})
	}
	if d := c.olderThan; d != nil {
		a := ask(d).opposite()
		all = append(all, reason{a, orUnknown(a, since+" more than "+duration.Format(*d)+" ago", unclear)})
	}
	return all
}

// orUnknown returns the words for an answer.
func orUnknown(a answer, words, unclear string) string {
	if a == unknown {
		return "it is not known " + unclear
	}
	return words
}

// pulls yields the answers about pulls, as of now.
func (c *conditions) pulls(known pulls, now time.Time) (all []reason) {
	ask := func(within time.Duration) answer {
		from := now.Add(-within)
		switch {
		case known.last.After(from):
			return yes
		case known.since.IsZero() || known.since.After(from):
			return unknown // a pull may have happened before pulls were recorded
		}
		return no
	}
	if d := c.pulledWithin; d != nil {
		a := ask(*d)
		all = append(all, reason{a, orUnknown(a, "pulled within "+duration.Format(*d),
			"whether it was pulled within "+duration.Format(*d))})
	}
	if d := c.notPulledWithin; d != nil {
		a := ask(*d).opposite()
		all = append(all, reason{a, orUnknown(a, "not pulled within "+duration.Format(*d),
			"whether it was pulled within "+duration.Format(*d))})
	}
	return all
}

// every returns the answer to whether all hold.
func every(all []reason) reason {
	result := reason{answer: yes}
	for _, r := range all {
		if r.answer < result.answer {
			result = r
		}
	}
	return result
}

// some returns the answer to whether at least one holds.
func some(all []reason) reason {
	result := reason{answer: no}
	for _, r := range all {
		if r.answer > result.answer {
			result = r
		}
	}
	return result
}
