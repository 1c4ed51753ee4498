/*
 * known.pml - pushes of a manifest that the repository already has, beside deletes of what it names,
 * on a store with PUT-if-version and DELETE-if-version. Blocks, actors and versions are as in
 * collect.pml.
 *
 * A push of a known manifest does not check everything that the manifest names. It compares two
 * epochs instead, which it reads anyway:
 *   R      c/<R>           the repository: E is the name of its epoch. O: something was deleted since,
 *                          so the epoch is over
 *   K      r/<R>/m/<k>     the manifest. KE is the epoch in which everything that it names existed; 0
 *                          is the epoch of a repository without deletes
 *   C      what the manifest names: a link or a manifest. A delete marks it before removing it, and
 *          it is read while it is marked
 * A delete marks C, ends the epoch, and then removes C on the version of its mark. A push that finds
 * different epochs, or an epoch that is over, begins a new epoch. Then it looks at C and takes the
 * mark off, and then it writes the epoch into the manifest.
 *
 * Actors: PK PK2 pushes of the manifest, PO a push of another manifest, which begins epochs, too, DC
 * DC2 deletes of C, PC a push of C. NEW: the manifest is absent at first. -DBROKEN_x takes one rule
 * away.
 */
#define NONE 0
#define PEND 1
#define OK   2
#define MARK 3

byte K = OK; byte KE = 0;
byte C = OK;
byte E = 0; bool O; byte names = 0;
byte KK, KC, KR;
byte lost;          /* bit a: C was gone when push a began, and no push has stored it since */

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

/* storage/epoch.go, beginEpoch: a new epoch if the last one is over. e is 255 if another push was first. */
inline renew(a) {
    if
    :: o -> atomic { if
           :: SEES(KR,a) ->                             /* the condition protects the rest of the record */
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
        /* If the repository was not read before the look, the epoch written is 0, which promises less. */
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
            if :: s == NONE -> goto end :: else -> skip fi;     /* refused: it exists, and is not whole */
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

/* storage/internal/object/epoch.go, EndEpoch. */
inline over(a) {
    do
    :: atomic { o = O; READS(KR,a) }
       if
       :: o -> break                                    /* by another delete, which has the same effect */
       :: else -> atomic { if :: SEES(KR,a) -> O = 1; WROTE(KR,a); o = 1 :: else -> skip fi }
                  if :: o -> break :: else -> skip fi
       fi
    od
}

/* storage/delete.go, DeleteBlob, and storage/manifestdelete.go. */
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
