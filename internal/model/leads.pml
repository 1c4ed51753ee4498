/*
 * leads.pml - conditional pushes of several tags: they move all of their tags or none. See
 * storage/lead.go.
 *
 * Three tags 0, 1, 2. Each push expects that its tags are as they were at first, and writes its own
 * number. A push claims a tag in Next of the tag.
 *   T[x]   where the tag points: 0 at first, then the number of a push
 *   N[x]   bit a: push a is about to move the tag
 *   D[x]   bit a: push a has moved the tag (entry.Moved)
 *   K[x]   bit a: the tag is unchanged since actor a read it, which is the condition of the writes
 *   W[x]   the actor that has moved the tag from its first value, on a condition
 *
 * Actors: A moves 0 and 2, B 1 and 2, C 0 and 2, E all three; the first tag is the lead. S moves 2
 * alone. DT deletes 2 on the condition that it is as at first (which counts as pointing at 7). U moves
 * 2 without a condition (which counts as 8). DL deletes 0 without a condition (7), so that D is lost
 * there. TB aborts pending moves, because their time is over or because a manifest is deleted. A push
 * may die anywhere. -DBROKEN_x takes one rule away.
 */
#define SEES(x,a)   (K[x] & (1<<a))
#define READS(x,a)  K[x] = K[x] | (1<<a)
#define WROTE(x,a)  K[x] = (1<<a)
#ifndef TRIES
#define TRIES 2
#endif

byte T[3]; byte N[3]; byte D[3]; byte W[3]; short K[3];
byte done;          /* bit a: push a received 201 */
byte lost;          /* bit a: push a received 412 */

/* A push that has decided completes its moves, unless it dies. A refused push has changed nothing. */
#define MINE(x,a)   (T[x] == a || W[x] == a || W[x] == 0 && T[x] == 8)
#ifdef BROKEN_LEAVES_NEXT
#define MOVES(x,a)  N[x] = N[x] & ~(1<<a)
#else
#define MOVES(x,a)  N[x] = 0        /* of all pushes: a push that still finds its own entry was not overtaken */
#endif
#define NOTHING(a)  (T[0] != a && T[1] != a && T[2] != a)

inline lead(a) { if :: a == 1 -> l = 0 :: a == 2 -> l = 1 :: a == 3 || a == 4 -> l = 0 :: else -> l = 9 fi }

/*
 * storage/lead.go, giveWay: what o claims of the tag, as it was read. own has decided nothing yet.
 * again is set if o has decided and is completing its moves.
 */
inline giveWay(x, a, o) {
    if
    :: o != a && (nx & (1<<o)) ->
       lead(o);
       if
       :: l != 9 && l != x && (l != own || D[l] & (1<<o)) ->  /* the move of a lead in common sends o back */
#ifdef BROKEN_NO_WAY
          skip
#else
          atomic { READS(l,a); seen = (D[l] & (1<<o) -> 2 : (N[l] & (1<<o) -> 1 : 0)) }        /* GET the lead */
          if
          :: seen == 2 -> again = 1
          :: seen == 1 ->
#ifdef BROKEN_NO_ABORT
             skip
#else
             atomic { if :: SEES(l,a) -> N[l] = N[l] & ~(1<<o); WROTE(l,a) :: else -> again = 1 fi }    /* PUT the lead if version */
#endif
          :: else -> skip
          fi
#endif
       :: else -> skip
       fi
    :: else -> skip
    fi
}

inline giveWayToAll(x, a) {
    o = 1;
    do
    :: o <= 4 && !again -> giveWay(x, a, o); o++
    :: else -> break
    od
}

