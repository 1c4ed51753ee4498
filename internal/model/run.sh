#!/usr/bin/env bash
# Checks the models of this folder with the model checker Spin. README.md says what each model proves.
#
# Each array below lists configurations of one model: the actors that take part, and switches. A configuration of
# "correct" must give a complete search without an error. A configuration of "broken" takes one rule away, and must give
# a counterexample: otherwise the model could not see what the rule is for.
#
#   run.sh        about 300 configurations: about four minutes on two idle cores, 2 GB of memory
#   run.sh full   more actors at once as well
set -euo pipefail
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# One digest, repositories 0 and 1. Names of the actors: see the head of collect.pml.
collect_correct=(
	'UP0 MP0 DEL GL GD EXP ND=1'  # an upload, a push, a user who deletes; records expire
	'UP0 MTB MP1 GL GD EXP ND=1'  # mounted into another repository and pushed there
	'UP1 MT MP0 DEL GL GD ND=1'   # the other way round, with a delete
	'UP0 MP0 MP0B GL GD ND=1'     # two pushes of one manifest
	'UP0 MP0 MP0B DEL GL ND=1'    # and a delete of it
	'UP0 MP0 GL GD GD2 ND=1'      # two collectors of data
	'UP0 UP0B MP0 GL ND=2'        # two uploads of one blob to one repository
	'UP0 UP1 MT MP0 GL ND=2'      # an upload and a mount into one repository
	'HIST UP0 MP0 DEL GL GD ND=1' # a delete that history can undo
	'UP0 MP0 HD0 GL GD ND=1'      # a HEAD refreshes the link
	'UP0 MT00 MP0 GL GD ND=1'     # a commit finds its blob in its own repository
	'STORED MP0 DEL GL GL2 GD GD2 ND=1'     # two collectors of each kind
	'HIST STORED DEL CLR RS0 GL GD ND=1'    # a repository is deleted, and the manifest restored
	'HIST STORED DEL CLR RS0 GL GD EXPH ND=1' # while history is forgotten
	'HIST STORED DEL CLR UP0 MP0 GL ND=2'   # a blob is pushed where it is hidden
	'HIST STORED DEL CLR MT00 RS0 GL ND=1'  # or mounted
	'HIST STORED DEL CLR RS0 RS0B GL ND=1'  # two restores
	'ALONE UP0 MP0 DEL GL GD ND=1'          # an upload without a record
	'ALONE UP0 UP0B MP0 GL ND=2'            # two of one blob
	'ALONE UP1 MT MP0 DEL GL GD ND=1'       # and a mount
	'ALONE HIST STORED DEL CLR UP0 MP0 GL ND=2' # where the blob is hidden
)
collect_full=(
	'UP0 UP0B MP0 GL GD ND=2'
	'UP0 UP1 MP0 GL GD ND=2'
	'UP0 MP0 MP0B DEL GL ND=1'
	'UP0 MP0 GL GL2 GD ND=1'
	'ALONE UP0 UP0B MP0 GL GD ND=2'
	'ALONE UP0 UP1 MT MP0 GL ND=2'
	'HIST UP0 MP0 DEL CLR RS0 GL GD ND=1'
)
# Without expiry of records, the record alone protects an upload; TRUST_RECORD is that older protocol, and shows what
# the order of the collector's looks is for.
collect_correct+=('TRUST_RECORD UP0 MP0 GL GD ND=1')
collect_broken=(
	'TRUST_RECORD UP0 MP0 GL GD EXP ND=1'
	'BROKEN_UPLOAD_NO_LOOK UP0 MP0 GL GD EXP ND=1'
	'BROKEN_UPLOAD_NO_LOOK ALONE UP0 MP0 GL GD ND=1'
	'BROKEN_DROPS_NAMED ALONE UP0 MP0 GL ND=1'
	'BROKEN_UPLOAD_OVERWRITES UP0 UP0B MP0 GL ND=2'
	'BROKEN_NO_RECORD TRUST_RECORD UP0 MP0 GL GD ND=1'
	'BROKEN_RECORDS_LAST TRUST_RECORD UP0 MP0 GL GD ND=1'
	'BROKEN_NO_PEND UP0 MTB MP1 GL GD ND=1'
	'BROKEN_NO_LOOK UP0 MTB MP1 GL GD ND=1'
	'BROKEN_MOUNT_OVERWRITES UP0 UP1 MT MP0 GL ND=2'
	'BROKEN_CHECK_FIRST UP0 MP0 GL GD EXP ND=1'
	'BROKEN_NO_REVIVE UP0 MP0 GL GD EXP ND=1'
	'BROKEN_BLIND_REMOVE UP0 MP0 MP0B GL GD ND=1'
	'BROKEN_BLIND_COMMIT UP0 MP0 GL GD EXP ND=1'
	'BROKEN_BLIND_USER_DELETE UP0 MP0 MP0B DEL GL ND=1'
	'BROKEN_LOOK_FIRST UP0 MP0 GL GD EXP ND=1'
	'BROKEN_BLIND_DELETE UP0 MP0 GL GD EXP ND=1'
	'BROKEN_DATA_LOOK_FIRST UP0 MP0 GL GD EXP ND=1'
	'BROKEN_HISTORY_FIRST HIST UP0 MP0 DEL GL GD ND=1'
	'BROKEN_HISTORY_AFTER HIST UP0 MP0 DEL GL GD ND=1'
	'BROKEN_NO_DATA_LOOK UP0 MP0 GL GD EXP ND=1'
	'BROKEN_DATA_LOOK_BEFORE_MARK UP0 MP0 GL GD EXP ND=1'
	'BROKEN_MARK_FIRST UP0 MP0 GL GD EXP ND=1'
	'BROKEN_MARK_TAKEN_BACK UP0 MP0 GL GD GD2 EXP ND=1'
	'BROKEN_STRAY_DATA_FIRST UP0 MP0 GL GD GD2 EXP ND=1'
	'BROKEN_UNHIDE_AS_MOUNT HIST STORED DEL CLR RS0 ND=1'
	'BROKEN_OVERWRITES_HIDDEN HIST STORED DEL CLR UP0 ND=2'
	'BROKEN_OVERWRITES_HIDDEN HIST STORED DEL CLR MT00 ND=1'
	'BROKEN_BLIND_UNHIDE HIST STORED DEL CLR RS0 GL GD EXPH ND=1'
	'BROKEN_BLIND_HIDE HIST STORED DEL CLR MP0 ND=1'
	'BROKEN_BLIND_HIDDEN HIST STORED DEL CLR RS0 GL EXPH ND=1'
	'BROKEN_HIDDEN_NAMES_NOTHING HIST STORED DEL CLR GD ND=1'
)
# An index, its child and its tag, and the actors of keep.pml.
keep_correct=(
	'P0 P1 DC DI'     # two pushes of the tag, a delete of the child, one of the index
	'P0 PC DC DC2 DI' # the child pushed and deleted over and over
	'P0 DC DI DI2'    # two deletes of the index
	'HELD DC DC2 DP'  # two deletes that the tag forbids, one that it does not
	'HELD DC DP PC'   # and a push
)
keep_full=('P0 P1 PC DC DI')
keep_broken=(
	'BROKEN_NO_UNMARK P0 DC DI'
	'BROKEN_NO_HOLD P0 DC DI'
	'BROKEN_NO_RELOOK P0 DC DI'
	'BROKEN_LOOK_FIRST P0 DC DI'
	'BROKEN_BLIND_REMOVE P0 DC DI'
	'BROKEN_BLIND_RETRACT P0 P1 PC DC'
	'BROKEN_OTHERS_MARK HELD DC DP'
)

