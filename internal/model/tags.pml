/*
 * tags.pml - what leads to a manifest: tags, back references, an index. Pushes, deletes by users, and collectors that remove untagged manifests and
 * back references nobody needs, on a store with PUT-if-version and DELETE-if-version. Blocks, actors and versions are as in collect.pml.
 *
 * One manifest m, one index that names it, one tag.
 *   M      r/<R>/m/<m>         manifest: pending, ok, or marked by a delete or a collector, and read all the same
 *   I      r/<R>/m/<index>     the index. It is pushed and deleted by users here, and no collector touches it once it is visible
 *   T      r/<R>/t/<tag>       the tag: absent, at m, or elsewhere
 *   B      r/<R>/x/<m>/<tag>   back reference: the tag may point at m. The entry with a subject is written and removed at the same places
 *   H      h/<R>/...           history needs m: a tag pointed at it, or the index that was deleted (with -DHIST)
 * Actors: P0 P1 pushes of m with the tag, MV MV2 pushes that move the tag elsewhere, PI PI2 pushes of the index, HD a HEAD that refreshes m, DM DM2
 * deletes of m by a user, DI one of the index, GU GU2 collectors of untagged manifests, GB GB2 collectors of back references, GO one of what leads
 * to a manifest that is not there. NEW: m is not there at first. -DBROKEN_x takes one rule away.
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
short KM, KI, KT, KB;
bool open;          /* the push that wrote the tag last has not been answered 201: it will look again, or is dead and has promised nothing */
bool user;          /* a user has deleted m since it became visible last, whatever names it */
short told;         /* bit a: a push of the tag was answered 201 since actor a marked m */
#ifdef HIST
bool H;
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
#define VISIBLE(x)  (x == OK || x == MARK)
/* A tag that was acknowledged leads to the manifest, and the manifest to the tag; an index to what it names. So a manifest that is gone leaves no tag. */
#define TAGS        (T != HERE || open || VISIBLE(M) && B)
#define CHILD       (!VISIBLE(I) || VISIBLE(M) || user)
#ifdef HIST
#define CHECK       assert(TAGS && CHILD && (!H || VISIBLE(M) || user))
#else
#define CHECK       assert(TAGS && CHILD)
#endif

/* storage/write.go, try. */
proctype Push(byte a) {
    byte m; bool backrefs; byte tries = 0;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
    atomic { m = M; READS(KM,a) }                       /* GET manifest */
    backrefs = VISIBLE(m);
    if
    :: m != OK ->
        if
        :: m == NONE -> atomic { if :: SEES(KM,a) -> M = PEND; WROTE(KM,a) :: else -> m = 255 fi }
        :: else -> skip                                 /* pending by another push, or marked: a root as it is */
        fi;
        if :: m == 255 -> goto again :: else -> skip fi;
        if :: !backrefs -> atomic { B = 1; KB = 0 } :: else -> skip fi;    /* PUT back reference, early */
        atomic { if :: SEES(KM,a) -> M = OK; WROTE(KM,a); user = 0; CHECK :: else -> m = 255 fi }   /* PUT manifest ok if version */
        if :: m == 255 -> goto again :: else -> skip fi
    :: else -> skip
    fi;
    if :: backrefs -> atomic { B = 1; KB = 0 } :: else -> skip fi;         /* PUT back reference */
    atomic { T = HERE; KT = 0; open = 1; CHECK }   /* PUT tag */
#ifdef BROKEN_NO_STAT
    atomic { open = 0; TOLD; CHECK }
#else
    atomic { if                                         /* HEAD manifest: the version is the one above. 201 */
        :: SEES(KM,a) -> assert(T != NONE); if :: T == HERE -> open = 0; TOLD :: else -> skip fi; CHECK
        :: else -> m = 255
        fi }
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
end: FORGETS(KM,a)
}

/* A push of the tag with another manifest. Where history is kept, it is written first, and the tag on its version. */
proctype Move(byte a) {
    byte t;
#ifdef HIST
    do
    :: atomic { t = T; READS(KT,a) }
       if :: t == HERE -> atomic { if :: VISIBLE(M) && !open -> H = 1; CHECK :: else -> skip fi } :: else -> skip fi;   /* PUT event */
       atomic { if :: SEES(KT,a) -> T = AWAY; KT = 0; t = 255; CHECK :: else -> skip fi }
       if :: t == 255 -> break :: else -> skip fi
    od
#else
    atomic { T = AWAY; KT = 0; CHECK }
#endif
}

