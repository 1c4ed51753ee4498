/*
 * endpoints.pml - webhooks of users: an event that was copied for an endpoint is delivered. See
 * notification/endpoints.
 *
 * Process A copies the events 1 and 2, each for an endpoint of its own, and delivers them. Process B takes over. A
 * begins a second prefix when it has lost the first.
 *   W[x]   bit e: d/p/<x>/<endpoint e>/<event e>, the waiting delivery
 *   H[x]   d/h/<x>, the heartbeat: 0 absent, 1 of A, 2 of B
 *   K[x]   bit a: the heartbeat is unchanged since actor a (0 is A, 1 is B) read or wrote it
 *   memA, memB   bit e: the process knows the waiting delivery; lost: A knows that it has lost the prefix;
 *          adopted: B has the prefix; adding: a call of Notify uses the prefix
 *   acked, sent  bit e: Notify has returned, so the cursor of the outbox moves; the receiver has the event
 *
 * Actors: NO copies. DA, DB deliver. LV leaves an idle prefix, and learns that it was lost. TK takes over. CR kills A
 * anywhere. A lease can end at any time: A may be paused. DOWN: the receiver of event 1 is down for ever. At the
 * end, when nothing else happens, B goes on as long as it finds something to do, and everything that was acknowledged
 * must have been sent: CHECK. Events may be sent twice.
 *
 * Not in the model: endpoints that are removed or disabled, dead deliveries. They remove a waiting delivery, as a
 * success does.
 */
#define NONE      9
#define BIT(e)    (1<<(e))
#define SEES(x,a) (K[x] & (1<<(a)))
#define READS(x,a) K[x] = K[x] | (1<<(a))
#define WROTE(x,a) K[x] = (1<<(a))
#ifdef DOWN
#define UP(e)     ((e) == 2)
#else
#define UP(e)     true
#endif

byte W[2]; byte H[2]; byte K[2];
byte memA[2]; byte memB[2];
bool lost[2]; bool adopted[2];
byte own = NONE; byte begun; bool adding; bool dead;
byte acked; byte sent;

#define KEPT(e)   (!(acked & BIT(e)) || !UP(e) || (sent & BIT(e)))
#define CHECK     assert(KEPT(1) && KEPT(2))

/* notify.go, lead in prefix.go. */
proctype Notify() {
    byte e = 1; byte x;
next:
    if :: e > 2 -> goto end :: else -> skip fi;
lead:
    atomic {
        if
        :: dead || (own == NONE && begun == 2) -> goto end
        :: !dead && own == NONE && begun < 2 -> x = begun; begun++;
           H[x] = 1; WROTE(x,0); own = x; adding = 1            /* PUT heartbeat if absent */
        :: !dead && own != NONE -> x = own; adding = 1          /* it is fresh enough */
        :: !dead && own != NONE -> x = own;                     /* PUT heartbeat if version */
           if
           :: SEES(x,0) -> WROTE(x,0); adding = 1
           :: else -> lost[x] = 1; own = NONE; memA[x] = 0; goto lead
           fi
        fi }
#ifdef BROKEN_ACK_FIRST
    atomic { if :: dead -> goto end :: else -> acked = acked | BIT(e) fi }
#endif
    atomic { if :: dead -> goto end :: else -> W[x] = W[x] | BIT(e) fi }        /* PUT waiting delivery */
    atomic {
        if
        :: dead -> goto end
        :: else -> acked = acked | BIT(e); adding = 0;
           if :: !lost[x] -> memA[x] = memA[x] | BIT(e) :: else -> skip fi
        fi }
    e++;
    goto next;
end: skip
}

/* deliver.go: the deliveries of A. */
proctype DeliverA() {
    byte x; byte e;
again:
end: atomic {
        if
        :: dead -> goto stop
        :: !dead && !lost[0] && (memA[0] & BIT(1)) && UP(1) -> x = 0; e = 1
        :: !dead && !lost[0] && (memA[0] & BIT(2)) -> x = 0; e = 2
        :: !dead && !lost[1] && (memA[1] & BIT(1)) && UP(1) -> x = 1; e = 1
        :: !dead && !lost[1] && (memA[1] & BIT(2)) -> x = 1; e = 2
        fi }
#ifdef BROKEN_REMOVE_FIRST
    atomic { if :: dead -> goto stop :: else -> W[x] = W[x] & ~BIT(e) fi }
#endif
    atomic { if :: dead -> goto stop :: else -> sent = sent | BIT(e) fi }       /* the request */
    atomic { if :: dead -> goto stop :: else -> W[x] = W[x] & ~BIT(e) fi }      /* DELETE waiting delivery */
    memA[x] = memA[x] & ~BIT(e);
    goto again;
stop: skip
}

