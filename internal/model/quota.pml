/*
 * quota.pml - pushes that a quota admits, beside deletes and counts, on a store with PUT-if-version.
 *
 * One record per limited prefix of names has what is known of it; each step below that reads and changes
 * it is one compare-and-swap, so it is one atomic block:
 *   COUNTED, COVERS, GEN  the result of the last count: a figure, the last epoch that it covers, and a name
 *   EPOCH               each count begins a new epoch
 *   AC[e], AF[e]        what pushes that ended in epoch e have added; F is what the prefix had already, and
 *                       so costs nothing
 *   HC[a], HF[a]        the same of push a, while it is going on
 * The figure is COUNTED + AC + HC. Three blobs of size 1 can be in the repositories RA and RB of the prefix;
 * the truth is how many of them are in any.
 *
 * A push is held before it is committed, and refused if the figure would exceed the limit. A push of what
 * the prefix has already is held, too: a count may list its repository before the push, and the repository
 * that the blob was in after a delete. A count begins an epoch, lists the repositories one after the other,
 * and then replaces what it covers. What a push that has died has held counts as added when the next count
 * begins.
 *
 * Never: the figure is less than the truth, or the truth more than the limit. When everything has ended, one
 * more count makes the figure exact.
 *
 * Actors: PU PU1 PU2 pushes of new blobs, MT a mount of blob 0 from RA to RB, MB one from RB to RA, DA DB
 * deletes of blob 0, RC RC2 counts. LIMIT=n is the limit. -DBROKEN_x takes one rule away.
 */
#ifndef LIMIT
#define LIMIT 2
#endif
#define ACTORS 5
#define EPOCHS 5

byte RA = 1; byte RB = 0;           /* bit d: the repository has blob d */
byte COUNTED = 1; byte COVERS = 0; byte GEN = 0; byte EPOCH = 1;
byte AC[EPOCHS]; byte AF[EPOCHS];
byte HC[ACTORS]; byte HF[ACTORS];
bool DEAD[ACTORS];
byte ended; byte begun;

#define TRUTH ((((RA|RB)&1)!=0) + (((RA|RB)&2)!=0) + (((RA|RB)&4)!=0))
#define ADDED (AC[0]+AC[1]+AC[2]+AC[3]+AC[4])
#define HELD  (HC[0]+HC[1]+HC[2]+HC[3]+HC[4])
#define FIGURE (COUNTED + ADDED + HELD)

inline sound() { assert(FIGURE >= TRUTH); assert(TRUTH <= LIMIT) }

/* quota/account.go: a push of blob d to RA or RB. */
proctype Push(byte a; byte d; bool toB) {
    bool ok; byte e; bool stored;
#ifdef BROKEN_COMMIT_FIRST
    if :: toB -> atomic { RB = RB | (1<<d); sound() } :: else -> atomic { RA = RA | (1<<d); sound() } fi;
#endif
#ifdef BROKEN_NO_CONDITION
    ok = FIGURE + 1 <= LIMIT;                           /* another push may come in between */
    atomic { if :: ok -> HC[a] = 1; e = EPOCH :: else -> skip fi }
#else
    atomic { ok = FIGURE + 1 <= LIMIT; if :: ok -> HC[a] = 1; e = EPOCH :: else -> skip fi }
#endif
    if
    :: !ok -> goto end                                  /* 403 */
    :: ok -> skip
    :: ok -> atomic { DEAD[a] = 1; goto end }
    fi;
    if
    :: atomic { stored = 1; if :: toB -> RB = RB | (1<<d) :: else -> RA = RA | (1<<d) fi; sound() }
    :: atomic { stored = 1; if :: toB -> RB = RB | (1<<d) :: else -> RA = RA | (1<<d) fi; sound(); DEAD[a] = 1; goto end }
    :: atomic { stored = 0; if :: toB -> RB = RB | (1<<d) :: else -> RA = RA | (1<<d) fi; sound() } /* no response */
    fi;
    atomic { HC[a] = 0;
#ifdef BROKEN_UNKNOWN_IS_NOT_STORED
    if :: stored -> AC[EPOCH]++ :: else -> skip fi;
#elif defined(BROKEN_EPOCH_OF_HOLD)
    AC[e]++;
    if :: e <= COVERS -> AC[e]-- :: else -> skip fi;    /* that epoch is no longer kept */
#else
    AC[EPOCH]++;
#endif
    sound() }
end: ended++
}

