/*
 * collect.pml - collection beside pushes, on a store with atomic whole-object PUT, PUT-if-absent and
 * PUT-if-version (If-Match).
 *
 * One atomic block = one store request. Each actor is a process of its own, and the search takes their
 * blocks in every order. So each actor may stall between any two requests, for as long as the others
 * like, and continue with what it knew. No actor is forced to continue, so each may also die there. An
 * actor that continues the work of a dead one is the second actor of its kind. The grace period is 0:
 * collectors may condemn anything.
 *
 * One digest, one manifest, two repositories.
 *   L[r]  r/<R>/b/<digest>   link: state, data object, proven or not. The key is fixed; every change
 *                            after a read is conditional on the version that was read
 *   M[r]  r/<R>/m/<digest>   manifest: pending (a root, invisible) or ok (visible)
 *   U[d]  u/<id>             upload record naming data object d, written before d. It may expire at
 *                            any time, and only saves work
 *   X[d]  dead/<d>           tombstone: d is condemned. Never taken back while the data exist
 *   D[d]  data/<d>           data with a unique name, which never exists again once it is gone
 *   H[r]  h/<R>/...          a deleted manifest that the history can restore (with -DHIST); a restore
 *                            is a push
 *
 * Not modelled:
 *   - A collector looks at everything before it begins, and skips what a root needs or what is young.
 *     That only selects what the collector continues with. Here it may select anything at any time,
 *     which is more.
 *   - A later look reads only what has another version than in an earlier look. The rest is unchanged,
 *     so the result is that of a look at everything.
 *   - A refused push leaves its manifest as refused where the grace period is short. For collectors
 *     that is a pending manifest whose push has died, and for a push a manifest that a collector has
 *     removed. It stays for a minute, for clients that try again.
 *
 * Run:  spin -a -DUP0 -DMP0 -DGL -DGD -DEXP -DND=1 collect.pml &&
 *       gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m200000 -w26
 *
 * Actors: UP0 UP0B UP1 uploads, MT MTB MT00 mounts (the last from the repository itself, as a commit
 * that shares data may do), MP0 MP0B MP1 manifest pushes, RS0 RS0B restores, HD0 a HEAD that refreshes
 * a link, DEL a user's delete, CLR the end of a delete of the repository, GL GL2 link collectors, GD
 * GD2 data collectors, EXP expiry of upload records, EXPH expiry of history. STORED: repository 0 has
 * blob and manifest at first. -DBROKEN_x takes one rule away. TRUST_RECORD lets an upload skip its
 * look. ALONE: uploads have no record, as a commit that comes with all bytes; no other request knows them.
 * Versions: bit a of LK[r] says that actor a has seen the present version of L[r]; any write by another
 * actor clears it. So versions never wrap.
 */
#define NONE 0
#define PEND 1      /* unproven: written by a mount that has not yet looked for dead/<d> */
#define LIVE 2
#define COND 3      /* condemned, still readable */
#define HID  4      /* of a deleted repository; not read, but a restore makes it live. Always proven, and names its data as any link does */
#define OK   2
#define DELG 3      /* marked by a user's delete: visible and a root, until what leads to it is gone */
#ifndef ND
#define ND 2        /* or 1 */
#endif
#if ND == 1
#define SOME(x)     :: atomic { x(0) -> d = 0 }
#else
#define SOME(x)     :: atomic { x(0) -> d = 0 } :: atomic { x(1) -> d = 1 }   /* any data object for which x holds */
#endif
byte LS[2], LD[2]; bool LP[2]; byte LK[2];
byte MS[2], MK[2];
bool U[ND], X[ND], D[ND];
byte nd;
bool acked[2];      /* a push received 201, and no user has deleted the manifest since */

#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define FORGETS(K,a) K = K & ~(1<<a)    /* fewer states */
#define THERE(r)    ((LS[r]==LIVE || (LS[r]==COND && LP[r])) && D[LD[r]])
#define WHOLE(r)    (LS[r]!=LIVE && (LS[r]!=COND || !LP[r]) || D[LD[r]])    /* a reader of a link finds the data */
#define VISIBLE(r)  (MS[r]==OK || MS[r]==DELG)
#define GOOD(r)     ((!acked[r] || VISIBLE(r)) && (!VISIBLE(r) || THERE(r)) && WHOLE(r))
#ifdef HIST
bool H[2];
#define HELD(r)     (!H[r] || THERE(r) || LS[r]==HID && D[LD[r]])           /* what history names can be restored */
#define CHECK       assert(GOOD(0) && GOOD(1) && HELD(0) && HELD(1))
#else
#define CHECK       assert(GOOD(0) && GOOD(1))
#endif

