/*
 * fill.pml - a blob that replicas of a mirror bring into one store, on a store with PUT-if-version.
 * One atomic block = one request to the store. Any replica may stall or die between two blocks.
 *
 * The blob has two blocks. Readers get the first one as it comes, and the last one only once the
 * digest of both is right. The upstream may send a wrong block.
 *   L      m/f/<R>/<digest>  lease: absent, released, or held by a replica; it names an upload
 *   US     u/<id>            upload: open with 0 to 2 blocks, claimed by a commit, or gone
 *   B      r/<R>/b/<digest>  the blob, made of an upload
 *
 * Run it as collect.pml. Actors: R1 R2 R3 replicas, each with one reader; CL removes a lease whose
 * upload has nothing. KILLS: how many replicas die. SLOW: how often a replica takes a lease whose
 * holder lives. WRONG: how many wrong blocks the upstream sends. TRIES: how often a replica begins.
 * -DBROKEN_x takes one rule away.
 * Versions: bit a of K says that actor a has seen the present version; any write by another clears it.
 */
#ifndef KILLS
#define KILLS 0
#endif
#ifndef SLOW
#define SLOW 0
#endif
#ifndef WRONG
#define WRONG 0
#endif
#define ABSENT   9
#define RELEASED 0
#ifndef UPLOADS
#define UPLOADS  4
#endif
#ifndef TRIES
#define TRIES    3
#endif

#define OPEN     0
#define CLAIMED  1
#define GONE     2

byte L = ABSENT; byte LU; byte KL;
byte US[UPLOADS]; byte UN[UPLOADS]; byte KU[UPLOADS];
bool W0[UPLOADS]; bool W1[UPLOADS];   /* whether the blocks are wrong */
bool B; byte BU;
byte uploads; byte kills; byte slow; byte wrongs;
bool dead[4]; bool ended[4]; bool started[4];

#define SEES(K,a)   (K & (1<<a))
#define WROTE(K,a)  K = (1<<a)
#define READS(K,a)  K = K | (1<<a)
#define DIE         if :: kills < KILLS -> kills++; dead[a] = 1; goto end :: skip fi
#define HELD        (L != ABSENT && L != RELEASED)

/* The reader gets the first block of upload u, or one that no upload has yet (u = UPLOADS). */
inline get(u, w) { if :: shown == 255 -> shown = u; bad = w :: else -> skip fi }

/* The fill goes on with other bytes: a reader that has got any fails. */
inline moved() { d_step { if :: shown != 255 -> failed = 1 :: else -> skip fi; shown = 255; bad = 0 } }

