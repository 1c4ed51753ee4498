/*
 * known.pml - pushes of a manifest that is in the repository already, beside deletes of what it names, on a store with PUT-if-version and
 * DELETE-if-version. Blocks, actors and versions are as in collect.pml.
 *
 * A push of a known manifest does not look at all that the manifest names. It compares two epochs instead, which it reads anyway:
 *   R      c/<R>             the repository: the name E of its epoch, and O: something was deleted since, so that the epoch is over
 *   K      r/<R>/m/<k>       the manifest, with the epoch KE in which all that it names was there; 0 is that of a repository without deletes
 *   C      what the manifest names: a link or a manifest, marked by a delete before it is removed, and read all the same
 * A delete marks C, then sees to it that the epoch is over, and then removes C in the version of its mark. A push that finds that the epochs differ, or that
 * it is over, begins a new epoch, then looks at C and takes the mark off, and then writes the epoch into the manifest.
 *
 * Actors: PK PK2 pushes of the manifest, PO a push of another manifest, which begins epochs as well, DC DC2 deletes of C, PC a push of C. NEW: the
 * manifest is not there at first. -DBROKEN_x takes one rule away.
 */
#define NONE 0
#define PEND 1
#define OK   2
#define MARK 3

byte K = OK; byte KE = 0;
byte C = OK;
byte E = 0; bool O; byte names = 0;
byte KK, KC, KR;
byte lost;          /* bit a: C was gone when push a began, and nobody has pushed it since */

#define SEES(V,a)   (V & (1<<a))
#define WROTE(V,a)  V = (1<<a)
#define READS(V,a)  V = V | (1<<a)
#define FORGETS(V,a) V = V & ~(1<<a)    /* fewer states */

/* C must stay: take the mark of a delete off. */
inline need(a) {
    do
    :: atomic { s = C; READS(KC,a) }
       if
       :: s == OK || s == NONE -> break
#ifdef BROKEN_NO_UNMARK
       :: s == MARK -> break
#else
       :: s == MARK -> atomic { if :: SEES(KC,a) -> C = OK; WROTE(KC,a); s = OK :: else -> skip fi }
                       if :: s == OK -> break :: else -> skip fi
#endif
       fi
    od
}

/* storage/epoch.go, lookAgain: a new epoch where the last one is over. e is 255 if somebody else was first. */
inline renew(a) {
    if
    :: o -> atomic { if
           :: SEES(KR,a) ->                             /* the condition is for what else the record says */
               names++; E = names; e = names; O = 0; WROTE(KR,a) :: else -> e = 255 fi }
    :: else -> skip
    fi
}

proctype Push(byte a) {
    byte k; byte ke; byte e; bool o; byte s; byte tries = 0;
    atomic { if :: C == NONE -> lost = lost | (1<<a) :: else -> skip fi }
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { k = K; ke = KE; READS(KK,a) }              /* GET manifest */
    atomic { e = E; o = O; READS(KR,a) }                /* GET repository, at the same time */
    if
    :: k != OK ->
        if
        :: k == NONE -> atomic { if :: SEES(KK,a) -> K = PEND; WROTE(KK,a) :: else -> k = 255 fi }
        :: else -> skip
        fi;
        if :: k == 255 -> goto again :: else -> skip fi;
        need(a);
        if :: s == NONE -> goto end :: else -> skip fi; /* refused */
        /* Where the repository was not read before the look, the epoch written is 0, which says less. */
        atomic { if :: SEES(KK,a) -> K = OK; KE = (o -> 0 : e); WROTE(KK,a) :: else -> k = 255 fi }
        if :: k == 255 -> goto again :: else -> skip fi
#ifdef BROKEN_NO_EPOCH
    :: else -> if
        :: o ->
#else
    :: else -> if
        :: o || ke != e ->
#endif
#ifdef BROKEN_LOOK_FIRST
            need(a);
            if :: s == NONE -> goto end :: else -> skip fi;
            atomic { e = E; o = O; READS(KR,a) }
            renew(a);
            if :: e == 255 -> goto again :: else -> skip fi;
#else
            renew(a);
            if :: e == 255 -> goto again :: else -> skip fi;
            need(a);
            if :: s == NONE -> goto end :: else -> skip fi;     /* refused: it is in the repository, and not whole */
#endif
            atomic { if :: SEES(KK,a) -> KE = e; WROTE(KK,a) :: else -> k = 255 fi }
            if :: k == 255 -> goto again :: else -> skip fi
        :: else -> skip
        fi
    fi;
    assert(!(lost & (1<<a)));                           /* 201 */
end: atomic { FORGETS(KK,a); FORGETS(KC,a); FORGETS(KR,a) }
}

/* A push of another manifest of the repository, which is not looked at here. */
proctype PushOther(byte a) {
    byte e; bool o; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { e = E; o = O; READS(KR,a) }
    renew(a);
    if :: e == 255 -> goto again :: else -> skip fi;
end: FORGETS(KR,a)
}

/* A push of what the manifest names. */
proctype PushNamed(byte a) {
    byte s;
    atomic { s = C; READS(KC,a) }
    atomic { if :: s != OK && SEES(KC,a) -> C = OK; WROTE(KC,a); lost = 0 :: else -> skip fi }
}

/* storage/epoch.go, endEpoch. */
inline over(a) {
    do
    :: atomic { o = O; READS(KR,a) }
       if
       :: o -> break                                    /* by another delete: it serves as well */
       :: else -> atomic { if :: SEES(KR,a) -> O = 1; WROTE(KR,a); o = 1 :: else -> skip fi }
                  if :: o -> break :: else -> skip fi
       fi
    od
}

/* storage/delete.go, DeleteBlob and deleteManifest. */
proctype Delete(byte a) {
    byte s; bool o; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { s = C; READS(KC,a) }
    if :: s == NONE -> goto end :: else -> skip fi;
#ifdef BROKEN_OVER_FIRST
    over(a);
#endif
#ifndef BROKEN_NO_MARK
    atomic { if :: SEES(KC,a) -> C = MARK; WROTE(KC,a) :: else -> s = 255 fi }
    if :: s == 255 -> goto again :: else -> skip fi;
#endif
#if !defined(BROKEN_OVER_FIRST) && !defined(BROKEN_OVER_AFTER)
    over(a);
#endif
    atomic { if
#ifdef BROKEN_BLIND_REMOVE
        :: 1 ->
#else
        :: SEES(KC,a) ->
#endif
            C = NONE; WROTE(KC,a) :: else -> s = 255 fi }
    if :: s == 255 -> goto again :: else -> skip fi;
#ifdef BROKEN_OVER_AFTER
    over(a);
#endif
end: atomic { FORGETS(KC,a); FORGETS(KR,a) }
}

init { atomic {
#ifdef NEW
    K = NONE;
#endif
#ifdef PK
    run Push(0);
#endif
#ifdef PK2
    run Push(1);
#endif
#ifdef PO
    run PushOther(2);
#endif
#ifdef PC
    run PushNamed(3);
#endif
#ifdef DC
    run Delete(4);
#endif
#ifdef DC2
    run Delete(5);
#endif
} }