#ifdef BROKEN_OVERWRITES_HIDDEN
#define PROVEN      (s == COND && p)
#else
#define PROVEN      (s == COND && p || s == HID)    /* restored to live without a look */
#endif
#ifdef BROKEN_UPLOAD_OVERWRITES
#define KEPT_BY_UPLOAD 0
#else
#define KEPT_BY_UPLOAD PROVEN
#endif
#ifdef BROKEN_MOUNT_OVERWRITES
#define KEPT_BY_MOUNT 0
#else
#define KEPT_BY_MOUNT PROVEN
#endif

/*
 * After a pending link is written, its writer looks whether the data stay: first for the mark, then for
 * the data, because the mark is removed after them.
 */
inline look() {
#ifdef BROKEN_DATA_LOOK_BEFORE_MARK
    atomic { s = 1 - D[d] }                             /* HEAD data */
    if :: s == 0 -> atomic { s = X[d] } :: else -> skip fi
#else
    atomic { s = X[d] }                                 /* HEAD dead/<d> */
#ifndef BROKEN_NO_DATA_LOOK
    if :: s == 0 -> atomic { s = 1 - D[d] } :: else -> skip fi  /* HEAD data */
#endif
#endif
}

proctype Upload(byte r; byte a) {
    byte d; byte s; bool p; bool named;
    atomic { d = nd; nd++; 
#if !defined(BROKEN_NO_RECORD) && !defined(ALONE)
        U[d] = 1
#endif
    }                                                   /* PUT u/ naming d */
    atomic { D[d] = 1 }                                 /* PUT data */
again:
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a); if :: s == LIVE && LD[r] == d -> named = 1 :: else -> skip fi }   /* GET link */
    if
    :: s == LIVE -> skip
    :: KEPT_BY_UPLOAD ->                                /* restore it: a manifest or history may need it */
        atomic { if :: SEES(LK[r],a) -> named = (named || LD[r] == d); LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto again fi
    :: else ->
        atomic {                                        /* PUT link if version (or if absent) */
            if
            :: SEES(LK[r],a) ->
#ifdef TRUST_RECORD                                     /* safe only where no record ever expires */
                LS[r] = LIVE; LP[r] = 1;
#else
                LS[r] = PEND; LP[r] = 0;
#endif
                LD[r] = d; WROTE(LK[r],a); s = LIVE; CHECK
            :: else -> s = NONE
            fi }
        if :: s == LIVE -> named = 1 :: else -> goto again fi;
#ifndef TRUST_RECORD
        look();
        if
#ifdef BROKEN_UPLOAD_NO_LOOK
        :: 1 ->
#else
        :: s == 0 ->
#endif
            atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; LP[r] = 1; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
            if :: s == LIVE -> skip :: else -> goto again fi
        :: s == 1 ->
            atomic { if :: SEES(LK[r],a) -> LS[r] = NONE; LD[r] = 0; WROTE(LK[r],a); CHECK :: else -> skip fi }
        fi
#endif
    fi;
    atomic { U[d] = 0; FORGETS(LK[r],a) }               /* DELETE u/ */
#ifdef BROKEN_DROPS_NAMED
    named = 0;
#endif
    if :: !named -> atomic { D[d] = 0; CHECK } :: else -> skip fi   /* DELETE data that no key ever named: the blob is there already */
}

proctype Mount(byte f; byte r; byte a) {
    byte d; byte s; bool p;
    atomic { s = LS[f]; p = LP[f]; d = LD[f]; }         /* GET link of the source */
    if :: s == LIVE || s == COND && p -> skip :: else -> goto end fi;
again:
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }     /* GET own link */
    if
    :: s == LIVE -> skip
    :: KEPT_BY_MOUNT ->                                 /* as an upload does */
        atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto again fi
    :: else ->
        atomic { if :: SEES(LK[r],a) -> 
#ifdef BROKEN_NO_PEND
                LS[r] = LIVE; LP[r] = 1;
#else
                LS[r] = PEND; LP[r] = 0;
#endif
                LD[r] = d; WROTE(LK[r],a); s = PEND; CHECK
            :: else -> s = NONE fi }
        if :: s == PEND -> skip :: else -> goto again fi;
        look();
        if
#ifdef BROKEN_NO_LOOK
        :: 1 ->
