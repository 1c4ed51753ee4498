/*
 * journal.pml - the journal of storage/disk: the files of small objects are not synced; a journal that
 * all processes share makes them durable. Processes are killed anywhere, and power is lost anywhere,
 * also during the replay.
 *
 * One key. Its states have the numbers 0, 1, 2, ...: each change under the lock of the directory takes
 * the next number, which is the modification time of the file and of the directory.
 *   V          the state that all processes see
 *   D          the state on disk: the kernel writes the directory when it likes (FS), or when it is synced
 *   C          bit s: the bytes of state s are on disk. Without them the file is torn after a loss of power
 *   ours       the time of the directory is that of the last change, and not one of the kernel: a process
 *              is between its change and setting the time, or was killed there
 *   temp       bit s: the temporary file of a Put that will become state s has its bytes
 *   kind[s]    ABSENT, or how s was put; REPL is a Deferred Put that replaced an object
 * The journal has the segments lo..hi, of which the last one is written:
 *   rec        the records of a segment: s (a Put), GONE+t (no object, remove a file of time t or older),
 *              REPAIR+s (the bytes of s, for a file of that time). synced of them are on disk; a loss of
 *              power may leave more
 *   torn       a process was killed in the middle of a record; records from bad on cannot be read
 *   lost       fdatasync failed: the records from here on will never be on disk
 *   there      bit n: segment n is in the directory of the journal. onDisk: and this is durable
 * acked is the latest state for which a Sync or a Durable Put has returned. known is the ledger.
 *
 * Promises, checked after each replay: a loss of power leaves state acked or a later one, whole. After a
 * Relaxed Put it may leave nothing or a torn object, and after a Deferred Put a torn new object. A kill of
 * all processes changes nothing, but may undo a Delete that it interrupted.
 *
 * Actors, each a process of its own: PR PR2 PF PF2 PD PD2 Relaxed, Deferred and Durable Puts; DE DE2
 * Deletes; SY SY2 Syncs; CK CK2 checkpoints; RP a process that opens the directory while others are
 * alive. POWER: power is lost, once or twice. KILL: all processes are killed, and then power may be lost.
 * FAIL: one fdatasync fails. HAS: the object exists at first, as state 1. OLD: and its record is in a
 * segment that a checkpoint has not freed yet. -DBROKEN_x takes one rule away.
 *
 * Left out: adopted files, whose time is not a number of a change (the journal says "kept"); clocks that
 * run backwards; the reuse of segments; failed checkpoints, which cut nothing.
 */
#define GONE   16
#define REPAIR 32
#define MAXSEG 3
#define MAXREC 5
#define BIT(n) (1<<(n))

#define ABSENT  0
#define RELAXED 1
#define DEFER   2
#define REPL    3
#define DURABLE 4

typedef segment { byte rec[MAXREC]; byte count; byte synced; bool torn; byte bad = 255; byte lost = 255 }

byte V, D, C, temp, clock, acked, known;
byte kind[8];
segment S[4];              /* 1..MAXSEG */
byte lo = 1, hi = 1;
byte there = 2, onDisk = 2;
bool ours = 1;
bool off;                  /* power is lost, or all processes are killed */
bool dirLock, fileLock, checkpoint;
byte undone;               /* Deletes that were killed, or are, between the removal and their record */
bool failed;

#define present(s) (kind[s] != ABSENT)
#define LIVE  !off &&
#define NOW   !off ->
#define WHOLE C = C | BIT(V) | temp      /* syncfs also writes temporary files */

/* The kernel writes what it likes. */
proctype FS() {
end: do
    :: atomic { LIVE D != V -> D = V }
    :: atomic { LIVE !(C & BIT(V)) -> C = C | BIT(V) }
    od
}

/* begin and finish write record r to the segment that is written now, whose number they set n to. The
 * caller holds the lock of the journal. begin leaves a torn record, in case the process is killed. */
