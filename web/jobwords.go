package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/registrykit/registry/web/internal/lang"
	"github.com/registrykit/registry/web/internal/plot"
)

// knownJob is a job whose results the page can read.
type knownJob struct{ title, about string }

// knownJobs returns the jobs of this module by name, in English.
func knownJobs() map[string]knownJob {
	return map[string]knownJob{
		"collect":      {"Collection", "Frees the space of content that nothing needs."},
		"retain":       {"Retention", "Removes old images by the rules."},
		"usage":        {"Count", "Counts what repositories hold."},
		"scrub":        {"Scrub", "Reads all content, and finds what is damaged."},
		"audit":        {"Audit log", "Removes old records of the audit log."},
		"mirror-evict": {"Eviction", "Removes from the mirror what was not pulled for long, when it is full."},
		"reindex":      {"Lost events", "Finds changes whose events were lost."},
	}
}

const (
	// maxFields is the maximum number of values of an unknown job on a page.
	maxFields = 20
	// maxField is the maximum length of such a value, in bytes.
	maxField = 200
)

// numbers are the fields of the result or progress of a job.
type numbers map[string]json.RawMessage

// at returns a number, or 0.
func (n numbers) at(name string) int64 {
	var f float64
	if json.Unmarshal(n[name], &f) != nil {
		return 0
	}
	return int64(f)
}

// jobWords returns the result of a job in sentences. name is that of the job, followed by " progress" for a progress.
// The result of an unknown job is a list of its values.
func (q *request) jobWords(name string, result json.RawMessage) []string {
	var n numbers
	if len(result) == 0 || json.Unmarshal(result, &n) != nil || len(n) == 0 {
		return nil
	}
	t, l := q.language.Text, q.language
	size := func(field string) string { return lang.Bytes(n.at(field)) }
	blobs := func(field string) string { return l.Count(n.at(field), "%s blob", "%s blobs") }
	repositories := func() string { return l.Count(n.at("repositories"), "%s repository", "%s repositories") }
	switch name {
	case "collect", "collect progress":
		return []string{t("Freed %s: %s.", size("removedBytes"), blobs("removedBlobs")),
			t("Looked through %s with %s.", repositories(), size("bytes"))}
	case "retain", "retain progress":
		return q.retainWords(n)
	case "usage":
		return q.countWords(n)
	case "usage progress":
		return []string{t("Counted %s of %s.", lang.Number(n.at("repositories")),
			l.Count(n.at("total"), "%s repository", "%s repositories"))}
	case "scrub", "scrub progress":
		return q.scrubWords(n)
	case "audit":
		return []string{t("Removed %s, and merged %s.", l.Count(n.at("removed"), "%s old object", "%s old objects"),
			l.Count(n.at("merged"), "%s small object", "%s small objects"))}
	case "mirror-evict":
		words := []string{t("Evicted %s: %s.", size("evicted"), l.Count(n.at("images"), "%s image", "%s images")),
			t("The mirror has %s now.", size("size"))}
		if string(n["over"]) == "true" {
			words = append(words, t("That is more than its limit, because nothing else may be evicted."))
		}
		return words
	}
	if _, ok := n["unchanged"]; ok && n["copied"] != nil { // a synchronisation, whose name the host chooses
		return []string{t("Copied %s, deleted %s, failed %s; %s unchanged.", lang.Number(n.at("copied")),
			lang.Number(n.at("deleted")), lang.Number(n.at("failed")), lang.Number(n.at("unchanged")))}
	}
	return resultFields(n)
}

// retainWords returns the result of the job of retention.
func (q *request) retainWords(n numbers) []string {
	t, l := q.language.Text, q.language
	words := []string{t("Removed %s and %s, which frees %s.", l.Count(n.at("tags"), "%s tag", "%s tags"),
		l.Count(n.at("manifests"), "%s image", "%s images"), lang.Bytes(n.at("bytes")))}
	if refused := n.at("refused"); refused > 0 {
		words = append(words, l.Count(refused, "%s change was refused.", "%s changes were refused."))
	}
	if alone := n.at("leftAlone"); alone > 0 {
		words = append(words, l.Count(alone, "%s repository was left alone.", "%s repositories were left alone."))
	}
	return words
}

// countWords returns the result of a count.
func (q *request) countWords(n numbers) []string {
	var f numbers
	if json.Unmarshal(n["figures"], &f) != nil {
		return resultFields(n)
	}
	return []string{q.language.Text("Counted %s in %s.", lang.Bytes(f.at("physical")),
		q.language.Count(f.at("repositories"), "%s repository", "%s repositories"))}
}

// scrubWords returns the result of a scrub.
func (q *request) scrubWords(n numbers) []string {
	t, l := q.language.Text, q.language
	words := []string{t("Read %s of %s.", lang.Bytes(n.at("bytes")),
		l.Count(n.at("repositories"), "%s repository", "%s repositories"))}
	if n.at("damaged") == 0 && n.at("lost") == 0 {
		return append(words, t("Nothing is damaged."))
	}
	words = append(words, t("Found %s, of which %s were repaired and %s are no longer served.",
		l.Count(n.at("damaged"), "%s damage", "%s damages"), lang.Number(n.at("repaired")),
		lang.Number(n.at("quarantined"))))
	if lost := n.at("lost"); lost > 0 {
		words = append(words, l.Count(lost, "%s object is lost.", "%s objects are lost."))
	}
	return words
}

// resultFields returns the values of a result by name.
func resultFields(n numbers) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(n)) {
		if len(all) == maxFields {
			return append(all, "…")
		}
		text := string(n[name])
		if s := ""; json.Unmarshal(n[name], &s) == nil {
			text = s
		}
		if len(text) > maxField {
			text = strings.ToValidUTF8(text[:maxField], "") + "…"
		}
		all = append(all, fmt.Sprintf("%.64s: %s", name, text))
	}
	return all
}

// jobPercent returns how much of the work of a job is done, or -1 if the progress does not say so.
func jobPercent(progress json.RawMessage) int {
	var n numbers
	if json.Unmarshal(progress, &n) != nil {
		return -1
	}
	for part, whole := range map[string]string{"repositories": "total", "bytes": "bytesTotal"} {
		if total := n.at(whole); total > 0 {
			return plot.Percent(n.at(part), total)
		}
	}
	return -1
}
