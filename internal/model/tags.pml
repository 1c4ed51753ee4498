/*
 * tags.pml - what leads to a manifest: tags, back references, an index. Pushes, deletes by users, and
 * collectors that remove untagged manifests and unneeded back references, on a store with
 * PUT-if-version and DELETE-if-version. Blocks, actors and versions are as in collect.pml.
 *
 * One manifest m, one index that names it, one tag.
 *   M      r/<R>/m/<m>         manifest: pending, ok, or marked by a delete or a collector. It is read
 *                              while it is marked
 *   I      r/<R>/m/<index>     the index. Users push and delete it here, and no collector touches it
 *                              once it is visible
 *   T      r/<R>/t/<tag>       the tag: absent, at m, or elsewhere
 *   N                          in T: the pushes that are about to move it. At most one of each push
 *                              counts, its last; what is left of its earlier attempts only protects more
 *   B      r/<R>/x/<m>/<tag>   back reference: the tag may point at m. The entry with a subject is
 *                              written and removed at the same places
 *   H      h/<R>/...           history needs m: a tag pointed at it, or the index that was deleted
 *                              (with -DHIST)
 *
 * Elsewhere is any other manifest. What holds for m holds for that manifest, so no actor looks at it
 * here: a push of it finds it there, or begins again, or is refused.
 * A push takes its own entry out of N in one block. A read and a write on the version would do, and
 * the entry has no effect until they succeed. The same holds for an actor that takes all entries out,
 * and for a delete of the tag.
 *
 * Actors: P0 P1 pushes of m with the tag, MV MV2 pushes that move the tag elsewhere, PI PI2 pushes of
 * the index, HD a HEAD that refreshes m, DM DM2 deletes of m by a user, DI a delete of the index, DT a
 * delete of the tag (or of what it points at elsewhere), DU DU2 deletes of m by a user if nothing
 * leads to it, GU GU2 collectors of untagged manifests, GB
 * GB2 collectors of back references, GO a collector of tags and back references without a manifest,
 * GN a collector of pending moves of pushes that seem to have died. NEW: m is absent at first. THERE:
 * the tag is elsewhere at first. HERE0: it is at m. COND: P0 and P1 push on the condition that the tag
 * is as it was at first (storage/condition.go). -DBROKEN_x takes one rule away.
 */
#define NONE 0
#define PEND 1
#define OK   2
#define MARK 3
#ifndef TRIES
#define TRIES 2     /* how often a push begins */
#endif
#define HERE 1      /* T: at m */
#define AWAY 2      /* T: elsewhere */

byte M = NONE; byte I = NONE; byte T = NONE; bool B;
byte N;
short KM, KI, KT, KB;
byte open;          /* 1 + the last writer of the tag, if that has not ended: it will look again, or is dead and has promised nothing */
bool user;          /* a user has deleted m since it last became visible, whatever names it */
short told;         /* bit a: a push of the tag received 201 since the delete a last saw its mark */
byte was;           /* T as the last push with a 201 left it; NONE if a user has deleted that */
#ifdef HIST
bool H;             /* an event exists */
bool held;          /* the event can restore m */
byte kept;          /* the event of a delete of m if unused holds m; bit of the delete */
#endif

#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define FORGETS(K,a) K = K & ~(1<<a)    /* fewer states */
#ifdef DM
#define TOLD        told = 1<<5 | 1<<6
#else
#define TOLD        skip
#endif
#define MINE(a)     (1 << (a < 2 -> a : a - 11))    /* in N, of P0 P1 MV MV2 */
#define NEXT        (N & 3)                 /* m is in N */
#define VISIBLE(x)  (x == OK || x == MARK)
#ifdef THERE
#define EXPECTED    AWAY
#else
#define EXPECTED    NONE
#endif
/*
 * Once a push has set the tag, its condition stays met. But it does not create the tag again after a
 * delete.
 */