# A manifest, its tag with the back reference, and an index that names it; the actors of tags.pml.
tags_correct=(
	'P0 P1 GU'         # two pushes of the tag, a collector of untagged manifests
	'P0 P1 DM'         # and a user's delete
	'P0 GU GU2'        # two collectors
	'PI PI2 DM GU'     # pushes of an index, and a delete of what it names
	'PI DI GU GU2'     # the index comes and goes
	'HIST P0 MV GU'    # the tag moves; history holds what it pointed at
	'HIST PI DI DM GU' # an index that history holds
	'P0 MV GB'         # the tag moves, and its back reference is collected
	'P0 MV DM'         # or the manifest is deleted
	'NEW P0 P1 GB GO'  # new manifests, and what leads to none
	'P0 DM DM2'        # two deletes
	'P0 HD DM GB'      # a HEAD refreshes the manifest
	'THERE P0 P1 DM'   # two pushes move the tag to a manifest that is deleted
	'THERE P0 P1 GU GN' # or collected, while others take back that it is about to move
	'THERE P0 GU GB'   # and its back reference is collected
	'THERE P0 DM GB'
	'THERE P0 P1 GB'
	'THERE P0 MV DT'   # the tag moves here and elsewhere, and is deleted
	'THERE P0 DM GO GN' # and what leads nowhere is collected
	'HERE0 MV P0 DM'   # the tag moves elsewhere, and back
	'HERE0 MV MV2 DM'  # or elsewhere twice
	'HERE0 MV P0 GB'
	'HIST THERE P0 MV GU' # and history holds what it pointed at meanwhile
	'COND THERE P0 P1 DM' # on a condition, to a manifest that is deleted
	'COND P0 P1 DM'       # or where the tag is not there
	'COND THERE P0 P1 MV DT' # or moves elsewhere, or is deleted
	'P0 P1 DU'         # two pushes of the tag, a delete if nothing leads to the manifest
	'PI DI DU GU'      # beside an index that comes and goes, and a collector
	'THERE P0 DU GN'   # a push moves the tag here, while pending moves are taken back
	'HERE0 MV P0 DU'
	'P0 DU DU2'        # two such deletes
	'P0 DM DU'         # and a delete in any case
	'HIST P0 MV DU'    # the tag moves; history holds what it pointed at
	'HIST PI DI DU'    # an index that history holds
)
tags_full=('P0 MV GU GB' 'COND THERE P0 P1 GU GN')
tags_broken=(
	'BROKEN_UNUSED_LOOK_FIRST P0 DU'
	'BROKEN_UNUSED_LOOK_FIRST PI DU'
	'BROKEN_UNUSED_NO_PENDING PI DU'
	'BROKEN_UNUSED_NO_RELOOK P0 DU'
	'BROKEN_UNUSED_BLIND P0 DU'
	'BROKEN_UNUSED_EVENT_AFTER HIST P0 MV DU'
	'BROKEN_COND_ONCE COND THERE P0 P1'
	'BROKEN_COND_FORGOTTEN COND P0 DM'
	'BROKEN_COND_AGAIN COND P0 DM'
	'BROKEN_ONE_WRITE THERE P0 GU'
	'BROKEN_BLIND_NEXT THERE P0 P1'
	'BROKEN_NO_LOOK THERE P0 GU'
	'BROKEN_LOOK_BEFORE_NEXT THERE P0 GU'
	'BROKEN_BLIND_MOVE THERE P0 GU GN'
	'BROKEN_ANY_NEXT THERE P0 P1 GU GN'
	'BROKEN_REFUSED_REMOVES_TAG THERE P0 GU'
	'BROKEN_REFUSED_BESIDE_PENDING P0 P1 GU'
	'BROKEN_REFUSED_KEEPS_TAG P0 P1 DM'
	'BROKEN_REFUSED_NO_TOUCH P0 P1 DM'
	'BROKEN_REFUSED_NO_BACKREF P0 P1 DM'
	'BROKEN_EVENT_ONCE HIST THERE P0 MV'
	'BROKEN_UNTAGGED_IGNORES_NEXT THERE P0 GU'
	'BROKEN_BACKREFS_IGNORE_NEXT THERE P0 GB'
	'BROKEN_DELETE_IGNORES_NEXT THERE P0 DM'
	'BROKEN_DELETE_NEXT_CHANGED THERE P0 P1 DM'
	'BROKEN_DELETE_TAG_CHANGED HERE0 MV DM'
	'BROKEN_NO_STAT P0 GU'
	'BROKEN_NO_STAT P0 DM'
	'BROKEN_CHECK_FIRST PI GU'
	'BROKEN_NO_UNMARK PI GU'
	'BROKEN_NO_PENDING PI GU'
	'BROKEN_NO_TAGS P0 GU'
	'BROKEN_HISTORY_FIRST HIST P0 MV GU'
	'BROKEN_LOOK_FIRST P0 GU'
	'BROKEN_LOOK_FIRST PI GU'
	'BROKEN_NO_RELOOK P0 GU'
	'BROKEN_BLIND_POINTERS P0 GU'
	'BROKEN_BLIND_REMOVE P0 GU'
	'BROKEN_DELETE_NO_RELOOK P0 DM'
	'BROKEN_BACKREF_BEFORE_TAG P0 DM'
	'BROKEN_BLIND_TAG P0 DM'
	'BROKEN_BLIND_DELETE P0 DM'
	'BROKEN_NO_TOUCH P0 GB'
	'BROKEN_TOUCH_AFTER P0 GB'
	'BROKEN_NO_SECOND_LOOK P0 GB'
	'BROKEN_BLIND_BACKREF P0 GB'
	'BROKEN_BLIND_ORPHAN P0 DM GO'
	'BROKEN_BLIND_ORPHAN_BACKREF P0 DM GO'
)

