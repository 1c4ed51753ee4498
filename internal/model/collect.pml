/*
 * collect.pml - collection beside pushes, on a store with atomic whole-object PUT, PUT-if-absent and PUT-if-version (If-Match).
 * One atomic block = one store request. Any actor may stall or die between two blocks. Grace 0: collectors may condemn anything.
 *
 * One digest, one manifest, two repositories.
 *   L[r]  r/<R>/b/<digest>   link: state, data object, proven or not     (fixed key; every change after a read is conditional on that version)
 *   M[r]  r/<R>/m/<digest>   manifest: pending (a root, invisible) or ok (visible)
 *   U[d]  u/<id>             upload record naming data object d, written before d; may expire at any time (comfort only)
 *   X[d]  dead/<d>           condemned: written once, never taken back
 *   D[d]  data/<d>           unique name
 *   H[r]  h/<R>/...          a deleted manifest that the history can restore (with -DHIST); a restore is a push
 * Run:  spin -a -DUP0 -DMP0 -DGL -DGD -DEXP -DND=1 collect.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m200000 -w26
 * Actors: UP0 UP0B UP1 uploads, MT MTB mounts, MP0 MP0B MP1 manifest pushes, DEL user's delete, GL GL2 link collectors, GD GD2 data
 * collectors, EXP expiry of upload records. -DBROKEN_x takes one rule away; TRUST_RECORD lets an upload skip its look.
 * Versions: bit a of LK[r] says that actor a has seen the present version of L[r]; any write by another clears it. So versions never wrap.
 */
#define NONE 0
#define PEND 1      /* unproven: written by a mount that has not yet looked for dead/<d> */
#define LIVE 2
#define COND 3      /* condemned, still readable */
#define OK   2
#define DELG 3      /* a manifest that a user's delete has marked: visible and a root as before, until what leads to it is gone */
#ifndef ND
#define ND 4
#endif
byte LS[2], LD[2]; bool LP[2]; byte LK[2];
byte MS[2], MK[2];
bool U[ND], X[ND], D[ND];
byte nd;
bool acked[2];      /* a push was answered 201 and no user has deleted the manifest since */

#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define THERE(r)    ((LS[r]==LIVE || (LS[r]==COND && LP[r])) && D[LD[r]])
#define VISIBLE(r)  (MS[r]==OK || MS[r]==DELG)
#define GOOD(r)     ((!acked[r] || VISIBLE(r)) && (!VISIBLE(r) || THERE(r)))
#ifdef HIST
bool H[2];
#define CHECK       assert(GOOD(0) && GOOD(1) && (!H[0] || THERE(0)) && (!H[1] || THERE(1)))
#else
#define CHECK       assert(GOOD(0) && GOOD(1))
#endif

proctype Upload(byte r; byte a) {
    byte d; byte s; bool p;
    atomic { d = nd; nd++; 
#ifndef BROKEN_NO_RECORD
        U[d] = 1
#endif
    }                                                   /* PUT u/ naming d */
    atomic { D[d] = 1 }                                 /* PUT data */
again:
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }     /* GET link */
    if
    :: s == LIVE -> skip
#ifndef BROKEN_UPLOAD_OVERWRITES
    :: s == COND && p ->                                /* turn it back: a manifest may rely on it. Our own data are dropped */
        atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto again fi
#endif
    :: else ->
        atomic {                                        /* PUT link if version (or if absent) */
            if
            :: SEES(LK[r],a) ->
#ifdef TRUST_RECORD                                     /* safe only where nobody ever expires a record */
                LS[r] = LIVE; LP[r] = 1;
#else
                LS[r] = PEND; LP[r] = 0;
#endif
                LD[r] = d; WROTE(LK[r],a); s = LIVE; CHECK
            :: else -> s = NONE
            fi }
        if :: s == LIVE -> skip :: else -> goto again fi;
#ifndef TRUST_RECORD
        atomic { s = X[d] }                             /* HEAD dead/<d> */
        if