#ifndef COND
#define MEETS(t)    1
#define MOVEDON     0
#else
#ifdef BROKEN_COND_FORGOTTEN
#define MEETS(t)    (t == EXPECTED)
#else
#define MEETS(t)    (set || t == EXPECTED)
#endif
#endif
#if defined(COND) && !defined(BROKEN_COND_AGAIN) && !defined(BROKEN_COND_FORGOTTEN)
#define ISGONE      (set && T == NONE)
#else
#define ISGONE      0
#endif
#ifdef COND
#define MOVEDON     (set && t == AWAY)
#endif
/*
 * An acknowledged tag leads to the manifest, the manifest to the tag, and an index to what it names. So
 * a removed manifest leaves no tag.
 */
#define TAGS        (T != HERE || open || VISIBLE(M) && B)
/* No push removes a tag or moves it back that another push has acknowledged. */
#define STANDS      (was == NONE || T == was && (was != HERE || VISIBLE(M)))
#define CHILD       (!VISIBLE(I) || VISIBLE(M) || user)
#ifdef HIST
#define CHECK       assert(TAGS && STANDS && CHILD && (!held || VISIBLE(M) || user || kept))
#else
#define CHECK       assert(TAGS && STANDS && CHILD)
#endif

/* If the later writer of a tag is unknown, a 201 promises less. */
#ifdef DT
#define STILL(a)    SEES(KT,a)
#else
#define STILL(a)    1
#endif