# Three tags that move on a condition; the actors of leads.pml.
leads_correct=(
	'A S'    # two tags, and one of them alone
	'A DT'   # or a delete of it
	'A B'    # pushes with one tag in common
	'A C'    # or both
	'A B S'
	'A S U'  # a push without a condition comes in between
	'A S DL' # the lead is deleted
	'A C TB' # pending moves are taken back
	'A B TB'
)
leads_full=('A C S' 'E B S' 'A S U TB')
leads_broken=(
	'BROKEN_NO_WAY A S'
	'BROKEN_NO_ABORT A S'
	'BROKEN_NOT_READY A B'
	'BROKEN_NO_EVIDENCE A S TB'
	'BROKEN_LEAVES_NEXT A S DL'
)

# A referrer, its subject and its entry; the actors of refs.pml.
refs_correct=(
	'STORED PS GU GC'  # a push of the subject, a collector of untagged manifests, one that cleans up after it
	'STORED PS DR GU'  # and a user's delete of the referrer
	'STORED PS DR GU GC'
	'PR PS GU GP'      # both are pushed, and what is pending is collected
	'STORED PR PS DS GU' # and a user's delete of the subject
)
refs_full=('STORED PS GU GU2 GC' 'PR PS PS2 GU' 'PR PS DR GU')
refs_broken=(
	'BROKEN_NO_AWAITED STORED PS GU'
	'BROKEN_AWAITED_FIRST STORED PS GU GC'
	'BROKEN_AWAITED_SHARED STORED PS GU GU2'
	'BROKEN_NO_RELEASE STORED PS GU'
	'BROKEN_RELEASE_AFTER STORED PS PS2 GU'
	'BROKEN_NO_RELEASE_CLEAN STORED PS GU GC'
	'BROKEN_NO_RELEASE_END STORED PS GU GU2'
	'BROKEN_ENTRY_FIRST STORED PS GU'
	'BROKEN_ENTRY_ANYHOW STORED PS GU'
	'BROKEN_ANY_MARK STORED PS GU DR'
	'BROKEN_TAKES_OVER STORED GU DR'
	'BROKEN_BLIND_PUSH STORED PS GU GU2'
	'BROKEN_BLIND_FORGET STORED PS GU GU2'
	'BROKEN_BLIND_RELEASE STORED PS GU GC'
	'BROKEN_BLIND_ENTRY PR PS GU'
	'BROKEN_BLIND_REMOVE STORED PS GU'
	'BROKEN_BLIND_REMOVE_ENTRY STORED PR GU'
)

