/*
 * refs.pml - a referrer and its subject: pushes of either, deletes by users, and collectors that
 * remove a referrer whose subject is missing, on a store with PUT-if-version and DELETE-if-version.
 * Blocks, actors and versions are as in collect.pml.
 *
 * One referrer, its subject, and the entry that connects them.
 *   R      r/<R>/m/<r>         the referrer: pending, ok, or marked by a delete or a collector. It is
 *                              read while it is marked
 *   C                          in R: the mark is that of a collector
 *   S      r/<R>/m/<s>         the subject: pending, ok, marked by a delete, or awaited. Awaited: it is
 *                              absent, and a collector is removing referrers of it
 *   F      r/<R>/f/<s>/<r>     the entry by which the referrers of s are listed
 *
 * Actors: PS PS2 pushes of the subject, DS a delete of it by a user, PR PR2 pushes of the referrer, DR
 * a delete of it by a user, GU GU2 collectors of untagged manifests, GC a collector that finds an
 * awaited subject, GP a collector of pending manifests and of entries without a referrer. STORED: the
 * referrer exists at first. -DBROKEN_x takes one rule away.
 *
 * Not modelled:
 *   - The hint of F (r/<R>/a/<s>/<r>.<type>). What its key says about the digest r is always true, no
 *     actor concludes from it that r exists, and a filter works without it. So no order of its writes
 *     and removals can do harm.
 *   - Tags and indexes that lead to the referrer: see tags.pml.
 *   - A manifest as a refused push leaves it: to all actors here it is the same as an absent one.
 *   - The look of a collector at the subject before it marks anything: the search covers runs with
 *     and without it.
 */
#define NONE 0
#define PEND 1
#define OK   2
#define MARK 3
#define AWAIT 4
#ifndef TRIES
#define TRIES 2     /* how often a push begins */
#endif

byte R = NONE; byte S = NONE; bool C; bool F;
short KR, KS, KF;
bool toldR;         /* a push of the referrer received 201; no user has begun to delete it since, and it was not removed without a subject */
bool lives;         /* a push made the subject visible, and no user has begun to delete it since */
bool anew;          /* a push has written the referrer since the user's delete marked it */
#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define FORGETS(K,a) K = K & ~(1<<a)    /* fewer states */
#define VISIBLE(x)  (x == OK || x == MARK)
/* A referrer that was acknowledged has its entry, and stays while its subject does. */
#define CHECK       assert(!toldR || F && (VISIBLE(R) || !lives))

/*
 * Restores referrers that a collector has marked, so that it does not remove them. Removes entries
 * without a referrer.
 */
inline release(a) {
    do
    :: atomic { f = F; READS(KF,a) }                    /* LIST entries */
       if :: !f -> break :: else -> skip fi;
       atomic { r = R; c = C; READS(KR,a) }             /* GET referrer */
       if
#ifdef BROKEN_ANY_MARK
       :: r == MARK ->
#else
       :: r == MARK && c ->
#endif
          atomic { if
#ifdef BROKEN_BLIND_RELEASE
             :: 1 ->
#else
             :: SEES(KR,a) ->
#endif
                assert(R == MARK); R = OK; C = 0; KR = 0; r = OK; CHECK :: else -> skip fi }
          if :: r == OK -> break :: else -> skip fi     /* there may be another mark now */
       :: r == NONE ->
          atomic { if
#ifdef BROKEN_BLIND_ENTRY
             :: 1 ->
#else
             :: SEES(KF,a) ->
#endif
                F = 0; KF = 0; CHECK :: else -> skip fi }
          break
       :: else -> break
       fi
    od;
    atomic { f = 0; r = 0; c = 0; FORGETS(KF,a); FORGETS(KR,a) }
}

/* storage/write.go, show. It needs no look at the end: it writes nothing that leads to the subject. */
proctype PushSubject(byte a) {
    byte s; byte r; bool f; bool c; byte tries = 0;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { s = S; READS(KS,a) }                       /* GET subject, or PUT it pending if absent */
    if
    :: s == NONE || s == AWAIT ->
#ifndef BROKEN_NO_RELEASE
#ifndef BROKEN_RELEASE_AFTER
       if :: s == AWAIT -> release(a) :: else -> skip fi;
#endif
#endif
       atomic { if
#ifdef BROKEN_BLIND_PUSH
          :: S == NONE || S == AWAIT ->
#else
          :: SEES(KS,a) || s == NONE && S == NONE ->
#endif
             S = PEND; WROTE(KS,a) :: else -> s = 255 fi }
       if :: s == 255 -> goto again :: else -> skip fi;
#ifdef BROKEN_RELEASE_AFTER
       if :: s == AWAIT -> release(a) :: else -> skip fi;
#endif
       if
       :: atomic { if :: SEES(KS,a) -> S = NONE; KS = 0 :: else -> skip fi } goto end   /* refused */
       :: 1 -> skip
       fi
    :: else -> skip                                     /* pending by another push, or marked */
    fi;
    if :: s != OK -> atomic { if :: SEES(KS,a) -> S = OK; KS = 0; lives = 1; CHECK :: else -> s = 255 fi } :: else -> skip fi;
    if :: s == 255 -> goto again :: else -> skip fi;    /* 201 */
end: FORGETS(KS,a)
}