/* storage/write.go, attempt, and storage/tag.go. */
proctype Push(byte a) {
    byte m; byte t; bool backrefs; bool wrote; bool set; byte tries = 0;
again:
    tries++;
    if
    :: tries > TRIES -> goto end                        /* dead */
    :: tries > TRIES -> goto refused                    /* others came first too often: 503 */
    :: else -> skip
    fi;
    atomic { m = M; READS(KM,a) }                       /* GET manifest */
    backrefs = VISIBLE(m);
    if
    :: m != OK ->
        if
        :: m == NONE -> atomic { if :: SEES(KM,a) -> M = PEND; WROTE(KM,a) :: else -> m = 255 fi }
        :: else -> skip                                 /* pending by another push, or marked: a root already */
        fi;
        if :: m == 255 -> goto again :: else -> skip fi;
        if :: !backrefs -> atomic { B = 1; WROTE(KB,a) } :: else -> skip fi;    /* PUT back reference, early */
        if
        :: tries > 1 -> goto refused                    /* what it names is missing */
        :: 1 -> skip
        fi;
        atomic { if :: SEES(KM,a) -> M = OK; WROTE(KM,a); user = 0; CHECK :: else -> m = 255 fi }   /* PUT manifest ok if version */
        if :: m == 255 -> goto again :: else -> skip fi
    :: else -> skip
    fi;
    atomic { if :: N & MINE(a) -> N = N & ~MINE(a); KT = 0 :: else -> skip fi }    /* of an attempt before */
    if :: backrefs -> atomic { B = 1; WROTE(KB,a) } :: else -> skip fi;         /* PUT back reference */
#ifdef BROKEN_LOOK_BEFORE_NEXT
    atomic { if :: SEES(KM,a) || T != AWAY -> skip :: else -> m = 255 fi }
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
    do
    :: atomic { if                                      /* PUT tag if absent, or GET it */
        :: ISGONE -> t = 254                            /* whether any client saw it is unknown: 503 */
        :: !ISGONE && T == NONE && MEETS(NONE) ->
#ifdef COND
            assert(!set);                               /* the tag is created once */
#endif
            T = HERE; WROTE(KT,a); open = 1 + a; wrote = 1; set = 1; t = NONE; CHECK
        :: else -> t = T; READS(KT,a)
        fi }
       if
       :: t == 254 -> goto refused
       :: t != 254 && MOVEDON -> goto end
       :: else -> if :: t == NONE && set || MEETS(t) -> skip :: else -> goto failed fi
       fi;
       if
       :: t == NONE -> break
       :: t == AWAY ->
          atomic { if                                   /* PUT tag if version: its present target, and the pending move */
#ifdef BROKEN_BLIND_NEXT
             :: 1 -> T = t;
#else
             :: SEES(KT,a) ->
#endif
                N = N | MINE(a); WROTE(KT,a); CHECK :: else -> t = 255 fi }
          if :: t != 255 -> break :: else -> skip fi
       :: else ->
          atomic { if :: SEES(KT,a) -> WROTE(KT,a); open = 1 + a; wrote = 1; t = NONE; CHECK :: else -> skip fi }   /* PUT tag if version */
          if :: t == NONE -> break :: else -> skip fi
       fi
    od;
#ifdef BROKEN_ONE_WRITE
    if :: t == AWAY -> atomic { if :: SEES(KT,a) -> T = HERE; WROTE(KT,a); open = 1 + a; t = NONE; wrote = 1 :: else -> goto again fi } :: else -> skip fi;
#endif
#ifdef BROKEN_NO_STAT
    if :: t != AWAY -> atomic { open = 0; TOLD; CHECK } goto end :: else -> skip fi;
#else
    atomic { if                                         /* HEAD manifest: still the version above. 201, unless the tag must move */
        :: SEES(KM,a) && t != AWAY -> assert(T != NONE || !STILL(a)); if :: T == HERE && STILL(a) -> open = 0; was = HERE; TOLD :: else -> skip fi; CHECK
#if defined(BROKEN_NO_LOOK) || defined(BROKEN_LOOK_BEFORE_NEXT)
        :: t == AWAY -> skip
#else
        :: SEES(KM,a) && t == AWAY -> skip
#endif
        :: else -> m = 255
        fi }
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
    if
    :: t == AWAY ->
        do
        :: atomic { if                                  /* PUT tag if version. 201: in N since before the look */
#ifdef BROKEN_BLIND_MOVE
             :: 1 ->
#else
             :: SEES(KT,a) ->
#endif
#ifdef COND
                assert(T == EXPECTED);
#endif
                set = 1;
                T = HERE; N = N & ~MINE(a); KT = 0; open = 0; was = HERE; TOLD; t = HERE; CHECK :: else -> skip fi }
           if :: t == HERE -> break :: else -> skip fi;
#ifdef BROKEN_ANY_NEXT
           atomic { READS(KT,a); if :: NEXT -> skip :: else -> m = 255 fi }
#else
           atomic { READS(KT,a); if :: N & MINE(a) -> skip :: else -> m = 255 fi;      /* GET tag */
#ifndef BROKEN_COND_ONCE
              if :: MEETS(T) -> skip :: else -> m = 254 fi
#endif
           }
           if :: m == 254 -> goto failed :: else -> skip fi;
#endif
           if :: m == 255 -> goto again :: else -> skip fi
        od
    :: else -> skip
    fi;
    goto end;
failed:
    assert(!set);                                       /* 412: this push has not changed the tag */
refused:
    atomic { if :: SEES(KM,a) && M == PEND -> M = NONE; KM = 0 :: else -> skip fi }
    atomic { if :: N & MINE(a) -> N = N & ~MINE(a); KT = 0 :: else -> skip fi }
#ifdef BROKEN_REFUSED_REMOVES_TAG
    atomic { T = NONE; N = 0; KT = 0; CHECK }
#endif
    backrefs = 0;
    do                                                  /* a tag that this push has written, or others have written again since */
    :: !wrote -> break
    :: else ->
       atomic { t = T; READS(KT,a) }                    /* GET tag */
       if :: t != HERE -> break :: else -> skip fi;
       atomic { m = M; READS(KM,a) }                    /* GET manifest */
       if
#ifdef BROKEN_REFUSED_KEEPS_TAG
       :: m == PEND -> break
       :: m == NONE ->
#else
       :: !VISIBLE(m) ->                                /* nobody has acknowledged this version of the tag */
#endif
          atomic { if :: SEES(KT,a) -> T = NONE; N = 0; KT = 0; t = NONE; CHECK :: else -> skip fi }    /* DELETE tag if version */
          if :: t == NONE -> break :: else -> skip fi
#ifndef BROKEN_REFUSED_NO_BACKREF
       :: VISIBLE(m) && !backrefs -> atomic { B = 1; WROTE(KB,a); backrefs = 1 }    /* PUT back reference, then look again */
       :: m == OK && backrefs -> break                  /* who marks it from now on finds the tag */
       :: m == MARK && backrefs ->
#else
       :: m == OK -> break
       :: m == MARK ->
#endif
#ifdef BROKEN_REFUSED_NO_TOUCH
          break
#else
          atomic { if :: SEES(KM,a) -> WROTE(KM,a); m = 255 :: else -> skip fi }    /* PUT manifest if version, unchanged: who marked it looks again */
          if :: m == 255 -> break :: else -> skip fi
#endif
       fi
    od;
    atomic { if :: wrote && open == 1 + a -> open = 0; CHECK :: else -> skip fi }
    atomic { m = M }                                    /* GET manifest */
    if
#ifdef BROKEN_REFUSED_BESIDE_PENDING
    :: !VISIBLE(m) ->
#else
    :: m == NONE ->                                     /* removes what this push has written, if unchanged */
#endif
        atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi }
    :: else -> skip
    fi;
