/*
 * accounts.pml - one name that several accounts want, on a store with PUT-if-absent, PUT-if-version and
 * DELETE-if-version. See auth/accounts: claim.go, users.go, rename.go, remove.go, seats.go.
 *
 *   NAME    w/n/<skeleton>  whose claim it is: 0 absent, 1 or 2 an account that is made, 3 one that exists;
 *                           REL: it was released. KN: bit a: unchanged since actor a read it
 *   U[i]    w/u/<id>        0 absent, LIVE, GONE (removed, or buried before it was ever made); KU[i] as KN
 *   L[i]                    the record lists the name
 *   M[i]                    the token of the mark of a rename in the record, or 0
 *   P[i]    w/p/<id>        the password of account i
 *   ADM JOIN  w/admins      account 3 is an admin; has an entry of an attempt, with the number of the attempt
 *   old                     the hour has passed after which a claim counts as left behind. It may pass at any
 *                           time, also while its owner is only slow
 *   free                    the quarantine of the name is over
 *
 * A sign-up writes the password, claims the name, and then the record: the commit. A rename writes a mark
 * into its record, claims the name, and then the record with the name, if its mark is there: the commit. Who
 * takes over a claim first makes its commit impossible: buries the account, or takes the mark away.
 *
 * Never: two accounts that are not removed list the name, or the name leads elsewhere than to the one that
 * lists it. What was acknowledged stands. An account that was made has its password. A name that account 3
 * has had is nobody else's during the quarantine. A removed user is no admin.
 *
 * Actors, which may stop anywhere: S1 S2 sign-ups of accounts 1 and 2, S1B a repetition of S1 by another
 * process; R3 a rename of account 3, which exists, R3B another one; RL releases the name that account 3 has
 * (HAS); RM removes account 3; TI tidies; AD makes account 3 an admin. -DBROKEN_x takes one rule away.
 * Not in the model: the cache, which no change relies on; other names; events.
 */
#ifndef TRIES
#define TRIES 2
#endif
#define LIVE 1
#define GONE 2

byte NAME; bool REL; short KN;
byte U[4]; bool L[4]; byte M[4]; bool P[4]; short KU[4];
bool ADM; byte JOIN; short KA;
bool old; bool free;
bool was;                                           /* account 3 has had the name */
bool ackS[3]; bool ackR;                            /* acknowledged: sign-ups, the rename */

#define SEES(k,a)  ((k) & (1<<(a)))
#define READS(k,a) k = k | (1<<(a))
#define WROTE(k,a) k = (1<<(a))
#define HOLDS(i)   (U[i] == LIVE && L[i])
#define CHECK      assert(HOLDS(1) + HOLDS(2) + HOLDS(3) <= 1); \
                   assert(!HOLDS(1) || NAME == 1); assert(!HOLDS(2) || NAME == 2); assert(!HOLDS(3) || NAME == 3); \
                   assert(!ackS[1] || HOLDS(1)); assert(!ackS[2] || HOLDS(2)); \
                   assert(!ackR || HOLDS(3)); \
                   assert(U[1] != LIVE || P[1]); assert(U[2] != LIVE || P[2]); \
                   assert(!ADM || U[3] == LIVE)

/*
 * takeOver makes sure that account i, which the name leads to, neither has the name nor can commit. Version
 * of NAME: seen by a. r: 0 the name can be had, 1 it is taken, 2 begin anew.
 */
inline takeOver(a, i) {
    atomic { u = U[i]; l = L[i]; m = M[i]; READS(KU[i],a) }     /* GET account */
    if
    :: u == 0 && !old -> r = 1
    :: u == 0 && old ->
#ifdef BROKEN_NO_BURY
        r = 0
#else
        atomic { if :: U[i] == 0 -> U[i] = GONE; WROTE(KU[i],a); r = 0 :: else -> r = 2 fi }    /* PUT if absent */
#endif
    :: u == GONE && i != 3 -> r = 0                             /* buried */
    :: u == GONE && i == 3 && l ->
#ifdef BROKEN_NO_QUARANTINE
        r = 0
#else
        if :: free -> r = 0 :: else -> r = 1 fi
#endif
    :: u == LIVE && l -> r = 1
    :: i == 3 && u != 0 && !l && rel && !free -> r = 1
    :: i == 3 && u != 0 && !l && !rel && !old -> r = 1
    :: i == 3 && u != 0 && !l && (rel && free || !rel && old) ->
#ifdef BROKEN_NO_UNMARK
        r = 0
#else
        if
        :: m == 0 -> r = 0
        :: m != 0 -> atomic { if :: SEES(KU[i],a) -> M[i] = 0; WROTE(KU[i],a); r = 0 :: else -> r = 2 fi }  /* PUT if version */
        fi
#endif
    fi
}