#else
        :: s == 0 ->
#endif
            atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; LP[r] = 1; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
            if :: s == LIVE -> skip :: else -> goto again fi
        :: s == 1 ->
            atomic { if :: SEES(LK[r],a) -> LS[r] = NONE; LD[r] = 0; WROTE(LK[r],a); CHECK :: else -> skip fi }
        fi
    fi;
end: FORGETS(LK[r],a)
}

/* A HEAD by a caller with push access: the link is written again, live. */
proctype Head(byte r; byte a) {
    byte s; bool p;
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }
    if
    :: s == LIVE || s == COND && p -> atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); CHECK :: else -> skip fi }
    :: else -> skip
    fi
}

/*
 * The end of a delete of a repository: condemn, look for a manifest, hide the link, or remove it if no
 * history is kept.
 */
proctype Clear(byte r; byte a) {
    byte s; byte m; bool p;
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }
    if
    :: s == LIVE -> atomic { if :: SEES(LK[r],a) -> LS[r] = COND; WROTE(LK[r],a); CHECK :: else -> s = NONE fi }
    :: s == COND && p -> skip
    :: else -> s = NONE
    fi;
    if
    :: s != NONE ->
        atomic { m = MS[r] }                            /* a manifest, pending too */
        atomic { if
            :: SEES(LK[r],a) && m != NONE -> LS[r] = LIVE; WROTE(LK[r],a); CHECK
#ifdef BROKEN_BLIND_HIDE
            :: m == NONE ->
#else
            :: SEES(LK[r],a) && m == NONE ->
#endif
#ifdef HIST
                LS[r] = HID;
#else
                LS[r] = NONE; LD[r] = 0;
#endif
                WROTE(LK[r],a); CHECK
            :: else -> skip
            fi }
    :: else -> skip
    fi
}

/* A push of the manifest. A restore reads the manifest from history, and also restores hidden links. */
proctype Push(byte r; byte a; bool restores) {
    byte s; bool p; bool mine; byte tries = 0;
#ifdef BROKEN_UNHIDE_AS_MOUNT
    byte d;
#endif
#ifdef HIST
    if :: restores -> atomic { if :: H[r] -> skip :: else -> goto end fi } :: else -> skip fi;  /* GET event */
#endif
again:
    tries++;
    if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { s = MS[r]; READS(MK[r],a) }                /* GET manifest */
    if
    :: s == OK -> 
        atomic { if :: MS[r] == OK -> acked[r] = 1 :: else -> skip fi; CHECK }   /* what is what is visible is whole: tag it, 201 */
        goto end
    :: else -> skip
    fi;
#ifdef BROKEN_CHECK_FIRST
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }
    if :: s == LIVE -> skip :: else -> goto end fi;
#endif
    atomic { if                                         /* PUT manifest pending. That of another push serves, too: it is a root */
#ifndef BROKEN_CHECK_FIRST
        :: s == PEND || s == DELG -> skip               /* the commit below removes the mark of a delete */
#endif
        :: else -> if :: SEES(MK[r],a) -> MS[r] = PEND; WROTE(MK[r],a); s = PEND :: else -> s = NONE fi
        fi }
    mine = (s == PEND);
    if :: s == PEND || s == DELG -> skip :: else -> goto again fi;
#ifndef BROKEN_CHECK_FIRST
looks:
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }     /* GET link, after the manifest is written */
    if
    :: s == LIVE -> skip
    :: s == COND && p ->
#ifdef BROKEN_NO_REVIVE
        skip
#else
        atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto looks fi
#endif
#ifdef HIST
#ifdef BROKEN_UNHIDE_AS_MOUNT
    :: s == HID && restores ->
        atomic { if :: SEES(LK[r],a) -> d = LD[r]; LS[r] = PEND; LP[r] = 0; WROTE(LK[r],a); s = PEND; CHECK :: else -> s = NONE fi }
        if :: s == PEND -> skip :: else -> goto looks fi;
        look();
        if
        :: s == 0 -> atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; LP[r] = 1; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        :: else -> atomic { if :: SEES(LK[r],a) -> LS[r] = NONE; LD[r] = 0; WROTE(LK[r],a); CHECK :: else -> skip fi } s = NONE
        fi;
        if :: s == LIVE -> skip :: else -> goto looks fi
#else
    :: s == HID && restores ->                          /* restored like a condemned link: it is proven */
#ifdef BROKEN_BLIND_UNHIDE
        atomic { LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK }
#else
        atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto looks fi