end: atomic { FORGETS(KM,a); FORGETS(KT,a); FORGETS(KB,a) }
}

/* A push of the tag with another manifest. History, if kept, is written before the tag moves. */
proctype Move(byte a) {
    byte t; bool wrote; bool next; byte tries = 0;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { if :: N & MINE(a) -> N = N & ~MINE(a); KT = 0 :: else -> skip fi }
    next = 0;
    do
    :: atomic { if
        :: T == NONE -> T = AWAY; WROTE(KT,a); wrote = 1; t = NONE; CHECK
        :: else -> t = T; wrote = wrote && SEES(KT,a); READS(KT,a)
        fi }
       if
       :: t == NONE -> break
       :: t == AWAY -> atomic { if :: SEES(KT,a) -> WROTE(KT,a); t = NONE :: else -> skip fi }    /* at the same manifest */
                       if :: t == NONE -> break :: else -> skip fi
       :: t != NONE -> atomic { if :: SEES(KT,a) -> N = N | MINE(a); WROTE(KT,a); next = 1 :: else -> skip fi }
               if :: next -> break :: else -> skip fi
       fi
    od;
    if
    :: tries < TRIES -> goto again
    :: goto refused
    :: !next -> atomic { if :: T == AWAY && STILL(a) -> was = AWAY :: else -> skip fi } goto end
    :: next -> skip
    fi;
    do
    ::
#ifdef HIST
#ifdef BROKEN_EVENT_ONCE
       if :: t == HERE && next -> atomic { H = 1; next = 0 } :: else -> next = 0 fi;
#else
       if :: t == HERE -> atomic { H = 1 } :: else -> skip fi;        /* PUT event */
#endif
#endif
       atomic { if
           :: SEES(KT,a) ->
#ifdef HIST
               if :: T == HERE && VISIBLE(M) && !open -> held = 1; assert(H) :: else -> skip fi;
#endif
               T = AWAY; N = N & ~MINE(a); KT = 0; was = AWAY; t = 255; CHECK
           :: else -> skip
           fi }
       if :: t == 255 -> goto end :: else -> skip fi;
       atomic { t = T; READS(KT,a); if :: N & MINE(a) -> skip :: else -> t = 255 fi }
       if :: t == 255 -> goto again :: else -> skip fi
    od;
refused:
    atomic { if :: N & MINE(a) -> N = N & ~MINE(a); KT = 0 :: else -> skip fi }
    atomic { if :: wrote && SEES(KT,a) -> T = NONE; N = 0; KT = 0; CHECK :: else -> skip fi }
end: FORGETS(KT,a)
}