proctype DeleteSubject(byte a) {
    byte s;
    atomic { s = S; READS(KS,a) }
    if
    :: VISIBLE(s) ->
        atomic { if :: SEES(KS,a) -> S = MARK; WROTE(KS,a); lives = 0 :: else -> s = 255 fi }
        if :: s != 255 -> atomic { if :: SEES(KS,a) -> S = NONE; KS = 0 :: else -> skip fi } :: else -> skip fi
    :: else -> skip
    fi;
    FORGETS(KS,a)
}

/* A push of the referrer: the entry comes after it. */
proctype PushReferrer(byte a) {
    byte r; byte tries = 0;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { r = R; READS(KR,a) }                       /* GET referrer */
    if
    :: r != OK ->
        if :: r == NONE -> atomic { if :: R == NONE -> R = PEND; WROTE(KR,a) :: else -> r = 255 fi } :: else -> skip fi;
        if :: r == 255 -> goto again :: else -> skip fi;
        if
        :: r != MARK -> atomic { if :: SEES(KR,a) && R == PEND -> R = NONE; KR = 0 :: else -> skip fi } goto end  /* refused */
        :: 1 -> skip
        fi;
        atomic { if :: SEES(KR,a) -> R = OK; C = 0; WROTE(KR,a); anew = 1; CHECK :: else -> r = 255 fi }
        if :: r == 255 -> goto again :: else -> skip fi
    :: else -> skip
    fi;
    atomic { F = 1; KF = 0 }                            /* PUT entry */
    atomic { if :: SEES(KR,a) -> toldR = 1; CHECK :: else -> r = 255 fi }  /* HEAD referrer: still the version above. 201 */
    if :: r == 255 -> goto again :: else -> skip fi;
end: FORGETS(KR,a)
}

/* storage/manifestdelete.go. */
proctype DeleteReferrer(byte a) {
    byte r; bool f; byte tries = 0;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { r = R; READS(KR,a) }
    if :: VISIBLE(r) -> skip :: else -> goto end fi;
    atomic { if :: SEES(KR,a) -> R = MARK; C = 0; WROTE(KR,a); toldR = 0; anew = 0 :: else -> r = 255 fi }
    if :: r == 255 -> goto again :: else -> skip fi;
    atomic { f = F; READS(KF,a) }                       /* HEAD entry */
    atomic { if :: SEES(KR,a) -> skip :: else -> r = 255 fi }   /* GET referrer: still marked */
    if :: r == 255 -> goto again :: else -> skip fi;
    if :: f -> atomic { if :: SEES(KF,a) -> F = 0; KF = 0; CHECK :: else -> skip fi } :: else -> skip fi;
    atomic { if                                         /* DELETE referrer if version. 202 */
        :: SEES(KR,a) -> R = NONE; C = 0; KR = 0; CHECK
        :: else -> assert(!VISIBLE(R) || anew)          /* 202, too: it is gone, or a push came after the delete */
        fi }
end: atomic { FORGETS(KR,a); FORGETS(KF,a) }
}

/* An awaited subject goes, once no referrer is marked any more that was when it was written. */
inline forget(a) {
    atomic { if
#ifdef BROKEN_BLIND_FORGET
        :: S == AWAIT ->
#else
        :: SEES(KS,a) && S == AWAIT ->
#endif
            S = NONE; KS = 0 :: else -> skip fi }
}

/* Marks the subject as awaited, in a version of this actor. s is OK if it exists, or is about to. */
inline await(a) {
    do
    :: atomic { s = S; READS(KS,a) }                    /* PUT awaited if absent, or GET */
       if
#ifdef BROKEN_AWAITED_SHARED
       :: s == AWAIT -> break
       :: s == NONE ->
#else
       :: s == NONE || s == AWAIT ->
#endif
          atomic { if :: SEES(KS,a) || s == NONE && S == NONE -> S = AWAIT; WROTE(KS,a); s = AWAIT :: else -> s = 255 fi }
          if :: s == AWAIT -> break :: else -> skip fi
       :: else -> s = OK; FORGETS(KS,a); break
       fi
    od
}