/* A push of the index. storage/keep.go, unmark: what it names stays from now on. */
proctype PushIndex(byte a) {
    byte i; byte m; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    atomic { i = I; READS(KI,a) }
    if
    :: i == OK -> goto end                              /* whatever is visible is whole */
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

/* A HEAD by somebody who may push: the manifest is written again as it is. */
proctype Head(byte a) {
    byte m;
    atomic { m = M; READS(KM,a) }
    if :: VISIBLE(m) -> atomic { if :: SEES(KM,a) -> WROTE(KM,a) :: else -> skip fi } :: else -> skip fi
}

/* storage/delete.go, deleteManifest. */
proctype DeleteManifest(byte a) {
    byte m; bool b; bool t; byte tries = 0;
again:
    tries++; if :: tries > 2 -> goto end :: else -> skip fi;
    b = 0; t = 0;
    atomic { m = M; READS(KM,a) }
    if :: VISIBLE(m) -> skip :: else -> goto end fi;
    atomic { if :: SEES(KM,a) -> M = MARK; WROTE(KM,a); told = told & ~(1<<a) :: else -> m = 255 fi }
    if :: m == 255 -> goto again :: else -> skip fi;
    atomic { b = B; READS(KB,a) }                       /* LIST back references */
    if :: b -> atomic { t = (T == HERE); READS(KT,a) } :: else -> skip fi;      /* GET tags */
#ifndef BROKEN_DELETE_NO_RELOOK
    atomic { if :: SEES(KM,a) -> skip :: else -> m = 255 fi }   /* GET manifest: still marked, so what was seen is older than whoever takes the mark off */
    if :: m == 255 -> goto again :: else -> skip fi;
#endif
#ifdef BROKEN_BACKREF_BEFORE_TAG
    if :: b -> atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi } :: else -> skip fi;
#endif
    if                                                  /* DELETE tags if version, and only then what leads to them */
    :: t -> atomic { if
#ifdef BROKEN_BLIND_TAG
        :: 1 ->
#else
        :: SEES(KT,a) ->
#endif
            assert(!(told & (1<<a))); T = NONE; KT = 0; CHECK :: else -> skip fi }
    :: else -> skip
    fi;
#ifndef BROKEN_BACKREF_BEFORE_TAG
    if :: b -> atomic { if :: SEES(KB,a) -> B = 0; KB = 0; CHECK :: else -> skip fi } :: else -> skip fi;
#endif
    atomic { if
#ifdef BROKEN_BLIND_DELETE
        :: 1 ->
#else
        :: SEES(KM,a) ->
#endif
            M = NONE; KM = 0; user = 1; CHECK :: else -> skip fi }         /* DELETE manifest if version. 202 */
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
        atomic { if :: SEES(KI,a) && VISIBLE(M) -> H = 1; CHECK :: else -> skip fi }    /* PUT event */
#endif
        atomic { if :: SEES(KI,a) -> I = NONE; KI = 0; CHECK :: else -> skip fi }
    :: else -> skip
    fi;
end: FORGETS(KI,a)
}

#ifdef BROKEN_NO_PENDING
#define NAMES       VISIBLE(I)
#else
#define NAMES       (I != NONE)
#endif

/* What a collector looks at: all manifests, the back references and their tags, and history last, as a tag that is moved is written there before. */
inline looks(a) {
#ifdef HIST
#ifdef BROKEN_HISTORY_FIRST
    atomic { n = H }
#endif
#endif
    atomic { n = n || NAMES }                           /* LIST and GET manifests */
    atomic { b = B; READS(KB,a) }                       /* LIST back references */
#ifndef BROKEN_NO_TAGS
    if :: b -> atomic { n = n || T == HERE } :: else -> skip fi;                /* GET tags */
#endif
#ifdef HIST
#ifndef BROKEN_HISTORY_FIRST
    atomic { n = n || H }
#endif
#endif
}

/* Collector of untagged manifests, for ever. It may take a mark over from whoever died. */
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

/* The manifest is written again as it is, which whoever is to write the tag yet notices. */
inline touch(a) {
    atomic { m = M; READS(KM,a) }
    if :: m == NONE -> skip :: else -> atomic { if :: SEES(KM,a) -> WROTE(KM,a) :: else -> m = NONE fi } fi
}

/* Collector of back references of tags that point elsewhere, and of tags that have none, for ever. */
proctype Backrefs(byte a) {
    byte m; bool t;
end:
    do
    :: atomic { B -> READS(KB,a) }                      /* LIST back references */
       atomic { t = (T == HERE) }
#ifdef BROKEN_NO_TOUCH
       m = OK;
#else
#ifndef BROKEN_TOUCH_AFTER
       if :: !t -> touch(a) :: else -> skip fi;
#endif
#endif
#ifndef BROKEN_NO_SECOND_LOOK
       if :: !t -> atomic { t = (T == HERE) } :: else -> skip fi;
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

/* Collector of tags and back references whose manifest is not there: each as it was seen before the manifest was looked for. */
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
               assert(T != HERE || open); T = NONE; KT = 0 :: else -> skip fi }
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
} }