# A known manifest, what it names, and the epochs of the repository; the actors of known.pml.
known_correct=(
	'PK PK2 DC DC2'    # two pushes of the manifest, two deletes of what it names
	'PK PK2 DC PC'     # which is pushed again
	'NEW PK PK2 PO DC' # the manifest is new, and a push of another begins epochs
)
known_full=()
known_broken=(
	'BROKEN_NO_UNMARK PK PK2 DC'
	'BROKEN_NO_EPOCH PK PK2 PO DC'
	'BROKEN_LOOK_FIRST PK PK2 DC'
	'BROKEN_OVER_FIRST PK PK2 DC'
	'BROKEN_OVER_AFTER PK DC'
	'BROKEN_NO_MARK PK PK2 DC'
	'BROKEN_BLIND_REMOVE PK PK2 DC'
)

# A manifest, and pushes of it under two media types; the actors of types.pml.
types_correct=('PA PB PB2' 'PA PA2 PB')
types_full=()
types_broken=(
	'BROKEN_NO_MARK PA PB'
	'BROKEN_LOOK_FIRST PA PB'
	'BROKEN_BLIND_TYPE PA PB'
	'BROKEN_NO_UNMARK PA PB PB2'
	'BROKEN_NO_STAT PA PB'
	'BROKEN_KEEPS_TAG PA PB'
)