#endif
#endif
#endif
    :: else ->                                          /* refused: remove the push's own pending manifest only */
        atomic { if 
#ifdef BROKEN_BLIND_REMOVE
            :: 1 -> 
#else
            :: SEES(MK[r],a) && mine ->
#endif
            MS[r] = NONE; WROTE(MK[r],a); CHECK :: else -> skip fi }
        goto end
    fi;
#endif
    atomic { if                                         /* PUT manifest ok if version: the commit point */
#ifdef BROKEN_BLIND_COMMIT
        :: 1 ->
#else
        :: SEES(MK[r],a) ->
#endif
            MS[r] = OK; WROTE(MK[r],a); acked[r] = 1; s = OK; CHECK :: else -> s = NONE fi }
    if :: s == OK -> skip :: else -> goto again fi;
end: atomic { FORGETS(LK[r],a); FORGETS(MK[r],a) }
}

proctype Delete(byte r; byte a) {
    byte s;
    atomic { s = MS[r]; READS(MK[r],a) }
    if
    :: s == OK || s == DELG ->
        atomic { if :: SEES(MK[r],a) -> MS[r] = DELG; WROTE(MK[r],a); CHECK :: else -> s = NONE fi }   /* PUT mark if version */
        /* tags, back references and the entry with the subject are removed here, on their versions */
        if
        :: s != NONE ->
#ifdef HIST
#ifndef BROKEN_HISTORY_AFTER
            atomic { if :: SEES(MK[r],a) -> skip :: else -> s = NONE fi }   /* GET manifest: still marked */
            if :: s != NONE -> atomic { H[r] = 1; CHECK } :: else -> skip fi;  /* PUT event */
#endif
#endif
            atomic { if                                 /* DELETE if version */
                :: SEES(MK[r],a) -> MS[r] = NONE; WROTE(MK[r],a); acked[r] = 0; CHECK
                :: else ->
#ifdef BROKEN_BLIND_USER_DELETE
                    MS[r] = NONE; WROTE(MK[r],a); CHECK
#else
                    skip
#endif
                fi }
#ifdef BROKEN_HISTORY_AFTER
            atomic { if :: MS[r] == NONE -> H[r] = 1; CHECK :: else -> skip fi }
#endif
        :: else -> skip
        fi
    :: else -> skip
    fi
}

/* Collector of links and of pending manifests, for ever. */
proctype Links(byte a) {
    byte r; byte s; byte m;
#ifdef HIST
    bool h;
#endif
end:
    do
    :: if
       :: atomic { LS[0] != NONE -> r = 0; s = LS[0]; READS(LK[0],a) }
       :: atomic { LS[1] != NONE -> r = 1; s = LS[1]; READS(LK[1],a) }
       fi;
       if
       :: s == LIVE || s == PEND ->
#ifdef BROKEN_LOOK_FIRST
          atomic { m = MS[r] }
#endif
          atomic { if :: SEES(LK[r],a) -> LS[r] = COND; WROTE(LK[r],a); s = COND; CHECK :: else -> s = NONE fi }
       :: else -> skip
       fi;
       if
       :: s == COND || s == HID ->                      /* a hidden link needs no mark: it is written before it is used */
#ifdef BROKEN_HISTORY_FIRST
          atomic { h = H[r] }
#endif
#ifndef BROKEN_LOOK_FIRST
          atomic { m = MS[r] }                          /* look: any manifest, pending too */
#endif
#ifdef HIST
#ifndef BROKEN_HISTORY_FIRST
          atomic { h = H[r] }                           /* then history: a delete writes there before it removes */
#endif
          if :: h -> m = PEND; h = 0 :: else -> skip fi;
#endif
          if
          :: m != NONE ->                               /* step back */
             atomic { if :: s == COND && SEES(LK[r],a) -> LS[r] = (LP[r] -> LIVE : PEND); WROTE(LK[r],a); CHECK :: else -> skip fi }
          :: else ->
             atomic { if
#ifdef BROKEN_BLIND_DELETE
                :: 1 ->
#elif defined(BROKEN_BLIND_HIDDEN)
                :: SEES(LK[r],a) || s == HID ->
#else
                :: SEES(LK[r],a) ->
#endif
                LS[r] = NONE; LD[r] = 0; WROTE(LK[r],a); CHECK :: else -> skip fi }
          fi
       :: else -> skip
       fi
    :: if
       :: atomic { MS[0] == PEND -> r = 0; READS(MK[0],a) }
       :: atomic { MS[1] == PEND -> r = 1; READS(MK[1],a) }
       fi;
       atomic { if :: SEES(MK[r],a) -> MS[r] = NONE; MK[r] = 0; CHECK :: else -> skip fi }
    od
}