/* claim: r is 0 if the name leads to account i now. */
inline claim(a, i) {
    r = 2; n = 0;
    do
    :: r == 2 && n < TRIES ->
        n++;
        atomic { w = NAME; rel = REL; READS(KN,a) }             /* GET name */
        if
        :: w == 0 || w == i -> r = 0
        :: else -> takeOver(a, w)
        fi;
        if
        :: r == 0 ->
            atomic { if                                         /* PUT name if absent or if version */
#ifdef BROKEN_BLIND_CLAIM
                :: 1 ->
#else
                :: SEES(KN,a) ->
#endif
#ifdef BROKEN_FORGETS_RELEASE
                    REL = 0;
#else
                    REL = (i == w && REL);
#endif
                    NAME = i; WROTE(KN,a); assert(i == 3 || !was || free); CHECK
                :: else -> r = 2 fi }
        :: else -> skip
        fi
    :: else -> break
    od;
    if :: r == 2 -> r = 1 :: else -> skip fi
}

proctype SignUp(byte a; byte i) {
    byte u; bool l; byte m; byte r; byte n; byte w; bool rel;
    atomic { w = NAME }                                         /* GET name: an earlier call of the same? */
    if
    :: w == i -> skip
    :: else ->
#ifndef BROKEN_PASSWORD_LAST
        atomic { P[i] = 1 }                                     /* PUT password */
#endif
#ifndef BROKEN_COMMIT_FIRST
        claim(a, i);
        if :: r != 0 -> goto end :: else -> skip fi
#endif
    fi;
    atomic { if                                                 /* PUT account if absent */
        :: U[i] == 0 -> U[i] = LIVE; L[i] = 1; WROTE(KU[i],a)
        :: U[i] == LIVE -> skip                                 /* the other call was first */
        :: U[i] == GONE -> goto end
        fi; CHECK }
#ifdef BROKEN_COMMIT_FIRST
    claim(a, i);
    if :: r != 0 -> goto end :: else -> skip fi;
#endif
#ifdef BROKEN_PASSWORD_LAST
    atomic { P[i] = 1 }
#endif
    atomic { ackS[i] = 1; CHECK };
end: skip
}

proctype Rename(byte a; byte token) {
    byte u; bool l; byte m; byte r; byte n; byte w; bool rel; bool done;
#ifndef BROKEN_MARK_LAST
    atomic { if :: U[3] == LIVE && !L[3] -> M[3] = token; WROTE(KU[3],a) :: else -> goto end fi }    /* PUT account if version */
#endif
#ifdef BROKEN_KEEPS_CLAIM
    atomic { w = NAME };
    if :: w == 3 -> goto commit :: else -> skip fi;
#endif
    claim(a, 3);
    if :: r != 0 -> goto end :: else -> skip fi;
#ifdef BROKEN_MARK_LAST
    atomic { if :: U[3] == LIVE && !L[3] -> M[3] = token; WROTE(KU[3],a) :: else -> goto end fi };
#endif
commit:
    atomic { if                                                 /* PUT account if version, which has the mark */
#ifdef BROKEN_NO_MARK
        :: U[3] == LIVE ->
#elif defined(BROKEN_ANY_MARK)
        :: U[3] == LIVE && M[3] != 0 ->
#else
        :: U[3] == LIVE && M[3] == token ->
#endif
            L[3] = 1; M[3] = 0; WROTE(KU[3],a); was = 1; ackR = 1; CHECK
        :: else -> skip
        fi };
end: skip
}