# The outbox: one process that writes events, its own delivery, and others that take over; the actors of outbox.pml.
outbox_correct=(
	'TRIES=1 WR OW TK'     # another process takes the cursor over, and closes the stream
	'TRIES=1 LATE WR TK RM' # writes arrive late, and the stream is removed
	'WR TK RM'
	'WR OW TR'             # the stream is trimmed
	'WR RI CRASH'          # the writer dies, and its changes are found
)
outbox_full=('WR OW TK' 'TRIES=1 WR OW TK TR' 'TRIES=1 WR OW TK TK2' 'TRIES=1 WR OW TK RM RM2')
outbox_broken=(
	'BROKEN_ACK_FIRST WR OW TK'
	'BROKEN_BLIND_BATCH WR OW TK'
	'BROKEN_UNCLEAR WR OW TK'
	'BROKEN_ANY_CONTENT WR OW TK'
	'BROKEN_NO_FENCE WR OW TK'
	'BROKEN_BLIND_FENCE WR OW TK'
	'BROKEN_CURSOR_FIRST WR OW TK'
	'BROKEN_BLIND_CURSOR WR OW TK'
	'BROKEN_GAP_AFTER WR OW TR'
	'BROKEN_NO_GAP WR OW TR'
	'BROKEN_BLIND_GAP WR OW TR'
	'BROKEN_NO_AGE WR TK RM'
	'BROKEN_REMOVES_SOON WR TK RM'
	'BROKEN_REMOVES_UNSENT WR TK RM'
	'BROKEN_NO_GRACE WR RI CRASH'
	'BROKEN_NO_SECOND_LOOK WR RI CRASH'
)

# Events that wait for webhooks of users, and the process that takes them over; the actors of endpoints.pml.
endpoints_correct=(
	'NO DA LV TK DB CR'      # a process dies or is paused, and loses its deliveries
	'DOWN NO DA LV TK DB CR' # while one receiver is down for ever
)
endpoints_full=()
endpoints_broken=(
	'BROKEN_ACK_FIRST NO DA TK DB CR'
	'BROKEN_REMOVE_FIRST NO DA TK DB CR'
	'BROKEN_NO_REDISCOVER DOWN NO DA TK DB CR'
	'BROKEN_NO_MISSING NO DA TK DB CR'
)

# One name that accounts want, and the list of admins; the actors of accounts.pml.
accounts_correct=(
	'S1 S1B S2'           # two sign-ups, one of them repeated by another process
	'S1 S1B TI'           # a sign-up, while what is left behind is removed
	'S1 S2 TI'
	'S1 R3 R3B'           # a sign-up, and two renames of one account
	'S1 R3 TI'
	'HAS RL S1 R3 TI'     # a name is released, and its account wants it back
	'HAS RL R3 R3B S1'
	'HAS RM S1 TI'        # an account is removed
	'HAS RL RM S1 S2'
	'RM R3 S1 TI'
	'HAS RM AD RL S1'     # while it becomes an admin
)
accounts_full=('S1 S1B S2 TI' 'S1 R3 R3B TI' 'HAS RL R3 R3B S1 TI')
accounts_broken=(
	'BROKEN_NO_BURY S1 S2'
	'BROKEN_NO_UNMARK R3 S1'
	'BROKEN_NO_UNMARK HAS RL R3 S1'
	'BROKEN_BLIND_CLAIM S1 S2'
	'BROKEN_BLIND_CLAIM R3 S1'
	'BROKEN_PASSWORD_LAST S1'
	'BROKEN_COMMIT_FIRST S1 S2'
	'BROKEN_MARK_LAST R3 S1'
	'BROKEN_KEEPS_CLAIM R3 R3B S1'
	'BROKEN_NO_MARK R3 S1'
	'BROKEN_ANY_MARK R3 R3B S1'
	'BROKEN_RELEASE_FIRST HAS RL S1'
	'BROKEN_FORGETS_RELEASE HAS RL S1 R3'
	'BROKEN_NO_QUARANTINE HAS RM S1'
	'BROKEN_DISMISS_FIRST RM AD'
	'BROKEN_NO_DISMISS RM AD'
	'BROKEN_BLIND_REMOVE RM AD'
	'BROKEN_NO_ENTRY RM AD'
	'BROKEN_NO_TOUCH RM AD'
	'BROKEN_BLIND_TIDY S1 S2 TI'
	'BROKEN_TIDY_NO_BURY S1 TI'
)