/* A user's delete of the tag, or of what it points at elsewhere. */
proctype DeleteTag() {
    atomic { if :: T != NONE -> T = NONE; N = 0; KT = 0; was = NONE :: else -> skip fi }
}

/* Aborts pending moves of pushes that may have died, for ever. */
proctype Moves() { end: do :: atomic { N != 0 -> N = 0; KT = 0 } od }

/* A push of the index. storage/internal/object/manifest.go, KeepManifest: what the index names stays from now on. */
proctype PushIndex(byte a) {
    byte i; byte m; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { i = I; READS(KI,a) }
    if
    :: i == OK -> goto end                              /* what is visible is whole */
    :: i == NONE -> 
#ifndef BROKEN_CHECK_FIRST
        atomic { if :: SEES(KI,a) -> I = PEND; WROTE(KI,a) :: else -> i = 255 fi }
#endif
    :: else -> skip
    fi;
    if :: i == 255 -> goto again :: else -> skip fi;
    do
    :: atomic { m = M; READS(KM,a) }
       if
       :: m == OK -> break
#ifdef BROKEN_NO_UNMARK
       :: m == MARK -> break
#else
       :: m == MARK -> atomic { if :: SEES(KM,a) -> M = OK; WROTE(KM,a); m = OK; CHECK :: else -> skip fi }
                       if :: m == OK -> break :: else -> skip fi
#endif
       :: else -> atomic { if :: SEES(KI,a) && i == NONE -> I = NONE; KI = 0 :: else -> skip fi }   /* refused */
                  goto end
       fi
    od;
    atomic { if :: SEES(KI,a) -> I = OK; KI = 0; CHECK :: else -> i = 255 fi }
    if :: i == 255 -> goto again :: else -> skip fi;
end: atomic { FORGETS(KM,a); FORGETS(KI,a) }
}

/* A HEAD by a caller with push access: the manifest is written again, unchanged. */
proctype Head(byte a) {
    byte m;
    atomic { m = M; READS(KM,a) }
    if :: VISIBLE(m) -> atomic { if :: SEES(KM,a) -> WROTE(KM,a) :: else -> skip fi } :: else -> skip fi
}

/* storage/manifestdelete.go. */
proctype DeleteManifest(byte a) {
    byte m; bool b; bool t; bool x; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    b = 0; t = 0; x = 0;
    atomic { m = M; READS(KM,a) }
    if :: VISIBLE(m) -> skip :: else -> goto end fi;
    atomic { if :: SEES(KM,a) -> M = MARK; WROTE(KM,a); told = told & ~(1<<a) :: else -> m = 255 fi }
    if :: m == 255 -> goto again :: else -> skip fi;
    atomic { b = B; READS(KB,a) }                       /* LIST back references */
    if :: b -> atomic { t = (T == HERE); x = (NEXT != 0); READS(KT,a) } :: else -> skip fi;     /* GET tags */
#ifdef BROKEN_DELETE_IGNORES_NEXT
    x = 0;
#endif
#ifndef BROKEN_DELETE_NO_RELOOK
    atomic { if :: SEES(KM,a) -> told = told & ~(1<<a) :: else -> m = 255 fi }  /* GET manifest: still marked, so no push has removed the mark since the looks */
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
#ifdef BROKEN_BACKREF_BEFORE_TAG
    if :: b -> atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi } :: else -> skip fi;