/* quota/claim.go: a mount of blob 0, which costs nothing while the prefix has it. */
proctype Mount(byte a; bool toB) {
    byte g; bool there; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    g = GEN;                                            /* from the record */
    there = ((toB -> RA : RB) & 1);                     /* HEAD */
    if :: !there -> goto end :: else -> skip fi;        /* it would be charged, as Push */
    atomic {
#ifndef BROKEN_NO_GENERATION
    if :: GEN != g -> goto again :: else -> skip fi;
#endif
#ifndef BROKEN_FREE_NOT_HELD
    HF[a] = 1;
#endif
    g = GEN }
    if
    :: skip
    :: atomic { DEAD[a] = 1; goto end }
    fi;
    if
    :: atomic { there = 1; if :: toB -> RB = RB | 1 :: else -> RA = RA | 1 fi; sound() }
    :: atomic { there = 1; if :: toB -> RB = RB | 1 :: else -> RA = RA | 1 fi; sound(); DEAD[a] = 1; goto end }
    fi;
    atomic { HF[a] = 0; HC[a] = 0;
#ifdef BROKEN_FREE_STAYS_FREE
    AF[EPOCH]++;
#elif defined(BROKEN_FREE_FORGOTTEN)
    if :: GEN != g -> AC[EPOCH]++ :: else -> skip fi;
#else
    if :: GEN != g -> AC[EPOCH]++ :: else -> AF[EPOCH]++ fi;
#endif
    sound() }
end: ended++
}

proctype Delete(bool ofB) { if :: ofB -> RB = RB & 6 :: else -> RA = RA & 6 fi; ended++ }

/* What dead pushes have held counts as added in epoch e. */
inline expire(e) {
    i = 0;
    do
    :: i < ACTORS && DEAD[i] ->
#ifndef BROKEN_EXPIRE_DROPS
       AC[e] = AC[e] + HC[i]; AF[e] = AF[e] + HF[i];
#endif
       HC[i] = 0; HF[i] = 0; i++
    :: i < ACTORS && !DEAD[i] -> i++
    :: else -> break
    od
}

inline publish(e, f) {
#ifdef BROKEN_OLDER_COUNT
    if :: 1 ->
#else
    if :: COVERS < e ->
#endif
#ifdef BROKEN_EXPIRE_AT_PUBLISH
        expire(e);
#endif
        i = 0;
        do
        :: i < EPOCHS && i <= e -> AC[i] = 0; AF[i] = 0; i++
        :: i < EPOCHS && i > e -> AC[i] = AC[i] + AF[i]; AF[i] = 0; i++
        :: else -> break
        od;
        i = 0;
        do
#ifdef BROKEN_DROPS_HOLDS
        :: i < ACTORS -> HC[i] = 0; HF[i] = 0; i++
#else
        :: i < ACTORS -> HC[i] = HC[i] + HF[i]; HF[i] = 0; i++
#endif
        :: else -> break
        od;
        COUNTED = f; COVERS = e; GEN++
    :: else -> skip
    fi;
    i = 0
}

/* quota/count.go. */
proctype Count() {
    byte e; byte f; byte i;
    atomic { e = EPOCH;
#ifndef BROKEN_SAME_EPOCH
    EPOCH++;
#endif
#ifndef BROKEN_EXPIRE_AT_PUBLISH
    expire(e);
#endif
    i = 0; sound() }
    if :: f = RA; f = f | RB :: f = RB; f = f | RA fi;
    atomic { f = (f&1) + ((f>>1)&1) + ((f>>2)&1); publish(e, f); sound() }
    ended++
}

/* When everything has ended, one count makes the figure exact. */
proctype Last() {
    byte e; byte i;
    (ended == begun);
    atomic { e = EPOCH; expire(e); publish(e, TRUTH); assert(FIGURE == TRUTH) }
}

init { atomic {
#ifdef PU
    begun++; run Push(0, 1, 0);
#endif
#ifdef PU1
    begun++; run Push(1, 2, 1);
#endif
#ifdef PU2
    begun++; run Push(2, 1, 1);
#endif
#ifdef MT
    begun++; run Mount(3, 1);
#endif
#ifdef MB
    begun++; run Mount(4, 0);
#endif
#ifdef DA
    begun++; run Delete(0);
#endif
#ifdef DB
    begun++; run Delete(1);
#endif
#ifdef RC
    begun++; run Count();
#endif
#ifdef RC2
    begun++; run Count();
#endif
    run Last();
} }
