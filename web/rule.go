package web

import (
	"strconv"
	"strings"

	"github.com/registrykit/registry/api/types"
)

// ruleWords returns a rule of retention in words.
func (q *request) ruleWords(r types.RetentionRule) ruleWords {
	t := q.language.Text
	w := ruleWords{Name: r.Name}
	switch {
	case r.Untagged:
		w.Covers = append(w.Covers, t("untagged images"))
	case len(r.Tags) > 0:
		w.Covers = append(w.Covers, t("tags like %s", strings.Join(r.Tags, ", ")))
	default:
		w.Covers = append(w.Covers, t("all tags"))
	}
	if len(r.Repositories) > 0 {
		w.Covers = append(w.Covers, t("in repositories like %s", strings.Join(r.Repositories, ", ")))
	}
	for _, c := range r.If {
		w.Covers = append(w.Covers, q.conditionWords(c))
	}
	per := ""
	for _, c := range r.Keep {
		switch c.Name {
		case "per":
			per = t(map[string]string{"major": "counted for each major version", "minor": "counted for each minor version",
				"patch": "counted for each patch version"}[valuesOf(c)])
		case "group":
			per = t("counted for each group that %s names", valuesOf(c))
		}
	}
	for _, c := range r.Keep {
		text := ""
		switch n, _ := strconv.ParseInt(valuesOf(c), 10, 64); c.Name {
		case "per", "group":
			continue
		case "all":
			text = t("everything stays")
		case "none":
			text = t("nothing stays")
		case "newest":
			text = q.language.Count(n, "the newest %s", "the newest %s")
		case "versions":
			text = q.language.Count(n, "the %s highest version", "the %s highest versions")
		default:
			text = q.conditionWords(c)
		}
		if per != "" && (c.Name == "newest" || c.Name == "versions") {
			text += ", " + per
		}
		w.Keeps = append(w.Keeps, text)
	}
	return w
}

// valuesOf returns the values of a condition.
func valuesOf(c types.RetentionCondition) string { return strings.Join(c.Values, ", ") }

// conditionWords returns a condition in words.
func (q *request) conditionWords(c types.RetentionCondition) string {
	t, v := q.language.Text, valuesOf(c)
	switch c.Name {
	case "youngerThan":
		return t("set within the last %s", q.ageWords(v))
	case "olderThan":
		return t("set more than %s ago", q.ageWords(v))
	case "pulledWithin":
		return t("pulled within the last %s", q.ageWords(v))
	case "notPulledWithin":
		return t("not pulled for %s", q.ageWords(v))
	case "labels":
		return t("with the labels %s", v)
	case "annotations":
		return t("with the annotations %s", v)
	case "platforms":
		return t("for %s", v)
	case "artifactTypes":
		return t("of the type %s", v)
	case "signed":
		return t(map[bool]string{true: "signed", false: "not signed"}[v == "true"])
	case "referenced":
		return t(map[bool]string{true: "named by another image", false: "not named by another image"}[v == "true"])
	}
	return c.Name + " " + v
}

// ageWords returns a duration of a rule, such as "30d" or "1d12h", in words. What it cannot read stays as it is.
func (q *request) ageWords(text string) string {
	i := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if i <= 0 {
		return text
	}
	n, err := strconv.ParseInt(text[:i], 10, 64)
	if err != nil {
		return text
	}
	switch text[i:] {
	case "m":
		return q.language.Count(n, "%s minute", "%s minutes")
	case "h":
		return q.language.Count(n, "%s hour", "%s hours")
	case "d":
		return q.language.Count(n, "%s day", "%s days")
	case "w":
		return q.language.Count(n, "%s week", "%s weeks")
	}
	return text
}