/* A push of the tags x, y and, if it is not 9, z. */
proctype Push(byte a; byte x; byte y; byte z) {
    byte tags[3]; byte n = 2; byte i; byte o; byte l; byte seen; byte tries = 0; bool again; bool decided; byte t; byte nx; byte own = x;
    tags[0] = x; tags[1] = y; tags[2] = z;
    if :: z != 9 -> n = 3 :: else -> skip fi;
retry:
    tries++; again = 0;
    if :: tries > TRIES -> goto end :: else -> skip fi;
    i = 0;                                              /* what is left of an attempt before */
    do
    :: i < n -> atomic { if :: N[tags[i]] & (1<<a) -> N[tags[i]] = N[tags[i]] & ~(1<<a); K[tags[i]] = 0 :: else -> skip fi; i++ }
    :: else -> break
    od;
    i = 0;
    do                                                  /* PUT each tag if version: its present target, and the pending move */
    :: i < n ->
       atomic { t = T[tags[i]]; READS(tags[i],a) }
       if
       :: t == a -> i++
       :: t != 0 && t != a ->
          if :: D[tags[i]] & (1<<a) -> i++ :: else -> if :: decided -> goto unknown :: else -> goto refused fi fi
       :: t == 0 -> atomic { if :: SEES(tags[i],a) -> N[tags[i]] = N[tags[i]] | (1<<a); WROTE(tags[i],a); i++ :: else -> skip fi }
       fi
    :: else -> break
    od;
#ifndef BROKEN_NOT_READY
    i = 0;
    do                                                  /* storage/lead.go, ready */
    :: i < n && !decided ->
       atomic { t = T[tags[i]]; nx = N[tags[i]]; READS(tags[i],a); again = !(nx & (1<<a)) }
       if :: t != 0 -> goto refused :: else -> skip fi;
       if :: again -> goto retry :: else -> skip fi;
       giveWayToAll(tags[i], a);
       if :: again -> goto retry :: else -> skip fi;
       i++
    :: else -> break
    od;
#endif
    i = 0;
    do                                                  /* PUT each tag if version: the move */
    :: i < n ->
       atomic { t = T[tags[i]]; nx = N[tags[i]]; READS(tags[i],a); again = !(nx & (1<<a)) }
       if
       :: t == a -> i++
       :: t != a && t != 0 ->
          if
          :: D[tags[i]] & (1<<a) -> i++                 /* moved, and others have moved it on */
#ifdef BROKEN_NO_EVIDENCE
          :: else -> if :: decided -> i++ :: else -> goto refused fi
#else
          :: else -> if :: decided && !again -> i++     /* an unconditional change came after the lead moved */
                        :: decided && again -> goto unknown
                        :: else -> goto refused fi
#endif
          fi
       :: t == 0 ->
          if :: again -> goto retry :: else -> skip fi;
          if :: !decided -> giveWayToAll(tags[i], a); if :: again -> goto retry :: else -> skip fi :: else -> skip fi;
          atomic { if
              :: SEES(tags[i],a) -> T[tags[i]] = a; W[tags[i]] = a; MOVES(tags[i],a); D[tags[i]] = D[tags[i]] | (1<<a); WROTE(tags[i],a); decided = 1; i++
              :: else -> skip
              fi }
       fi
    :: else -> break
    od;
    /* All or none: no other push has moved one of the tags on a condition. */
    atomic { assert(MINE(x,a) && MINE(y,a) && (z == 9 || MINE(z,a))); done = done | (1<<a) }
    goto end;
refused:
    atomic { assert(NOTHING(a)); lost = lost | (1<<a) }
    i = 0;
    do
    :: i < n -> atomic { if :: N[tags[i]] & (1<<a) -> N[tags[i]] = N[tags[i]] & ~(1<<a); K[tags[i]] = 0 :: else -> skip fi; i++ }
    :: else -> break
    od;
    goto end;
unknown:                                                /* 503: only if the lead was deleted, or the move aborted */
#if !defined(DL) && !defined(TB)
    assert(0);
#endif
    skip;
end: skip
}

/* A push of tag 2 alone, or with to = 7 a delete of it, on the condition that it is as at first. */
proctype Single(byte a; byte to) {
    byte o; byte l; byte seen; byte tries = 0; bool again; byte t; byte nx; byte own = 9;
retry:
    tries++; again = 0;
    if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { t = T[2]; nx = N[2]; READS(2,a) }
    if :: t != 0 -> goto end :: else -> skip fi;
    giveWayToAll(2, a);
    if :: again -> goto retry :: else -> skip fi;
    atomic { if :: SEES(2,a) -> assert(T[2] == 0); T[2] = to; W[2] = a; MOVES(2,a); WROTE(2,a); if :: to == 7 -> N[2] = 0 :: else -> skip fi :: else -> again = 1 fi }
    if :: again -> goto retry :: else -> skip fi;
end: skip
}

/* A push of the tag 2, and a delete of the tag 0, without a condition. */
proctype Later() { atomic { if :: T[2] != 7 -> T[2] = 8; K[2] = 0 :: else -> skip fi } }
proctype DeleteLead() { atomic { T[0] = 7; N[0] = 0; D[0] = 0; K[0] = 0 } }

/* What a push is about to do is taken back. */
proctype TakeBack() { end: do :: atomic { N[2] != 0 -> N[2] = 0; K[2] = 0 } od }

init { atomic {
#ifdef A
    run Push(1, 0, 2, 9);
#endif
#ifdef B
    run Push(2, 1, 2, 9);
#endif
#ifdef C
    run Push(3, 0, 2, 9);
#endif
#ifdef E
    run Push(4, 0, 1, 2);
#endif
#ifdef S
    run Single(5, 5);
#endif
#ifdef DT
    run Single(6, 7);
#endif
#ifdef U
    run Later();
#endif
#ifdef DL
    run DeleteLead();
#endif
#ifdef TB
    run TakeBack();
#endif
} }