/* Upload records expire, at any time. */
proctype Expire() {
end:
    do
    :: atomic { U[0] -> U[0] = 0 }
#if ND > 1
    :: atomic { U[1] -> U[1] = 0 }
#endif
    od
}

#ifdef HIST
/* Events expire, at any time. */
proctype Forget(byte r) { end: do :: atomic { H[r] -> H[r] = 0 } od }
#endif

#ifdef BROKEN_HIDDEN_NAMES_NOTHING
#define NAMED(r)    (LS[r] != NONE && LS[r] != HID && LD[r] == d)
#else
#define NAMED(r)    (LS[r] != NONE && LD[r] == d)
#endif

#define HASDATA(i)   D[i]
#define HASNODATA(i) !D[i]
#define HASMARK(i)   X[i]

/* Collector of data, for ever: mark, look at records and then at links, delete the data, then the mark. */
proctype Data() {
    byte d; bool u; bool n0; bool n1;
end:
    do
    :: if SOME(HASDATA) fi;                             /* LIST data */
#ifdef BROKEN_DATA_LOOK_FIRST
       atomic { n0 = NAMED(0) } atomic { n1 = NAMED(1); u = U[d] }
       atomic { X[d] = 1 }
#else
       atomic { X[d] = 1 }                              /* PUT dead/<d> */
#ifdef BROKEN_RECORDS_LAST
       atomic { n0 = NAMED(0) } atomic { n1 = NAMED(1) } atomic { u = U[d] }
#else
       atomic { u = U[d] }                              /* LIST u/ */
       atomic { n0 = NAMED(0) }                         /* LIST links, repository by repository, no snapshot */
       atomic { n1 = NAMED(1) }
#endif
#endif
       if
       :: u || n0 || n1 ->
#ifdef BROKEN_MARK_TAKEN_BACK
          atomic { X[d] = 0 }
#else
          skip
#endif
       :: else ->
#ifdef BROKEN_MARK_FIRST
          atomic { X[d] = 0 }
          atomic { D[d] = 0; CHECK }
#else
          atomic { D[d] = 0; CHECK }                    /* DELETE data */
          atomic { X[d] = 0 }                           /* DELETE dead/<d> */
#endif
       fi;
       atomic { d = 0; u = 0; n0 = 0; n1 = 0 }
    /* A mark that another left when it died: only once it is found, its data are looked for. */
#ifdef BROKEN_STRAY_DATA_FIRST
    :: if SOME(HASNODATA) fi;
       atomic { n0 = !X[d] }
#else
    :: if SOME(HASMARK) fi;                             /* LIST dead/ */
       atomic { n0 = D[d] }                             /* HEAD data */
#endif
       if :: n0 -> skip :: else -> atomic { X[d] = 0 } fi;
       atomic { d = 0; n0 = 0 }
    od
}

init { atomic {
#ifdef STORED
    nd = 1; D[0] = 1; LS[0] = LIVE; LP[0] = 1; MS[0] = OK; acked[0] = 1;
#endif
#ifdef UP0
    run Upload(0, 0);
#endif
#ifdef UP0B
    run Upload(0, 1);
#endif
#ifdef UP1
    run Upload(1, 2);
#endif
#ifdef MT
    run Mount(1, 0, 3);
#endif
#ifdef MTB
    run Mount(0, 1, 3);
#endif
#ifdef MP0
    run Push(0, 4, 0);
#endif
#ifdef MP0B
    run Push(0, 5, 0);
#endif
#ifdef MP1
    run Push(1, 1, 0);
#endif
#ifdef RS0
    run Push(0, 4, 1);
#endif
#ifdef RS0B
    run Push(0, 5, 1);
#endif
#ifdef MT00
    run Mount(0, 0, 3);
#endif
#ifdef HD0
    run Head(0, 5);
#endif
#ifdef CLR
    run Clear(0, 2);
#endif
#ifdef EXPH
    run Forget(0);
#endif
#ifdef DEL
    run Delete(0, 3);
#endif
#ifdef GL
    run Links(6);
#endif
#ifdef GL2
    run Links(7);
#endif
#ifdef EXP
    run Expire();
#endif
#ifdef GD
    run Data();
#endif
#ifdef GD2
    run Data();
#endif
} }