# Searches of more than ten seconds, as MODEL:CONFIGURATION with commas: their program is optimized.
large=(
	collect:UP0,MP0,MP0B,GL,GD,ND=1
	collect:UP1,MT,MP0,DEL,GL,GD,ND=1
)
for model in collect keep tags leads refs outbox quota accounts journal; do
	declare -n full=${model}_full
	for c in "${full[@]}"; do large+=("$model:${c// /,}"); done
done

# search DIR CONFIGURATION MODEL writes the report of the search to DIR/report. The exit code of pan says nothing: it is 0
# also after an error.
#
# Most searches take less than a second, and an optimizing compiler would take several times as long as the search.
search() {
	local dir=$1 flags optimize=-O0 stuck=
	[[ $3 != journal ]] || stuck=-E # its processes wait for ever once power is lost
	[[ " ${large[*]} " != *" $3:${2// /,} "* ]] || optimize=-O2
	read -ra flags <<<"$2"
	mkdir "$dir"
	cd "$dir"
	spin -a "${flags[@]/#/-D}" "$folder/$3.pml" >spin.log
	gcc "$optimize" -w -DSAFETY -DCOLLAPSE -o pan pan.c
	./pan -m1000000 -w22 $stuck >report
}

# verdict DIR prints complete, violated or unfinished. Only a failed assertion is a violation: a search that runs out of
# depth or memory proves nothing.
verdict() {
	local report=$1/report
	if grep -q 'assertion violated' "$report"; then
		echo violated
	elif grep -qE 'Search not completed|max search depth|out of memory' "$report" ||
		! grep -q 'errors: 0$' "$report"; then
		echo unfinished
	else
		echo complete
	fi
}

bad=0 n=0 running=0 cores=$(nproc)
# check WANT CONFIGURATION MODEL starts a search. As many searches run at once as there are cores.
check() {
	((running < cores)) || finished
	n=$((n + 1)) running=$((running + 1))
	one "$@" "$work/$n" &
}

# finished waits until one search has ended.
finished() {
	wait -n || bad=1
	running=$((running - 1))
}

# one WANT CONFIGURATION MODEL DIR runs a search and prints its verdict. It fails if WANT is another.
one() {
	local dir=$4 start=$SECONDS got states wrong=
	(search "$dir" "$2" "$3")
	got=$(verdict "$dir")
	states=$(awk '/states, stored/ {print $1}' "$dir/report")
	[[ $got == "$1" ]] || wrong="  expected: $1"
	printf '%-10s %12s states %4d s  %s: %s%s\n' "$got" "$states" $((SECONDS - start)) "$3" "$2" "$wrong"
	rm -rf "$dir"
	[[ -z $wrong ]]
}

# covered MODEL CONFIGURATIONS demands that the configurations take away every rule that the model can take away.
covered() {
	local rule
	for rule in $(grep '^#' "$folder/$1.pml" | grep -oP 'BROKEN_\w+' | sort -u); do
		[[ " $2 " == *" $rule "* ]] ||
			{ echo "no configuration takes away $rule"; bad=1; }
	done
}

# A blob that replicas of a mirror fill; the actors of fill.pml.
fill_correct=(
	'R1 R2 R3'                     # nobody dies, and nobody waits for ever
	'R1 R2 WRONG=1'                # the upstream sends a wrong block
	'R1 R2 KILLS=1 WRONG=1'        # and a replica dies
	'R1 R2 SLOW=1 WRONG=1'         # or a replica takes the lease of one that lives
	'R1 R2 KILLS=1 SLOW=1 WRONG=1' # or both
	'TRIES=2 R1 R2 WRONG=1 CL'     # while leases are cleaned up
)
fill_full=('R1 R2 KILLS=1 WRONG=1 CL')
fill_broken=(
	'BROKEN_BLIND_APPEND R1 R2 SLOW=1 WRONG=1'
	'BROKEN_NO_BECAME R1 R2 R3 WRONG=1'
	'BROKEN_NO_ABANDON R1 R2 SLOW=1 WRONG=1'
	'BROKEN_NO_MOVE R1 R2 SLOW=1 WRONG=1'
	'BROKEN_NO_DIGEST R1 WRONG=1'
	'BROKEN_NO_LOOK R1 R2'
)

