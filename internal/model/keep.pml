/*
 * keep.pml - protected tags, beside deletes that respect the protection, on a store with
 * PUT-if-version and DELETE-if-version. One atomic block = one store request. Any actor may stall or
 * die between two blocks.
 *
 * One index that names one child. The tag, once acknowledged, must always lead to the index, and the
 * index to the child.
 *   I      r/<R>/m/<index>   manifest: pending, ok, or marked by a delete
 *   C      what the index names: a manifest that a delete marks as deleting, or a link that a delete
 *          condemns. Either is read while it is marked
 *   T      r/<R>/t/<tag>     the tag, which points at the index or is absent
 *
 * Run it as collect.pml. Actors: P0 P1 pushes of index and tag, PC a push of the child, DC DC2 deletes
 * of the child, DI DI2 deletes of the index. HELD: index and tag exist at first, and DP deletes the
 * child although the tag needs it, as callers of the backend below the filter can. -DBROKEN_x takes
 * one rule away. Versions: bit a of K says that actor a has seen the present version; any write by
 * another actor clears it.
 */
#define NONE 0
#define PEND 1
#define OK   2
#define MARK 3

byte I = NONE; byte C = OK; bool T;
byte KI, KC, KT;
bool acked;
bool pushed;   /* a push that needs the child has pushed it */

#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define VISIBLE(x)  (x == OK || x == MARK)
#define CHECK       assert(!acked || T && VISIBLE(I) && VISIBLE(C))

/* The child must stay: take the mark of a delete off. ok is whether it is there. */
inline need(a, ok) {
    do
    :: atomic { s = C; READS(KC,a) }
       if
       :: s == OK -> ok = 1; break
#ifdef BROKEN_NO_UNMARK
       :: s == MARK -> ok = 1; break
#else
       :: s == MARK -> atomic { if :: SEES(KC,a) -> C = OK; WROTE(KC,a); s = OK; pushed = 1 :: else -> skip fi }
                       if :: s == OK -> ok = 1; break :: else -> skip fi
#endif
       :: else -> ok = 0; break
       fi
    od
}

proctype Push(byte a) {
    byte s; byte m; bool ok; bool created; bool mine; byte tries = 0;
again:
    tries++; if :: tries > 3 -> goto end :: else -> skip fi;
    atomic { m = I; READS(KI,a) }                       /* GET index */
    if
    :: m == OK -> skip
    :: else ->
        if
        :: m == NONE -> atomic { if :: SEES(KI,a) -> I = PEND; WROTE(KI,a) :: else -> m = 255 fi }
        :: else -> skip                                 /* pending by another push, or marked: a root already */
        fi;
        if :: m == 255 -> goto again :: else -> skip fi;
        need(a, ok);
        if :: !ok -> goto end :: else -> skip fi;       /* refused; a collector removes the pending index */
        atomic { if :: SEES(KI,a) -> I = OK; WROTE(KI,a); CHECK :: else -> m = 255 fi }
        if :: m == 255 -> goto again :: else -> skip fi
    fi;
    do                                                  /* PUT tag, if it is as it was seen */
    :: atomic { s = T; mine = created && SEES(KT,a); READS(KT,a) }
       atomic { if :: SEES(KT,a) -> T = 1; WROTE(KT,a); created = (s == 0 || mine); s = 2; CHECK :: else -> skip fi }
       if :: s == 2 -> break :: else -> skip fi
    od;
#ifndef BROKEN_NO_HOLD
    need(a, ok);                                        /* everything that the index reaches, after the tag exists */
    if
    :: !ok ->
#ifdef BROKEN_BLIND_RETRACT
        atomic { T = 0; WROTE(KT,a); CHECK }
#else
        atomic { if :: created && SEES(KT,a) -> T = 0; WROTE(KT,a); CHECK :: else -> skip fi }
#endif
        goto end
    :: else -> skip
    fi;
#endif
#ifdef BROKEN_NO_RELOOK
    atomic { acked = 1; CHECK }
#else
    atomic { if :: SEES(KI,a) -> acked = 1; CHECK :: else -> m = 255 fi }   /* HEAD index: still the version above */
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
end: skip
}

