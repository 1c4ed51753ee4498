package main

import "time"

// scenarios returns the scenarios that are measured on a kind of storage.
func scenarios(c *config, place string) []scenario {
	all := []scenario{syncs(), reads(), images(), mounts()}
	for _, count := range []int{20, 200} {
		all = append(all, referrers(count))
	}
	all = append(all, referrerPushes(), mixed())
	if c.crowd > 0 {
		all = append(all, crowd(c.crowd/time.Duration(c.rounds+1)))
	}
	all = append(all, large(c.large)...)
	all = append(all, deletes(), tagPushes())
	counts := []int{1000, 10_000, 100_000}
	if place == "s3" {
		counts = counts[:1]
	}
	for _, count := range counts {
		all = append(all, tagPages(count))
	}
	catalogue := 10_000
	if place == "s3" {
		catalogue = 1000
	}
	all = append(all, catalog(catalogue))
	if place == "tmpfs" && !c.access {
		all = append(all, starts(c.objects))
	}
	return all
}