#ifdef BROKEN_UPLOAD_NO_LOOK
        :: 1 ->
#else
        :: s == 0 ->
#endif
            atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; LP[r] = 1; WROTE(LK[r],a); CHECK :: else -> skip fi }   /* a failure here: begin again, or 5xx */
        :: s == 1 ->
            atomic { if :: SEES(LK[r],a) -> LS[r] = NONE; WROTE(LK[r],a); CHECK :: else -> skip fi }
        fi
#endif
    fi;
    atomic { U[d] = 0 }                                 /* DELETE u/ */
}

proctype Mount(byte f; byte r; byte a) {
    byte d; byte s; bool p;
    atomic { s = LS[f]; d = LD[f]; }                    /* GET link of the source */
    if
    :: s == LIVE || s == COND ->
        atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) } /* GET own link */
        if
        :: s == LIVE -> skip
#ifndef BROKEN_MOUNT_OVERWRITES
        :: s == COND && p ->                            /* as an upload does */
            atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); CHECK :: else -> skip fi }
#endif
        :: else ->
            atomic { if :: SEES(LK[r],a) -> 
#ifdef BROKEN_NO_PEND
                    LS[r] = LIVE; LP[r] = 1;
#else
                    LS[r] = PEND; LP[r] = 0;
#endif
                    LD[r] = d; WROTE(LK[r],a); s = PEND; CHECK
                :: else -> s = NONE fi }
            if
            :: s == PEND ->
                atomic { s = X[d] }                     /* HEAD dead/<d> */
                if
#ifdef BROKEN_NO_LOOK
                :: 1 ->
#else
                :: s == 0 ->
#endif
                    atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; LP[r] = 1; WROTE(LK[r],a); CHECK :: else -> skip fi }
                :: s == 1 ->
                    atomic { if :: SEES(LK[r],a) -> LS[r] = NONE; WROTE(LK[r],a); CHECK :: else -> skip fi }
                fi
            :: else -> skip
            fi
        fi
    :: else -> skip
    fi
}

proctype Push(byte r; byte a) {
    byte s; bool p; bool mine; byte tries = 0;
again:
    tries++;
    if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { s = MS[r]; READS(MK[r],a) }                /* GET manifest */
    if
    :: s == OK -> 
        atomic { if :: MS[r] == OK -> acked[r] = 1 :: else -> skip fi; CHECK }   /* visible is whole: tag it, 201 */
        goto end
    :: else -> skip
    fi;
#ifdef BROKEN_CHECK_FIRST
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }
    if :: s == LIVE -> skip :: else -> goto end fi;
#endif
    atomic { if                                         /* PUT manifest pending; one of another push serves as well: it is a root already */
#ifndef BROKEN_CHECK_FIRST
        :: s == PEND || s == DELG -> skip               /* the mark of a delete is taken off by the commit below */
#endif
        :: else -> if :: SEES(MK[r],a) -> MS[r] = PEND; WROTE(MK[r],a); s = PEND :: else -> s = NONE fi
        fi }
    mine = (s == PEND);
    if :: s == PEND || s == DELG -> skip :: else -> goto again fi;
#ifndef BROKEN_CHECK_FIRST
look:
    atomic { s = LS[r]; p = LP[r]; READS(LK[r],a) }     /* GET link, after the manifest is written */
    if
    :: s == LIVE -> skip
    :: s == COND && p ->
#ifdef BROKEN_NO_REVIVE
        skip
#else
        atomic { if :: SEES(LK[r],a) -> LS[r] = LIVE; WROTE(LK[r],a); s = LIVE; CHECK :: else -> s = NONE fi }
        if :: s == LIVE -> skip :: else -> goto look fi
#endif
    :: else ->                                          /* refused: remove our own pending manifest, and no other */
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
end: skip
}