/* A push of the child, which also removes marks. */
proctype PushChild(byte a) {
    byte s;
    atomic { s = C; READS(KC,a) }
    atomic { if :: s != OK && SEES(KC,a) -> C = OK; WROTE(KC,a); pushed = 1; CHECK :: else -> skip fi }
}

proctype DeleteChild(byte a) {
    byte s; bool t; byte i;
    atomic { s = C; READS(KC,a) }
    if
    :: VISIBLE(s) ->
#ifdef BROKEN_LOOK_FIRST
        atomic { t = T } atomic { i = I }
#endif
        atomic { if :: SEES(KC,a) -> C = MARK; WROTE(KC,a) :: else -> s = 255 fi }
        if :: s == 255 -> goto end :: else -> skip fi;
#ifndef BROKEN_LOOK_FIRST
        atomic { t = T }                                /* LIST tags, GET those that are kept */
        atomic { i = I }                                /* GET what they point at: it names the child in any state */
#endif
        if
#ifdef BROKEN_OTHERS_MARK
        :: t && i != NONE -> atomic { if :: SEES(KC,a) -> C = OK; WROTE(KC,a); CHECK :: else -> skip fi }
#else
        :: t && i != NONE ->                            /* refused: remove the mark, unless another delete has set it */
            atomic { if :: s == OK && SEES(KC,a) -> C = OK; WROTE(KC,a); CHECK :: else -> skip fi }
#endif
        :: else ->
            atomic { if
#ifdef BROKEN_BLIND_REMOVE
                :: 1 ->
#else
                :: SEES(KC,a) ->
#endif
                C = NONE; WROTE(KC,a); CHECK :: else -> skip fi }
        fi
    :: else -> skip
    fi;
end: skip
}

/* A delete that ignores protection. When it has succeeded, the child is gone, or was pushed again. */
proctype DeleteAnyway(byte a) {
    byte s; byte tries = 0;
again:
    tries++; if :: tries > 3 -> goto end :: else -> skip fi;
    atomic { s = C; READS(KC,a) }
    if :: VISIBLE(s) -> skip :: else -> goto end fi;
    atomic { if :: SEES(KC,a) -> C = MARK; WROTE(KC,a) :: else -> s = 255 fi }
    if :: s == 255 -> goto again :: else -> skip fi;
    atomic { if :: SEES(KC,a) -> C = NONE; WROTE(KC,a); s = 255 :: else -> skip fi }
    if :: s == 255 -> goto end :: else -> skip fi;
    atomic { s = C; READS(KC,a) }
    if
    :: s == MARK -> goto again                          /* another delete's */
    :: else -> assert(s == NONE || pushed)
    fi;
end: skip
}

proctype DeleteIndex(byte a) {
    byte s; bool t;
    atomic { s = I; READS(KI,a) }
    if
    :: VISIBLE(s) ->
        atomic { if :: SEES(KI,a) -> I = MARK; WROTE(KI,a) :: else -> s = 255 fi }
        if :: s == 255 -> goto end :: else -> skip fi;
        atomic { t = T }
        if
        :: t -> atomic { if :: SEES(KI,a) -> I = OK; WROTE(KI,a); CHECK :: else -> skip fi }
        :: else -> atomic { if :: SEES(KI,a) -> I = NONE; WROTE(KI,a); CHECK :: else -> skip fi }
        fi
    :: else -> skip
    fi;
end: skip
}

init { atomic {
    KI = 0; KC = 0; KT = 0;
#ifdef HELD
    I = OK; T = 1;
#endif
#ifdef P0
    run Push(0);
#endif
#ifdef P1
    run Push(1);
#endif
#ifdef PC
    run PushChild(2);
#endif
#ifdef DC
    run DeleteChild(3);
#endif
#ifdef DC2
    run DeleteChild(4);
#endif
#ifdef DI
    run DeleteIndex(5);
#endif
#ifdef DI2
    run DeleteIndex(6);
#endif
#ifdef DP
    run DeleteAnyway(7);
#endif
} }