/* Release gives the name up: the time first. */
proctype Release(byte a) {
#ifndef BROKEN_RELEASE_FIRST
    atomic { if :: NAME == 3 -> REL = 1; WROTE(KN,a) :: else -> skip fi };                           /* PUT name if version */
#endif
    atomic { if :: HOLDS(3) -> L[3] = 0; WROTE(KU[3],a); ackR = 0; CHECK :: else -> skip fi };         /* PUT account if version */
#ifdef BROKEN_RELEASE_FIRST
    atomic { if :: NAME == 3 -> REL = 1; WROTE(KN,a) :: else -> skip fi };
#endif
}

/* Remove reads the record, takes entries of attempts away, and marks the record. */
proctype Remove(byte a) {
    bool adm; byte tries;
again:
    tries++; if :: tries > TRIES -> goto end :: else -> skip fi;
#ifdef BROKEN_DISMISS_FIRST
    atomic { adm = ADM; if :: !ADM -> JOIN = 0 :: else -> skip fi };
#endif
    atomic { if :: U[3] == LIVE -> READS(KU[3],a) :: else -> goto end fi };                          /* GET account */
#if !defined(BROKEN_NO_DISMISS) && !defined(BROKEN_DISMISS_FIRST)
    atomic { adm = ADM; if :: !ADM -> JOIN = 0 :: else -> skip fi };                                 /* PUT admins if version */
#endif
    if :: adm -> goto end :: else -> skip fi;
    atomic { if                                                                                      /* PUT account if version */
#ifdef BROKEN_BLIND_REMOVE
        :: 1 ->
#else
        :: SEES(KU[3],a) ->
#endif
            U[3] = GONE; WROTE(KU[3],a); ackR = 0; CHECK
        :: else -> goto again fi };
end: skip
}

/* AddAdmin: an entry, the record anew, and then the seat if the entry is there. */
proctype AddAdmin(byte a) {
#ifndef BROKEN_NO_ENTRY
    atomic { JOIN = 1 };                                                                             /* PUT admins if version */
#endif
#ifndef BROKEN_NO_TOUCH
    atomic { if :: U[3] == LIVE -> WROTE(KU[3],a) :: else -> goto end fi };                          /* PUT account if version */
#endif
    atomic { if                                                                                      /* PUT admins if version */
#ifdef BROKEN_NO_ENTRY
        :: 1 ->
#else
        :: JOIN ->
#endif
            JOIN = 0; ADM = 1; CHECK
        :: else -> skip fi };
end: skip
}

/* Tidy removes a name record that keeps nobody from the name, and passwords of accounts that were never made. */
proctype Tidy(byte a) {
    byte u; bool l; byte m; byte r; byte w; bool rel; byte i;
    atomic { w = NAME; rel = REL; READS(KN,a) };
    if
    :: w != 0 -> takeOver(a, w);
        if
        :: r == 0 ->
            atomic { if                                         /* DELETE name if version */
#ifdef BROKEN_BLIND_TIDY
                :: 1 ->
#else
                :: SEES(KN,a) ->
#endif
                    NAME = 0; REL = 0; WROTE(KN,a); assert(!was || free); CHECK :: else -> skip fi }
        :: else -> skip
        fi
    :: else -> skip
    fi;
    if :: i = 1 :: i = 2 fi;
    if
    :: old && P[i] && U[i] == 0 ->                              /* LIST passwords, GET account */
#ifndef BROKEN_TIDY_NO_BURY
        atomic { if :: U[i] == 0 -> U[i] = GONE; WROTE(KU[i],a) :: else -> goto end fi };
#endif
        atomic { P[i] = 0; CHECK }                              /* DELETE password */
    :: else -> skip
    fi;
end: skip
}

/* Time passes: claims grow old, and the quarantine ends, which began with the release or the removal. */
proctype Time() { old = 1; end: (was && (REL || U[3] == GONE)); free = 1 }

init { atomic {
    U[3] = LIVE;
#ifdef HAS
    L[3] = 1; NAME = 3; was = 1;
#endif
    run Time();
#ifdef S1
    run SignUp(1, 1);
#endif
#ifdef S1B
    run SignUp(2, 1);
#endif
#ifdef S2
    run SignUp(3, 2);
#endif
#ifdef R3
    run Rename(4, 1);
#endif
#ifdef R3B
    run Rename(5, 2);
#endif
#ifdef RL
    run Release(6);
#endif
#ifdef RM
    run Remove(7);
#endif
#ifdef AD
    run AddAdmin(8);
#endif
#ifdef TI
    run Tidy(9);
#endif
} }