#endif
    if                                                  /* DELETE tags if version, then what leads to them */
    :: t -> atomic { if
#ifdef BROKEN_BLIND_TAG
        :: 1 ->
#else
        :: SEES(KT,a) ->
#endif
            assert(!(told & (1<<a))); T = NONE; N = 0; KT = 0; was = NONE; CHECK
#ifdef BROKEN_DELETE_TAG_CHANGED
        :: else -> skip
#else
        :: else -> m = 255                              /* not every writer of a tag looks at the manifest afterwards */
#endif
        fi }
    :: x && !t -> atomic { if :: SEES(KT,a) -> N = N & ~3; KT = 0               /* PUT tags if version: pushes with a pending move begin again */
#ifdef BROKEN_DELETE_NEXT_CHANGED
        :: else -> skip
#else
        :: else -> m = 255                              /* or have moved them */
#endif
        fi }
    :: else -> skip
    fi;
    if :: m == 255 -> goto again :: else -> skip fi;
#ifndef BROKEN_BACKREF_BEFORE_TAG
    if :: b -> atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi } :: else -> skip fi;
#endif
    atomic { if
#ifdef BROKEN_BLIND_DELETE
        :: 1 ->
#else
        :: SEES(KM,a) ->
#endif
            M = NONE; KM = 0; user = 1; if :: was == HERE -> was = NONE :: else -> skip fi; CHECK
        :: else -> if :: M == MARK -> m = 255 :: else -> skip fi
        fi }                                            /* DELETE manifest if version. 202 */
    if :: m == 255 -> goto again :: else -> skip fi;    /* marked by another delete, or written again by a push that was refused */
end: atomic { FORGETS(KM,a); FORGETS(KB,a); FORGETS(KT,a) }
}

proctype DeleteIndex(byte a) {
    byte i;
    atomic { i = I; READS(KI,a) }
    if
    :: VISIBLE(i) ->
        atomic { if :: SEES(KI,a) -> I = MARK; WROTE(KI,a) :: else -> i = 255 fi }
        if :: i == 255 -> goto end :: else -> skip fi;
#ifdef HIST
        atomic { if :: SEES(KI,a) && VISIBLE(M) -> H = 1; held = 1; CHECK :: else -> skip fi }    /* PUT event */
#endif
        atomic { if :: SEES(KI,a) -> I = NONE; KI = 0; CHECK :: else -> skip fi }
    :: else -> skip
    fi;
end: FORGETS(KI,a)
}

#ifdef BROKEN_UNTAGGED_IGNORES_NEXT
#define LED         (T == HERE)
#else
#define LED         (T == HERE || NEXT)
#endif
#ifdef BROKEN_NO_PENDING
#define NAMES       VISIBLE(I)
#else
#define NAMES       (I != NONE)
#endif

/*
 * What a collector looks at: all manifests, the back references and their tags, and history last,
 * because a moving tag is written there first.
 */
inline looks(a) {
#ifdef HIST
#ifdef BROKEN_HISTORY_FIRST
    atomic { n = H }
#endif
#endif
    atomic { n = n || NAMES }                           /* LIST and GET manifests */
    atomic { b = B; READS(KB,a) }                       /* LIST back references */
#ifndef BROKEN_NO_TAGS
    if :: b -> atomic { n = n || LED } :: else -> skip fi;          /* GET tags */
#endif
#ifdef HIST
#ifndef BROKEN_HISTORY_FIRST
    atomic { n = n || H }
#endif
#endif
}