inline begin() {
    n = hi;
    if
#ifdef BROKEN_NO_TRUNCATE
    :: S[n].torn && S[n].bad == 255 -> S[n].bad = S[n].count
#endif
    :: else -> skip
    fi;
    S[n].torn = 1
}

inline finish(r) {
    S[n].rec[S[n].count] = r; S[n].count++; S[n].torn = 0; fileLock = 0
}

/* fdatasync of segment n. */
inline flush() {
    atomic { NOW
        if
#ifdef FAIL
        :: !failed && S[n].synced < S[n].count -> failed = 1; S[n].lost = S[n].synced; ok = 0
#endif
        :: S[n].lost == 255 -> S[n].synced = S[n].count; ok = 1
#ifdef BROKEN_TRUST
        :: S[n].lost != 255 -> ok = 1    /* the system reports a lost write only once */
#else
        :: S[n].lost != 255 -> ok = 0    /* nobody trusts the segment again */
#endif
        fi
    }
#ifndef BROKEN_NO_DIRECTORY
    atomic { NOW onDisk = there }       /* each process, once for each segment: its maker may have died */
#endif
}

/* makeDurable is Sync of the key. */
inline makeDurable() {
    s = 255;
    do
    :: atomic { LIVE present(V) && (known & BIT(V)) -> s = V } break
    :: else ->
#ifdef BROKEN_LOOK_FIRST
        atomic { NOW s = V; t = clock; ok = ours }
        atomic { LIVE !fileLock -> fileLock = 1 }
        atomic { NOW
#else
        atomic { LIVE !fileLock -> fileLock = 1; s = V; t = clock; ok = ours;
#endif
            if
            :: present(s) -> ok = 1; begin()
#ifdef BROKEN_NO_ABSENT
            :: !present(s) -> ok = 1; n = hi; fileLock = 0
#else
#ifdef BROKEN_KERNEL_TIME
            :: !present(s) && !ok -> if :: t = clock - 1 :: t = clock + 1 fi; ok = 1; begin()
#else
            :: !present(s) && !ok -> fileLock = 0
#endif
            :: !present(s) && ok -> begin()
#endif
            fi }
        if
        :: ok -> atomic { NOW
                if
#ifdef BROKEN_NO_ABSENT
                :: !present(s) -> skip
#endif
                :: fileLock = 0; goto dead
                :: present(s) -> finish(s)
#ifndef BROKEN_NO_ABSENT
                :: !present(s) -> finish(GONE+t)
#endif
                fi }
            flush();
            if :: ok -> break :: else -> goto dead fi
        :: else -> atomic { LIVE !dirLock -> ours = 1 }    /* sets the time of the directory */
        fi
    od;
    atomic { NOW known = known | BIT(s); if :: acked < s -> acked = s :: else -> skip fi }
}

proctype Sync() {
    byte s, n, t; bool ok;
    makeDurable();
dead: skip
}

#define REPLACES (how == DEFER && present(V))

proctype Put(byte how) {
    byte s, n, t; bool ok;
again:
    s = 255;
    if
#ifdef BROKEN_TORN
    :: 0 -> skip
#else
    :: how == DURABLE || REPLACES ->
        /* The bytes are durable before they are visible. */
        atomic { LIVE !fileLock -> fileLock = 1; s = clock + 1; temp = temp | BIT(s); begin() }
        atomic { NOW if :: fileLock = 0; goto dead :: finish(REPAIR+s) fi }
        flush();
        if :: ok -> skip :: else -> goto dead fi
#endif
    :: else -> skip
    fi;
    atomic { LIVE !dirLock ->
        if
        :: s != 255 && s != clock + 1 -> goto again      /* another change took the number */
#ifndef BROKEN_TORN
        :: s == 255 && REPLACES -> goto again
#endif
        :: else -> clock++; kind[clock] = (REPLACES -> REPL : how); V = clock; ours = 0; dirLock = 1
        fi
    }
    atomic { NOW dirLock = 0; if :: goto dead :: ours = 1 fi }
    if :: how == DURABLE -> makeDurable() :: else -> skip fi;
dead: skip
}

proctype Delete() {
    byte s, n; bool ok;
    atomic { LIVE !dirLock -> if :: !present(V) -> goto dead :: else -> dirLock = 1 fi }
#ifdef BROKEN_RECORD_FIRST
    atomic { LIVE !fileLock -> fileLock = 1; begin() }
    atomic { NOW finish(GONE+clock+1) }
    atomic { NOW if :: dirLock = 0; goto dead :: clock++; V = clock; s = V; ours = 0 fi }
#else
    atomic { LIVE !fileLock ->
        if
        :: dirLock = 0; goto dead
        :: clock++; V = clock; s = V; ours = 0; undone++; fileLock = 1
        fi }
#ifndef BROKEN_NO_RECORD
    atomic { NOW if :: fileLock = 0; dirLock = 0; goto dead :: begin() fi }
    atomic { NOW if :: fileLock = 0; dirLock = 0; goto dead :: finish(GONE+s); undone-- fi }
#else
    undone--;
#endif
#endif
    atomic { NOW dirLock = 0; if :: goto dead :: ours = 1 fi }
    assert(off || V >= s);                               /* nobody has brought the object back */
dead: skip
}

/* A checkpoint: a new segment begins, everything becomes durable, the old segment is removed. */
proctype Checkpoint() {
    byte n; bool ok;
    atomic { LIVE !checkpoint -> checkpoint = 1 }
#ifdef BROKEN_SYNC_FIRST
    atomic { NOW WHOLE; D = V }
#endif
    atomic { LIVE !fileLock ->
        if :: lo == hi && hi < MAXSEG -> hi++; there = there | BIT(hi) :: else -> skip fi;
        ok = lo < hi }
    atomic { NOW if :: checkpoint = 0; goto dead :: skip fi }
    atomic { NOW onDisk = there }
    if
    :: ok ->
#if !defined(BROKEN_SYNC_FIRST) && !defined(BROKEN_CUT_FIRST)
#ifdef BROKEN_NO_TEMP
        atomic { NOW C = C | BIT(V) }
#else
        atomic { NOW WHOLE }
#endif
        atomic { NOW D = V }
#endif
        atomic { NOW there = there & ~BIT(lo); lo++ }
#ifdef BROKEN_CUT_FIRST
        atomic { NOW WHOLE; D = V }
#endif
    :: else -> skip
    fi;
    atomic { NOW checkpoint = 0 }
dead: skip
}

/* apply replays the records of the segments in there: the last one of a Put or of no object counts, and
 * the repairs. */
inline apply() {
    h = 255; r = 0; n = 1;
    do
    :: n <= MAXSEG ->
        i = 0;
        do
        :: there & BIT(n) && i < S[n].count && i < S[n].bad ->
            s = S[n].rec[i];
            if
            :: s >= REPAIR -> r = r | BIT(s-REPAIR)
            :: s < REPAIR ->
#ifdef BROKEN_FIRST_RECORD
                if :: h == 255 -> h = s :: else -> skip fi
#else
                h = s
#endif
            fi;
            i++
        :: else -> break
        od;
        n++
    :: else -> break
    od;
    s = h % GONE;
    if
    :: h == 255 -> skip
#ifdef BROKEN_ANY_TIME
    :: h < GONE -> V = s; gone = 0; whole = 1
#else
#ifdef BROKEN_SAME_TIME
    :: h < GONE && (gone || V < s) -> V = s; gone = 0; whole = 1
#else
    :: h < GONE && (gone || V < s || V == s && !whole) -> V = s; gone = 0; whole = 1
#endif
#endif
    :: h < REPAIR && h >= GONE && !gone && V <= s -> V = s; gone = 1; whole = 1
    :: else -> skip
    fi;
    if :: !gone && r & BIT(V) -> whole = 1 :: else -> skip fi
}

/* New, while others are alive, replays nothing. */
proctype Opens() {
#ifdef BROKEN_REPLAY_ALIVE
    byte h, n, i, s, r; bool whole = 1, gone;
    atomic { NOW gone = !present(V); apply(); h = 0; n = 0; i = 0; s = 0; r = 0; whole = 0; gone = 0 }
#endif
    skip
}

/* lose leaves what a loss of power may leave. */
inline lose() {
    V = D; gone = !present(V); whole = (gone || C & BIT(V));
    n = 1;
    do
    :: n <= MAXSEG ->
        if
        :: (there & BIT(n)) != (onDisk & BIT(n)) -> there = there ^ BIT(n)
        :: skip
        fi;
        i = S[n].synced;
        do
        :: i < S[n].count && i < S[n].lost -> i++
        :: break
        od;
        S[n].count = i; S[n].synced = i;
        n++
    :: else -> break
    od;
    onDisk = there
}

/* The end of all processes, and the next one, which replays the journal. */
proctype Next(bool power) {
    byte h, n, i, s, r, before; bool twice, whole = 1, gone, nothing;
    atomic { NOW off = 1; before = V; gone = !present(V);
        if :: power -> lose() :: else -> skip fi
    }
again:
    atomic {
        apply();
        if
        :: power ->
            nothing = 0; i = acked;
            do
            :: i <= clock -> nothing = nothing || !present(i) || (i > acked && kind[i] == RELAXED); i++
            :: else -> break
            od;
            assert(gone -> nothing : V >= acked);
            assert(whole || (V > acked && (kind[V] == RELAXED || kind[V] == DEFER)))
        :: else -> assert((gone && !present(before)) || (V == before && !gone) || undone)
        fi
    }
    /* The replay makes its work durable, and then removes the segments, oldest first. */
    if :: !twice -> goto lost :: skip fi;
#ifndef BROKEN_REPLAY_UNSYNCED
    atomic { if :: !gone -> C = C | BIT(V) :: else -> skip fi; D = V; if :: gone -> kind[V] = ABSENT :: else -> skip fi }
#endif
    n = 1;
    do
    :: n <= MAXSEG ->
#ifdef BROKEN_NEWEST_FIRST
        atomic { there = there & ~BIT(MAXSEG+1-n) }
#else
        atomic { there = there & ~BIT(n) }
#endif
        if :: !twice -> goto lost :: skip fi;
#ifndef BROKEN_SYNC_ONCE
        atomic { onDisk = there }
#endif
        if :: !twice -> goto lost :: skip fi;
        n++
    :: else -> break
    od;
    goto end;
lost:
    atomic {                                             /* the kernel has written this or that */
        twice = 1; power = 1;
        if :: D = V :: skip fi;
        lose(); goto again
    }
end: skip
}

init { atomic {
    run FS();
#ifdef OLD
    S[1].rec[0] = 1; S[1].count = 1; S[1].synced = 1; hi = 2; there = 6; onDisk = 6;
#endif
#ifdef HAS
    V = 1; D = 1; C = BIT(1); clock = 1; kind[1] = DURABLE; acked = 1;
#endif
#ifdef PR
    run Put(RELAXED);
#endif
#ifdef PR2
    run Put(RELAXED);
#endif
#ifdef PF
    run Put(DEFER);
#endif
#ifdef PF2
    run Put(DEFER);
#endif
#ifdef PD
    run Put(DURABLE);
#endif
#ifdef PD2
    run Put(DURABLE);
#endif
#ifdef DE
    run Delete();
#endif
#ifdef DE2
    run Delete();
#endif
#ifdef SY
    run Sync();
#endif
#ifdef SY2
    run Sync();
#endif
#ifdef CK
    run Checkpoint();
#endif
#ifdef CK2
    run Checkpoint();
#endif
#ifdef RP
    run Opens();
#endif
#ifdef POWER
    run Next(1);
#endif
#ifdef KILL
    run Next(0);
#endif
} }