proctype Replica(byte a) {
    byte h; byte g; byte n; byte s; byte tries = 0; byte shown = 255;
    bool bad; bool failed; bool w; bool b; bool mine;
again:
    tries++; if :: tries > TRIES -> failed = 1; dead[a] = 1; goto end :: else -> skip fi;  /* renews nothing any more */
    DIE;
    mine = 0;
    atomic { h = L; g = LU; READS(KL,a) }                     /* GET lease */
    if
    :: h == ABSENT -> g = UPLOADS
    :: h == RELEASED || h == a -> skip
    :: else -> goto follow
    fi;
claim:
    if
    :: g < UPLOADS -> atomic { s = US[g]; n = UN[g]; READS(KU[g],a) }      /* GET upload */
    :: else -> s = GONE
    fi;
    atomic {                                                  /* PUT lease, if it is as it was seen */
        if
        :: SEES(KL,a) && uploads < UPLOADS ->
            if
            :: s == GONE -> g = uploads; uploads++; n = 0; READS(KU[g],a)
            :: else -> skip
            fi;
            L = a; LU = g; WROTE(KL,a); mine = 1
        :: else -> skip
        fi
    }
    if :: !mine -> goto again :: else -> skip fi;
    DIE;
    if
    :: shown < UPLOADS && shown != g ->
#ifndef BROKEN_NO_MOVE
        moved()
#else
        skip
#endif
    :: else -> skip
    fi;
#ifndef BROKEN_NO_LOOK
    atomic { b = B }                                          /* HEAD blob: another replica may have finished */
    if :: b -> goto found :: else -> skip fi;
#endif
    if :: n > 0 -> get(g, W0[g]) :: else -> skip fi;
    do
    :: n < 2 ->
        atomic { w = 0; if :: wrongs < WRONG -> wrongs++; w = 1 :: skip fi }   /* the upstream sends a block */
#ifndef CL                                                    /* the model has no age, which keeps it from a new lease */
        assert(!B || kills || slow || wrongs);                /* nothing is fetched twice */
#endif
        if :: n == 0 -> get(UPLOADS, w) :: else -> skip fi;
        DIE;
        atomic {                                              /* PUT upload, if it is as it was seen */
            if
#ifdef BROKEN_BLIND_APPEND
            :: US[g] == OPEN ->
#else
            :: SEES(KU[g],a) && US[g] == OPEN ->
                assert(UN[g] == n);
#endif
                if :: n == 0 -> W0[g] = w :: else -> W1[g] = w fi;
                n++; UN[g] = n; WROTE(KU[g],a); h = a
            :: else -> h = ABSENT
            fi
        }
        if
        :: h == ABSENT ->                                     /* another replica has continued the upload */
#ifndef BROKEN_NO_ABANDON
            if :: shown == UPLOADS -> moved() :: else -> skip fi;
#endif
            goto again
        :: else -> if :: shown == UPLOADS -> shown = g :: else -> skip fi
        fi;
        if                                                    /* the heart beat: PUT lease */
        :: atomic { L == a -> WROTE(KL,a) }
        :: atomic { HELD && L != a -> h = ABSENT }
        :: skip
        fi;
        if :: h == ABSENT -> goto again :: else -> skip fi;
        DIE
    :: else -> break
    od;
    if
#ifdef BROKEN_NO_DIGEST
    :: 0 -> skip
#else
    :: W0[g] || W1[g] ->                                      /* a wrong digest: cancel, and release nothing */
        atomic { if :: SEES(KU[g],a) -> US[g] = GONE; WROTE(KU[g],a) :: else -> skip fi }
        failed = 1
#endif
    :: else ->
        atomic { if :: SEES(KU[g],a) && US[g] != GONE -> US[g] = CLAIMED; WROTE(KU[g],a); h = a :: else -> h = ABSENT fi }
        if
        :: h == ABSENT -> atomic { b = B } if :: b -> goto found :: else -> goto again fi
        :: else -> skip
        fi;
        DIE;
        atomic { B = 1; BU = g; assert(UN[g] == 2 && !W0[g] && !W1[g]) }
        DIE;
        atomic { if :: US[g] == CLAIMED -> US[g] = GONE; WROTE(KU[g],a) :: else -> skip fi }
        assert(failed || !bad)                                /* the reader gets the last block */
    fi;
    DIE;
    atomic { if :: L == a -> L = ABSENT; WROTE(KL,a) :: else -> skip fi }
    goto end;

follow:
    atomic { s = US[g]; n = UN[g] }                           /* GET upload */
    if
    :: shown < UPLOADS && shown != g ->
#ifndef BROKEN_NO_MOVE
        moved()
#else
        skip
#endif
    :: else -> skip
    fi;
    if :: s != GONE && n > 0 -> get(g, W0[g]) :: else -> skip fi;
    if :: s == GONE -> atomic { b = B } if :: b -> goto found :: else -> skip fi :: else -> skip fi;
    DIE;
    if                                                        /* wait for a change */
    :: atomic { L != h || LU != g -> skip } goto again
    :: atomic { US[g] != s || UN[g] != n -> skip } goto follow
    :: atomic { L == h && LU == g && (dead[h] || slow < SLOW) -> /* the lease has not changed for its time */
           if :: !dead[h] -> slow++ :: else -> skip fi;
           READS(KL,a) }
       goto claim
    fi;

found:                                                        /* the blob is there: is it what the reader has got? */
#ifndef BROKEN_NO_BECAME
    if :: shown != 255 && shown != BU -> moved() :: else -> skip fi;
#endif
    assert(failed || !bad);
    atomic { if :: mine && L == a -> L = ABSENT; WROTE(KL,a) :: else -> skip fi }
end:
    ended[a] = 1
}

/* Clean removes a lease whose upload has nothing. */
proctype Clean(byte a) {
    byte h; byte g; bool bare;
    atomic { h = L; g = LU; READS(KL,a) }
    if :: h != ABSENT -> atomic { bare = US[g] == GONE || UN[g] == 0 } :: else -> skip fi;
    if
    :: bare -> atomic { if :: SEES(KL,a) -> L = ABSENT; WROTE(KL,a) :: else -> skip fi }
    :: else -> skip
    fi
}

/* When nothing can happen any more, nobody waits, and a lease that is left has something to continue. */
proctype Watch() {
    byte i;
    timeout ->
    for (i : 1 .. 3) { assert(!started[i] || ended[i]) }
}

init { atomic {
    KL = 0;
#ifdef R1
    started[1] = 1; run Replica(1);
#endif
#ifdef R2
    started[2] = 1; run Replica(2);
#endif
#ifdef R3
    started[3] = 1; run Replica(3);
#endif
#ifdef CL
    run Clean(4);
#endif
    run Watch()
} }