# The record of a limited prefix, pushes that its quota admits, and counts; the actors of quota.pml.
quota_correct=(
	'PU PU1 PU2 RC'           # three pushes of two blobs, of which one more fits, and a count
	'PU PU1 MT DA RC'         # beside a mount of a blob whose source is deleted
	'MT MB DA DB RC'          # mounts in both directions, and deletes of both
	'MT DA RC RC2'            # two counts at once
	'LIMIT=1 PU MT DA RC RC2' # in a prefix that is full
)
quota_full=('PU MT MB DA DB RC' 'PU MT DA RC RC2')
quota_broken=(
	'BROKEN_COMMIT_FIRST PU RC'
	'BROKEN_NO_CONDITION PU PU1'
	'BROKEN_UNKNOWN_IS_NOT_STORED PU RC'
	'BROKEN_SAME_EPOCH PU RC'
	'BROKEN_EPOCH_OF_HOLD PU RC'
	'BROKEN_OLDER_COUNT PU RC RC2'
	'BROKEN_DROPS_HOLDS PU RC'
	'BROKEN_FREE_NOT_HELD MT DA RC'
	'BROKEN_FREE_FORGOTTEN MT DA RC'
	'BROKEN_FREE_STAYS_FREE MT DA RC'
	'BROKEN_NO_GENERATION MT DA RC'
	'BROKEN_EXPIRE_DROPS PU RC'
	'BROKEN_EXPIRE_AT_PUBLISH PU RC'
)

# One object of a directory, its journal, and the actors of journal.pml.
journal_correct=(
	'PD POWER'             # a Durable Put, and power is lost anywhere
	'PF SY POWER'
	'PD CK POWER'          # beside a checkpoint
	'PF SY CK POWER'
	'HAS DE SY POWER'      # a Delete, and a Sync of the object or of its absence
	'HAS OLD DE SY POWER'  # while a checkpoint is under way
	'PF DE SY POWER'
	'PF DE SY KILL'        # the same, and all processes are killed
	'HAS DE PR SY KILL'
	'FAIL PF SY SY2 POWER' # a sync of the journal fails
)
journal_full=('PF DE SY CK POWER' 'PF SY CK CK2 POWER' 'HAS DE SY SY2 CK POWER')
journal_broken=(
	'BROKEN_RECORD_FIRST HAS DE SY KILL'
	'BROKEN_NO_RECORD HAS SY DE KILL'
	'BROKEN_NO_ABSENT HAS SY DE SY2 POWER'
	'BROKEN_LOOK_FIRST HAS DE SY KILL'
	'BROKEN_KERNEL_TIME HAS DE PR SY KILL'
	'BROKEN_TORN PD POWER'
	'BROKEN_TORN HAS PF POWER'
	'BROKEN_NO_TEMP HAS PF CK POWER'
	'BROKEN_CUT_FIRST PF SY CK POWER'
	'BROKEN_SYNC_FIRST PF SY CK POWER'
	'BROKEN_NO_DIRECTORY PF SY CK POWER'
	'BROKEN_NO_TRUNCATE PF SY SY2 POWER'
	'BROKEN_TRUST FAIL PF SY SY2 POWER'
	'BROKEN_ANY_TIME PF PR SY KILL'
	'BROKEN_SAME_TIME PF SY POWER'
	'BROKEN_FIRST_RECORD PF PF2 SY SY2 POWER'
	'BROKEN_REPLAY_UNSYNCED PF SY POWER'
	'BROKEN_REPLAY_ALIVE HAS SY DE RP KILL'
	'BROKEN_NEWEST_FIRST HAS OLD DE SY POWER'
	'BROKEN_SYNC_ONCE HAS OLD DE SY POWER'
)

for model in collect keep tags leads refs known types outbox endpoints fill quota accounts journal; do
	declare -n correct=${model}_correct broken=${model}_broken full=${model}_full
	covered "$model" "${broken[*]}"
	for c in "${correct[@]}"; do check complete "$c" "$model"; done
	for c in "${broken[@]}"; do check violated "$c" "$model"; done
	[[ ${1-} == full ]] || continue
	for c in "${full[@]}"; do check complete "$c" "$model"; done
done
while ((running > 0)); do finished; done
exit "$bad"
