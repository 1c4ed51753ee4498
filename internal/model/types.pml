/*
 * types.pml - pushes of one content under different media types, on a store with PUT-if-version and
 * DELETE-if-version. Blocks, actors and versions are as in collect.pml.
 *
 * A manifest without a field mediaType is stored with the type that its push states. While no tag
 * points at it, a push with a tag may change that type.
 *   M      r/<R>/m/<m>       the manifest, of type TY. MARK: a push that is about to change the type
 *                            has marked it, as a collector does
 *   T[a]   r/<R>/t/<tag>     the tag of push a, with the type that this push states
 *
 * Actors: A and A2 push with type A, B and B2 with type B, each with its own tag. -DBROKEN_x takes
 * one rule away.
 * Not modelled: tags are found by back references, and indexes lead to manifests, too.
 */
#define A 1
#define B 2

byte TY = A; bool MARK; byte KM;
bool T[4];
bool acked[4];

#define SEES(a)     (KM & (1<<a))
#define WROTE(a)    KM = (1<<a)
#define READS(a)    KM = KM | (1<<a)
#define FORGETS(a)  KM = KM & ~(1<<a)
#define OTHERS(a)   (a != 0 && T[0] || a != 1 && T[1] || a != 2 && T[2] || a != 3 && T[3])
/* An acknowledged tag leads to a manifest of the type that its push has stated. */
#define STANDS(a,t) (!acked[a] || T[a] && TY == t)
#define CHECK       assert(STANDS(0,A) && STANDS(1,A) && STANDS(2,B) && STANDS(3,B))

proctype Push(byte a; byte t) {
    byte ty; bool m; bool o; byte tries = 0;
again:
    tries++; if :: tries > 3 -> goto end :: else -> skip fi;
    atomic { ty = TY; m = MARK; READS(a) }              /* GET manifest */
    if
    :: ty != t ->
#ifdef BROKEN_LOOK_FIRST
        atomic { o = OTHERS(a) }
#endif
#ifndef BROKEN_NO_MARK
        atomic { if :: SEES(a) -> MARK = 1; WROTE(a) :: else -> ty = 255 fi }   /* PUT mark if version */
        if :: ty == 255 -> goto again :: else -> skip fi;
#endif
#ifndef BROKEN_LOOK_FIRST
        atomic { o = OTHERS(a) }                        /* LIST back references, GET tags, except the one that this push has created */
#endif
        if
        :: o ->
            atomic { if :: SEES(a) -> MARK = 0; WROTE(a) :: else -> skip fi }
#ifndef BROKEN_KEEPS_TAG
            T[a] = 0;                                   /* refused: remove the tag that this push has created */
#endif
            assert(!T[a]);
            goto end
        :: else -> skip
        fi;
        atomic { if                                     /* PUT manifest of the other type if version */
#ifdef BROKEN_BLIND_TYPE
            :: 1 ->
#else
            :: SEES(a) ->
#endif
                TY = t; MARK = 0; WROTE(a); CHECK :: else -> ty = 255 fi }
        if :: ty == 255 -> goto again :: else -> skip fi
    :: ty == t && m ->
#ifndef BROKEN_NO_UNMARK
        atomic { if :: SEES(a) -> MARK = 0; WROTE(a) :: else -> ty = 255 fi }
        if :: ty == 255 -> goto again :: else -> skip fi
#endif
    :: else -> skip
    fi;
    atomic { T[a] = 1 }                                 /* PUT tag */
#ifdef BROKEN_NO_STAT
    atomic { acked[a] = 1; CHECK }
#else
    atomic { if :: SEES(a) -> acked[a] = 1; CHECK :: else -> ty = 255 fi }      /* HEAD manifest: still the version above. 201 */
    if :: ty == 255 -> goto again :: else -> skip fi;
#endif
end: FORGETS(a)
}

init { atomic {
#ifdef PA
    run Push(0, A);
#endif
#ifdef PA2
    run Push(1, A);
#endif
#ifdef PB
    run Push(2, B);
#endif
#ifdef PB2
    run Push(3, B);
#endif
} }