/* Collector of untagged manifests, for ever. It may take over the mark of a dead actor. */
proctype Untagged(byte a) {
    byte m; bool n; bool b;
end:
    do
    :: atomic { VISIBLE(M) -> m = M; READS(KM,a) }
#ifdef BROKEN_LOOK_FIRST
       looks(a);
#endif
       atomic { if :: SEES(KM,a) -> M = MARK; WROTE(KM,a) :: else -> m = NONE fi }
       if
       :: m != NONE ->
#ifndef BROKEN_LOOK_FIRST
          looks(a);
#endif
          if
          :: n -> atomic { if :: SEES(KM,a) -> M = OK; WROTE(KM,a); CHECK :: else -> skip fi }
          :: else ->
#ifndef BROKEN_NO_RELOOK
             atomic { if :: SEES(KM,a) -> skip :: else -> m = NONE fi }         /* HEAD manifest: still marked, as in a delete */
#endif
             if
             :: m != NONE ->
                if :: b -> atomic { if
#ifdef BROKEN_BLIND_POINTERS
                    :: 1 ->
#else
                    :: SEES(KB,a) ->
#endif
                        B = 0; KB = 0; CHECK :: else -> skip fi }
                :: else -> skip
                fi;
                atomic { if
#ifdef BROKEN_BLIND_REMOVE
                    :: M != NONE ->
#else
                    :: SEES(KM,a) ->
#endif
                        M = NONE; KM = 0; CHECK :: else -> skip fi }
             :: else -> skip
             fi
          fi
       :: else -> skip
       fi;
       atomic { m = 0; n = 0; b = 0; FORGETS(KM,a); FORGETS(KB,a) }
    od
}

/*
 * storage/unusedmanifest.go: a delete of m if nothing leads to it. It is one round of Untagged, except
 * that it need not look at the history, because its own event holds m.
 */
inline looksUnused(a) {
#ifdef BROKEN_UNUSED_NO_PENDING
    atomic { n = VISIBLE(I) }
#else
    atomic { n = NAMES }                                /* LIST and GET manifests */
#endif
    atomic { b = B; READS(KB,a) }                       /* LIST back references */
    if :: b -> atomic { n = n || LED } :: else -> skip fi           /* GET tags */
}

proctype DeleteUnused(byte a; byte event) {
    byte m; bool n; bool b; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { m = M; READS(KM,a) }
    if :: VISIBLE(m) -> skip :: else -> goto end fi;
#ifdef BROKEN_UNUSED_LOOK_FIRST
    looksUnused(a);
#endif
    atomic { if :: SEES(KM,a) -> M = MARK; WROTE(KM,a) :: else -> m = NONE fi }
    if :: m == NONE -> goto again :: else -> skip fi;
#ifndef BROKEN_UNUSED_LOOK_FIRST
    looksUnused(a);
#endif
    if
    :: n -> atomic { if :: SEES(KM,a) -> M = OK; WROTE(KM,a); CHECK :: else -> skip fi } goto end   /* refused */
    :: else -> skip
    fi;
#ifndef BROKEN_UNUSED_NO_RELOOK
    atomic { if :: SEES(KM,a) -> skip :: else -> m = NONE fi }      /* GET manifest: still marked */
    if :: m == NONE -> goto again :: else -> skip fi;
#endif
#ifdef HIST
#ifndef BROKEN_UNUSED_EVENT_AFTER
    atomic { kept = kept | event }                        /* PUT event */
#endif
#endif
    if :: b -> atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi } :: else -> skip fi;
    atomic { if
#ifdef BROKEN_UNUSED_BLIND
        :: M != NONE ->
#else
        :: SEES(KM,a) ->
#endif
            M = NONE; KM = 0; CHECK
        :: else -> m = NONE
        fi }
#ifdef HIST
    if :: m == NONE -> atomic { if :: M != NONE -> kept = kept & ~event :: else -> skip fi } :: else -> skip fi;   /* DELETE event */
#endif
#if defined(HIST) && defined(BROKEN_UNUSED_EVENT_AFTER)
    if :: m != NONE -> atomic { kept = kept | event } :: else -> skip fi;
#endif
    if :: m == NONE -> goto again :: else -> skip fi;   /* 202 */
end: atomic { FORGETS(KM,a); FORGETS(KB,a) }
}

#ifdef BROKEN_BACKREFS_IGNORE_NEXT
#define ELSEWHERE   (T != HERE)
#else
#define ELSEWHERE   (T != HERE && !NEXT)
#endif

/* Writes the manifest again, unchanged. A push that has yet to write the tag notices that. */
inline touch(a) {
    atomic { m = M; READS(KM,a) }
    if :: m == NONE -> skip :: else -> atomic { if :: SEES(KM,a) -> WROTE(KM,a) :: else -> m = NONE fi } fi
}