/* Collector of untagged manifests, for ever. It also uses the mark of a delete, and does not remove it. */
proctype Untagged(byte a) {
    byte r; byte s; bool f; bool c; bool gone;
end:
    do
    :: atomic { VISIBLE(R) -> r = R; c = C; READS(KR,a) }
#ifdef BROKEN_AWAITED_FIRST
       await(a);
#endif
       if
#ifndef BROKEN_TAKES_OVER
       :: r == MARK && !c -> s = NONE
#endif
       :: else ->
          atomic { if :: SEES(KR,a) -> R = MARK; C = 1; WROTE(KR,a); c = 1 :: else -> r = NONE fi }
#ifdef BROKEN_NO_AWAITED
          atomic { s = (S == NONE || S == AWAIT -> NONE : OK) }        /* GET subject */
#else
#ifndef BROKEN_AWAITED_FIRST
          if :: r != NONE -> await(a) :: else -> skip fi
#endif
#endif
       fi;
       if
       :: r == NONE -> skip
       :: r != NONE && s == OK ->                       /* the subject leads to it */
          atomic { if :: SEES(KR,a) && c -> R = OK; C = 0; KR = 0; CHECK :: else -> skip fi }
       :: else ->
          atomic { f = F; READS(KF,a) }                 /* HEAD entry */
#ifdef BROKEN_ENTRY_FIRST
          if :: f -> atomic { if :: SEES(KF,a) -> F = 0; KF = 0; CHECK :: else -> skip fi } :: else -> skip fi;
#endif
          atomic { if
#ifdef BROKEN_BLIND_REMOVE
              :: R != NONE ->
#else
              :: SEES(KR,a) ->
#endif
                  assert(!toldR || !lives); toldR = 0; R = NONE; C = 0; KR = 0; gone = 1; CHECK :: else -> skip fi }
          if                                            /* and then what listed it */
#ifdef BROKEN_ENTRY_ANYHOW
          :: f ->
#else
          :: f && gone ->
#endif
              atomic { if
#ifdef BROKEN_BLIND_REMOVE_ENTRY
                  :: 1 ->
#else
                  :: SEES(KF,a) ->
#endif
                      F = 0; KF = 0; CHECK :: else -> skip fi }
          :: else -> skip
          fi
       fi;
       atomic { r = 0; f = 0; c = 0; gone = 0; FORGETS(KR,a); FORGETS(KF,a) }
       if
       :: s == AWAIT ->
#ifndef BROKEN_NO_RELEASE_END
          release(a);
#endif
          forget(a)
       :: else -> skip
       fi;
       atomic { s = 0; FORGETS(KS,a) }
    od
}

/* A collector that finds an awaited subject, whose collector may have died. For ever. */
proctype Awaited(byte a) {
    byte r; bool f; bool c;
end:
    do
    :: atomic { S == AWAIT -> READS(KS,a) }
#ifndef BROKEN_NO_RELEASE_CLEAN
       release(a);
#endif
       forget(a);
       FORGETS(KS,a)
    od
}

/* Collector of manifests whose push has died, and of entries that lead nowhere, for ever. */
proctype Pending(byte a) {
    byte r;
end:
    do
    :: atomic { R == PEND -> R = NONE; KR = 0 }
    :: atomic { S == PEND -> S = NONE; KS = 0 }
    :: atomic { F -> READS(KF,a) }
       atomic { r = R }
       atomic { if :: r == NONE && SEES(KF,a) -> F = 0; KF = 0; CHECK :: else -> skip fi; r = 0; FORGETS(KF,a) }
    od
}

init { atomic {
#ifdef STORED
    R = OK; F = 1; toldR = 1;
#endif
#ifdef PS
    run PushSubject(0);
#endif
#ifdef PS2
    run PushSubject(1);
#endif
#ifdef DS
    run DeleteSubject(2);
#endif
#ifdef PR
    run PushReferrer(3);
#endif
#ifdef PR2
    run PushReferrer(4);
#endif
#ifdef DR
    run DeleteReferrer(5);
#endif
#ifdef GU
    run Untagged(6);
#endif
#ifdef GU2
    run Untagged(7);
#endif
#ifdef GC
    run Awaited(8);
#endif
#ifdef GP
    run Pending(9);
#endif
} }
