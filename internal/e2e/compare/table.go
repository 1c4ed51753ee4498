package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// table is the result of a run on one kind of storage.
type table struct {
	Place  string
	Access bool
	Rounds int
	Sides  []string
	Lines  []*line
}

// line is the result of a row.
type line struct {
	Name        string
	PerMB       bool
	Results     []*result // of the sides that took part
	Allocations float64   `json:",omitempty"` // of this registry, per request
	Verdicts    []verdict
}

// name returns the name of the tables.
func (t *table) name() string {
	if t.Access {
		return t.Place + " with access control"
	}
	return t.Place
}

// side returns the result of a side, or nil.
func (l *line) side(name string) *result {
	for _, r := range l.Results {
		if r.Side == name {
			return r
		}
	}
	return nil
}

// missed returns the number of goals that were missed.
func (t *table) missed() int {
	n := 0
	for _, l := range t.Lines {
		for _, v := range l.Verdicts {
			if !v.Met {
				n++
			}
		}
	}
	return n
}

// wrong returns the number of rows in which this registry gave a wrong answer.
func (t *table) wrong() int {
	n := 0
	for _, l := range t.Lines {
		if ours := l.side(oursName); ours != nil && ours.Wrong != "" {
			n++
		}
	}
	return n
}

// markdown returns the tables: one of processor time, one of everything else, and the failures.
func (t *table) markdown() string {
	var b strings.Builder
	name := t.name()
	fmt.Fprintf(&b, "### %s: processor time of the server\n\nµs for each operation, or for each MB. "+
		"Rounds: %d.\n\n| operation |", name, t.Rounds)
	for _, s := range t.Sides {
		b.WriteString(cell(s))
	}
	b.WriteString(" ÷ base | ÷ limit | goals |\n|---|" + strings.Repeat("---:|", len(t.Sides)+2) + "---|\n")
	for _, l := range t.Lines {
		b.WriteString(l.cpuRow(t.Sides))
	}
	fmt.Fprintf(&b, "\n### %s: rate, time and memory\n\nOperations or MB per second, with the p99 of the time of an "+
		"operation in ms and the peak memory of the server in MiB. p50 in ms, allocations per request, and syncs of "+
		"the limit per operation.\n\n| operation | p50 | allocations | syncs |", name)
	for _, s := range t.Sides {
		b.WriteString(cell(s))
	}
	b.WriteString("\n|---|---:|---:|---:|" + strings.Repeat("---:|", len(t.Sides)) + "\n")
	for _, l := range t.Lines {
		b.WriteString(l.timeRow(t.Sides))
	}
	b.WriteString(t.failures())
	return b.String()
}

// address matches the address of a side in an error.
var address = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// failures returns the list of the sides that failed, with their errors.
func (t *table) failures() string {
	var b strings.Builder
	for _, l := range t.Lines {
		for _, r := range l.Results {
			if r.Wrong != "" {
				reason := address.ReplaceAllString(strings.Join(strings.Fields(r.Wrong), " "), "")
				fmt.Fprintf(&b, "\n- %s, %s: %.200s", l.Name, r.Side, reason)
			}
		}
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	return b.String()
}

func (l *line) title() string {
	if l.PerMB {
		return l.Name + ", MB"
	}
	return l.Name
}

// String is for the progress.
func (l *line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", l.title())
	for _, r := range l.Results {
		if r.Wrong != "" {
			fmt.Fprintf(&b, "  %s failed (%.100s)", r.Side, r.Wrong)
			continue
		}
		fmt.Fprintf(&b, "  %s %s µs %s/s", r.Side, number(r.CPU), number(r.Rate))
	}
	return b.String()
}

// cpuRow returns the row of the table of processor time.
func (l *line) cpuRow(sides []string) string {
	var b strings.Builder
	b.WriteString("|" + cell(l.title()))
	for _, name := range sides {
		r := l.side(name)
		switch {
		case r == nil:
			b.WriteString(cell(""))
		case r.Wrong != "":
			b.WriteString(cell("failed"))
		default:
			b.WriteString(cell(number(r.CPU)))
		}
	}
	for _, name := range []string{baseName, limitName} {
		ours, other := l.side(oursName), l.side(name)
		if ours == nil || other == nil || ours.Wrong != "" || other.Wrong != "" {
			b.WriteString(cell(""))
			continue
		}
		b.WriteString(cell(fmt.Sprintf("%.2f", ours.over(other))))
	}
	var goals []string
	for _, v := range l.Verdicts {
		switch {
		case !v.Met:
			goals = append(goals, fmt.Sprintf("**missed: %s (%s)**", v.Goal, number(v.Value)))
		case v.Goal != everyRow.String(): // which would be in each row
			goals = append(goals, "met: "+v.Goal)
		}
	}
	return b.String() + cell(strings.Join(goals, "; ")) + "\n"
}

// timeRow returns the row of the other table.
func (l *line) timeRow(sides []string) string {
	var p50, allocations, syncs string
	if ours := l.side(oursName); ours != nil && ours.Wrong == "" {
		p50 = number(ours.P50)
	}
	if l.Allocations > 0 {
		allocations = number(l.Allocations)
	}
	if limit := l.side(limitName); limit != nil && limit.Syncs > 0 {
		syncs = number(limit.Syncs)
	}
	row := "|" + cell(l.title()) + cell(p50) + cell(allocations) + cell(syncs)
	for _, name := range sides {
		r := l.side(name)
		switch {
		case r == nil:
			row += cell("")
		case r.Wrong != "":
			row += cell("failed")
		default:
			row += cell(fmt.Sprintf("%s (%s, %s)", number(r.Rate), number(r.P99), number(float64(r.RSS)/(1<<20))))
		}
	}
	return row + "\n"
}

// cell returns a cell of a table and the bar after it.
func cell(text string) string {
	if text == "" {
		return " |"
	}
	return " " + text + " |"
}

// number writes a value with three digits or all digits before the point, and groups of thousands.
func number(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 10 && v != math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 100 && v != math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	digits := strconv.FormatInt(int64(math.Round(v)), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
