// Package retention removes old images by rules. A rehearsal writes a plan that people read and
// compare. Applying it removes only what is still as the plan says. It can be undone for as long as
// the store keeps history.
//
//	rules, err := retention.Load("retain.yaml")
//	planner, err := retention.New(store, driver, rules, nil)
//	totals, err := planner.Plan(ctx, planFile)                              // the rehearsal
//	result, err := planner.Apply(ctx, reg.Backend(identity), planFile, nil) // removes
//	result, err = planner.Undo(ctx, reg.Backend(identity), planFile, nil)   // brings back
//
// [Planner.Job] does both in the background, on one replica at a time. [Planner.Evaluate] decides
// about one repository, for a page or a program of its own.
//
// # The file
//
// Rules are about tags. For each tag, the first rule that covers it decides whether the tag stays
// or goes. A tag that no rule covers stays.
//
//	rules:
//	  - name: production
//	    tags: [prod-*]
//	    keep: all
//	  - name: three patches of each minor version
//	    repositories: [team/**, "!team/archive"]
//	    tags: ["*", "!*-rc*"]
//	    keep: {versions: 3, per: minor}
//	  - name: five builds of each branch
//	    tags: ["*-*"]
//	    keep: {newest: 5, group: '^(.*)-[0-9a-f]+$', pulledWithin: 30d}
//	  - name: old images that nobody has signed
//	    if: {olderThan: 90d, signed: false}
//	    keep: none
//	  - name: overwritten images
//	    untagged: true
//	    keep: {youngerThan: 7d}
//
// A rule has these fields:
//
//	name          names the rule in plans. Required.
//	repositories  patterns of repositories. Default: all.
//	tags          patterns of tags. Default: all.
//	untagged      true for a rule about untagged manifests instead of tags
//	if            conditions, all of which must hold; otherwise the rule does not cover the tag
//	keep          what stays of what the rule covers: "all", "none", or conditions of which one is
//	              enough. The rest goes. Required.
//
// These are the conditions. Those marked with i or k can be in "if" or in "keep":
//
//	newest           k   this number of tags, those that were set last
//	versions         k   this number of the highest semantic versions. The rule covers only tags
//	                     with three numbers, such as v1.2.3 or 1.2.3-rc.1, not 1.2 or latest
//	per              k   counts newest or versions for each major, minor or patch version
//	group            k   counts newest or versions for each group: a regular expression. What its
//	                     parts in parentheses match names the group. The rule covers only tags
//	                     that the expression matches
//	youngerThan      ik  the tag was set within this time
//	olderThan        i   the tag was set before this time
//	pulledWithin     ik  the image was pulled within this time, by the tag, under any other tag or
//	                     by its digest, or something that its index names was
//	notPulledWithin  i   the opposite
//	labels           ik  patterns of values by name: {stage: [test, dev], owner: "**"}. All must
//	                     match. An index has the labels of each of its images
//	annotations      ik  the same for the annotations of the manifest
//	platforms        ik  one of these, such as linux/arm64. An index has those of all its images
//	artifactTypes    ik  patterns of the artifact type, or else of the media type of the config
//	signed           ik  true or false: a referrer or tag of cosign, sigstore or Notary Project
//	referenced       ik  true or false: another manifest of the repository names it
//
// A duration is a number with a unit, such as 12h or 30d. In patterns, "*" matches any characters
// but "/", "**" any number of components, "?" one character, and "[a-z]" and "{a,b}" one of
// several. A pattern that begins with "!" excludes what it matches.
//
// An age counts from the last push that set the tag, whatever the age of the image: promoting an
// image by a new tag makes that tag young. A tag that is set to the same image again is young
// again. A deleted tag that is restored has its old age.
//
// Nothing goes on an unknown fact. A tag stays if the configuration of the image cannot be read,
// or if pulls were not recorded for long enough. That counts from the first evaluation with a rule
// about pulls, or from the earliest pull of the repository that is recorded.
//
// Unknown and repeated fields, empty patterns, numbers that are not above zero, conditions that
// cannot hold together, and a rule that an earlier one hides are errors, with the file and line.
//
// # What goes
//
// A tag that goes is removed. When the last tag of a manifest goes, the manifest goes too, and with
// it what it names and its referrers, at any depth. These always stay, whatever the rules say:
//
//   - what an index names that stays, at any depth
//   - the subject and the referrers of what stays, at any depth. A tag that names a manifest by its
//     digest, such as sha256-<hex> or sha256-<hex>.sig, belongs to that manifest: no rule covers
//     it, and it stays and goes with the manifest
//   - immutable tags, see Options.Protects, and pinned images of a mirror
//   - what may be a part of a push in progress: a tag that was set within Options.MinAge, a tag
//     with an image of which something was pushed within that time, such as a new signature, and
//     all that an unfinished push names
//   - manifests that lead to each other in a circle
//   - everything that no rule covers
//
// # Untagged manifests
//
// A manifest is untagged if no tag points at it, no other manifest of the repository names it, and
// it is no referrer of a manifest of the repository. Its age counts from when it became untagged.
// That is known from the history, if the store keeps one. Otherwise it counts from the first
// evaluation that saw it untagged, at the earliest half a grace period after its record was
// written. Both are never earlier than the truth, with one exception: without a history, it is not
// noticed if a manifest was named by an index in between, and without a grace period neither if it
// was tagged.
//
// "keep: none" lets untagged manifests go as soon as Options.MinAge has passed since they were
// pushed, such as those that a push to the same tag has replaced.
//
// # What it costs
//
// For each repository, an evaluation makes one request to find it, one for each thousand tags and
// manifests, and
//
//   - one for each tag that was changed since the process read it last; 20,000 are remembered
//   - if something may go, or for pulledWithin, notPulledWithin, signed, referenced and rules about
//     untagged manifests: one for each manifest that the Planner does not remember (64 MiB, about
//     40,000 images of ten layers), and one for the pins
//   - for labels and platforms: two or three for each image, and each image of an index, about
//     which no other condition has decided (32 MiB are remembered); for annotations and
//     artifactTypes: one
//   - for rules about pulls: one, and one for each replica that records them
//   - for rules about the age of untagged manifests, if there are any: one or two for the notes,
//     and with a history one for each event, until all are found, at most 10,000
//
// A plan also makes one request for each thousand blobs in repositories. It is written and read as
// a stream; one repository is in memory at a time, see Options.MaxElements.
//
// # What it stores
//
// The object y/<repository> notes since when manifests were seen untagged, and since when pulls are
// recorded. Without it, these times count from the next evaluation, so that more stays.
package retention