proctype Delete(byte r; byte a) {
    byte s;
    atomic { s = MS[r]; READS(MK[r],a) }
    if
    :: s == OK || s == DELG ->
        atomic { if :: SEES(MK[r],a) -> MS[r] = DELG; WROTE(MK[r],a); CHECK :: else -> s = NONE fi }   /* PUT mark if version */
        /* tags, back references and the entry with the subject are removed here, each as it was seen */
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
    do
    :: atomic { if :: r = 0 :: r = 1 fi; s = LS[r]; READS(LK[r],a) }
       if
       :: s == LIVE || s == PEND ->
#ifdef BROKEN_LOOK_FIRST
          atomic { m = MS[r] }
#endif
          atomic { if :: SEES(LK[r],a) -> LS[r] = COND; WROTE(LK[r],a); s = COND; CHECK :: else -> s = NONE fi }
       :: else -> skip
       fi;
       if
       :: s == COND ->
#ifdef BROKEN_HISTORY_FIRST
          atomic { h = H[r] }
#endif
#ifndef BROKEN_LOOK_FIRST
          atomic { m = MS[r] }                          /* look: any manifest, pending too */
#endif
#ifdef HIST
#ifndef BROKEN_HISTORY_FIRST
          atomic { h = H[r] }                           /* and then what history holds: a delete writes there before it removes */
#endif
          if :: h -> m = PEND; h = 0 :: else -> skip fi;
#endif
          if
          :: m != NONE ->                               /* step back */
             atomic { if :: SEES(LK[r],a) -> LS[r] = (LP[r] -> LIVE : PEND); WROTE(LK[r],a); CHECK :: else -> skip fi }
          :: else ->
             atomic { if
#ifdef BROKEN_BLIND_DELETE
                :: 1 ->
#else
                :: SEES(LK[r],a) ->
#endif
                LS[r] = NONE; WROTE(LK[r],a); CHECK :: else -> skip fi }
          fi
       :: else -> skip
       fi
    :: atomic { if :: r = 0 :: r = 1 fi; m = MS[r]; READS(MK[r],a) }
       if :: m == PEND -> atomic { if :: SEES(MK[r],a) -> MS[r] = NONE; WROTE(MK[r],a); CHECK :: else -> skip fi } :: else -> skip fi
    od
}

/* Upload records expire, at any time. */
proctype Expire() { byte d; do :: atomic { d = 0; do :: d < ND-1 -> d++ :: break od; U[d] = 0; d = 0 } od }

/* Collector of data, for ever: mark, look at records first and links after, delete. */
proctype Data() {
    byte d; bool u; bool n0; bool n1;
    do
    :: atomic { d = 0; do :: d < ND-1 -> d++ :: break od; if :: D[d] -> skip :: else -> d = 255 fi }
       if
       :: d == 255 -> skip
       :: else ->
#ifdef BROKEN_DATA_LOOK_FIRST
          atomic { n0 = (LS[0] != NONE && LD[0] == d) } atomic { n1 = (LS[1] != NONE && LD[1] == d); u = U[d] }
          atomic { X[d] = 1 }
#else
          atomic { X[d] = 1 }                           /* PUT dead/<d> */
#ifdef BROKEN_RECORDS_LAST
          atomic { n0 = (LS[0] != NONE && LD[0] == d) } atomic { n1 = (LS[1] != NONE && LD[1] == d) } atomic { u = U[d] }
#else
          atomic { u = U[d] }                           /* LIST u/ */
          atomic { n0 = (LS[0] != NONE && LD[0] == d) } /* LIST links, repository by repository, no snapshot */
          atomic { n1 = (LS[1] != NONE && LD[1] == d) }
#endif
#endif
          if :: u || n0 || n1 -> skip
             :: else -> atomic { D[d] = 0; CHECK }
          fi
       fi; atomic { d = 0; u = 0; n0 = 0; n1 = 0 }
    od
}

init { atomic {
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
    run Push(0, 4);
#endif
#ifdef MP0B
    run Push(0, 5);
#endif
#ifdef MP1
    run Push(1, 1);
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