/* Collector of back references of tags that point elsewhere, and of tags without one, for ever. */
proctype Backrefs(byte a) {
    byte m; bool t;
end:
    do
    :: atomic { B -> READS(KB,a) }                      /* LIST back references */
       atomic { t = !ELSEWHERE }
#ifdef BROKEN_NO_TOUCH
       m = OK;
#else
#ifndef BROKEN_TOUCH_AFTER
       if :: !t -> touch(a) :: else -> skip fi;
#endif
#endif
#ifndef BROKEN_NO_SECOND_LOOK
       if :: !t -> atomic { t = !ELSEWHERE } :: else -> skip fi;
#endif
#ifdef BROKEN_TOUCH_AFTER
       if :: !t -> touch(a) :: else -> skip fi;
#endif
       if
       :: !t && m != NONE -> atomic { if
#ifdef BROKEN_BLIND_BACKREF
           :: 1 ->
#else
           :: SEES(KB,a) ->
#endif
               B = 0; KB = 0; CHECK :: else -> skip fi }
       :: else -> skip
       fi;
       atomic { m = 0; t = 0; FORGETS(KM,a); FORGETS(KB,a) }
    :: atomic { T == HERE -> skip }                     /* LIST tags, GET */
       atomic { if :: !B -> B = 1; KB = 0 :: else -> skip fi }             /* PUT back reference if absent */
    od
}

/*
 * Collector of tags and back references without a manifest. It removes each on the version that it saw
 * before it looked for the manifest.
 */
proctype Orphans(byte a) {
    byte m;
end:
    do
    :: atomic { T == HERE -> READS(KT,a) }
       atomic { m = M }
       if
       :: m == NONE -> atomic { if
#ifdef BROKEN_BLIND_ORPHAN
           :: 1 ->
#else
           :: SEES(KT,a) ->
#endif
               assert(T != HERE || open); T = NONE; N = 0; KT = 0; CHECK :: else -> skip fi }
       :: else -> skip
       fi;
       atomic { m = 0; FORGETS(KT,a) }
    :: atomic { B -> READS(KB,a) }
       atomic { m = M }
       if
       :: m == NONE -> atomic { if
#ifdef BROKEN_BLIND_ORPHAN_BACKREF
           :: 1 ->
#else
           :: SEES(KB,a) ->
#endif
               B = 0; KB = 0; CHECK :: else -> skip fi }
       :: else -> skip
       fi;
       atomic { m = 0; FORGETS(KB,a) }
    od
}

init { atomic {
#ifndef NEW
    M = OK;
#endif
#ifdef THERE
    T = AWAY; was = AWAY;
#endif
#ifdef HERE0
    T = HERE; B = 1; was = HERE;
#endif
#ifdef P0
    run Push(0);
#endif
#ifdef P1
    run Push(1);
#endif
#ifdef PI
    run PushIndex(2);
#endif
#ifdef PI2
    run PushIndex(3);
#endif
#ifdef HD
    run Head(4);
#endif
#ifdef DM
    run DeleteManifest(5);
#endif
#ifdef DM2
    run DeleteManifest(6);
#endif
#ifdef DI
    run DeleteIndex(7);
#endif
#ifdef GU
    run Untagged(8);
#endif
#ifdef GU2
    run Untagged(9);
#endif
#ifdef GB
    run Backrefs(10);
#endif
#ifdef GB2
    run Backrefs(11);
#endif
#ifdef GO
    run Orphans(12);
#endif
#ifdef MV
    run Move(13);
#endif
#ifdef MV2
    run Move(14);
#endif
#ifdef DT
    run DeleteTag();
#endif
#ifdef DU
    run DeleteUnused(3, 1);
#endif
#ifdef DU2
    run DeleteUnused(9, 2);
#endif
#ifdef GN
    run Moves();
#endif
} }