/* keep and leave in prefix.go. */
proctype Leave() {
    byte x;
    atomic {
        if
        :: own != NONE && !dead -> x = own;
           if
           :: memA[x] == 0 && !adding ->                        /* DELETE heartbeat if version */
              if :: SEES(x,0) -> H[x] = 0; K[x] = 0 :: else -> skip fi;
              lost[x] = 1; own = NONE
           :: !SEES(x,0) -> lost[x] = 1; own = NONE; memA[x] = 0 /* PUT heartbeat if version */
           :: else -> skip
           fi
        :: else -> skip
        fi }
}

/* keep, scan, takeOver and discover in prefix.go: one goroutine. */
inline look(x) {
    atomic { READS(x,1); h = H[x] }                             /* GET heartbeat */
#ifdef BROKEN_NO_MISSING
    if :: h == 0 -> goto skipped :: else -> skip fi;
#endif
    atomic { if :: SEES(x,1) -> H[x] = 2; WROTE(x,1); adopted[x] = 1 :: else -> skip fi }       /* PUT if version */
}
inline discover(x) {
    atomic { if :: adopted[x] -> memB[x] = memB[x] | W[x] :: else -> skip fi }  /* LIST waiting deliveries */
}
inline leave(x) {
    atomic {                                                    /* DELETE heartbeat if version */
        if
        :: adopted[x] && memB[x] == 0 ->
           if :: SEES(x,1) -> H[x] = 0; K[x] = 0 :: else -> skip fi;
           adopted[x] = 0
        :: else -> skip
        fi }
}
proctype TakeOver() {
    byte x; byte h; byte tries;
again:
    if :: tries == 2 -> goto end :: else -> tries++ fi;
    if :: x = 0 :: x = 1 fi;
    if :: leave(x) :: skip fi;                                  /* idle for a lease */
    if :: W[x] == 0 || adopted[x] -> goto again :: else -> skip fi;             /* LIST waiting deliveries */
    look(x);
    discover(x);
skipped:
    goto again;
end: skip
}

/* deliver.go: the deliveries of B. */
proctype DeliverB() {
    byte x; byte e;
again:
end: atomic {
        if
        :: adopted[0] && (memB[0] & BIT(1)) && UP(1) -> x = 0; e = 1
        :: adopted[0] && (memB[0] & BIT(2)) -> x = 0; e = 2
        :: adopted[1] && (memB[1] & BIT(1)) && UP(1) -> x = 1; e = 1
        :: adopted[1] && (memB[1] & BIT(2)) -> x = 1; e = 2
        fi }
    sent = sent | BIT(e);                                       /* the request */
    W[x] = W[x] & ~BIT(e);                                      /* DELETE waiting delivery */
    memB[x] = memB[x] & ~BIT(e);
    goto again
}

/* When nothing else happens, B scans: the heartbeats of a dead process have not changed for a lease. */
proctype Finally() {
    byte x; byte h; byte rounds;
again:
    timeout;
    if :: rounds == 6 -> goto check :: else -> rounds++ fi;
    x = rounds % 2;
    if
    :: adopted[x] && memB[x] == 0 -> leave(x)
    :: adopted[x] && memB[x] != 0 ->
#ifndef BROKEN_NO_REDISCOVER
       discover(x)
#else
       skip
#endif
    :: !adopted[x] && W[x] != 0 && (dead || own != x) -> look(x); discover(x)
    :: else -> skip
    fi;
skipped:
    goto again;
check:
    atomic { CHECK }
}

proctype Crash() { if :: dead = 1 :: skip fi }

init { atomic {
    run Finally();
#ifdef NO
    run Notify();
#endif
#ifdef DA
    run DeliverA();
#endif
#ifdef LV
    run Leave();
#endif
#ifdef TK
    run TakeOver();
#endif
#ifdef DB
    run DeliverB();
#endif
#ifdef CR
    run Crash();
#endif
} }
