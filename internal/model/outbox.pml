/*
 * outbox.pml - the durable outbox: an event that was acknowledged reaches the sink. See
 * notification/outbox.
 *
 * One process, the writer, makes the events 1 to NE, one batch each, first in stream 0. If it loses
 * that stream, it begins stream 1. One sink: each sink has cursors of its own.
 *   B[x]   e/s/<stream>/<seq>: 0 absent, an event, or MARKER, which closes the stream. x = AT(s,q)
 *   W[x]   the first event that was in B[x]
 *   C[s]   e/c/<stream>/<sink>: 0 absent, 1 present
 *   pos[s] the batch that the cursor stands at; fin[s] the sink has all of the stream
 *   late   the time Options.Keep has passed since the stream 0 was closed
 *   K[s]   bit a: the cursor is unchanged since actor a read it, which is the condition of the writes
 *   F[x]   a write of the batch that is still on its way, although the writer has given up on it
 *   changed, recorded, acked, sent, gaps   bit e: the registry has made the change of event e; a batch
 *          has it; the client has its response; the sink has it; the sink is told that it is missing
 *
 * Actors: WR the writer. OW delivers its own stream, without a fence. TK TK2 are other replicas, which
 * take the cursor over, close the stream, and deliver. TR trims an event that was not delivered. RM RM2
 * remove a stream that is delivered, after a long time. RI reindexes, in a configuration with CRASH, in
 * which the writer may die, and RI knows after the grace period. LATE: lost writes may arrive later. Any
 * actor may die or pause anywhere. -DBROKEN_x takes one rule away.
 *
 * Not in the model: events share batches, memory holds the last batches, dead letters. They change
 * neither what is durable nor when a cursor moves.
 */
#ifndef NE
#define NE 2
#endif
#ifndef TRIES
#define TRIES 2
#endif
#define SLOTS     4
#define MARKER    9
#define AT(s,q)   ((s)*SLOTS+(q))
#define SEES(s,a) (K[s] & (1<<a))
#define READS(s,a) K[s] = K[s] | (1<<a)
#define WROTE(s,a) K[s] = (1<<a)
#define BIT(e)    (1<<(e))

byte B[8]; byte W[8]; byte F[8];
byte C[2]; byte pos[2]; byte fin[2]; short K[2];
byte changed; byte recorded; byte acked; byte sent; byte gaps; byte found;
byte flight;        /* the event whose change is made and whose client waits */
bool crashed; bool late;

/* The event e is in a batch of stream s that somebody will still deliver, from the cursor. */
#define WAITS1(e,s,q) (B[AT(s,q)] == e && C[s] && fin[s] == 0 && pos[s] <= q)
#define WAITSS(e,s)   (WAITS1(e,s,0) || WAITS1(e,s,1) || WAITS1(e,s,2) || WAITS1(e,s,3))
#define KEPT(e)       (!(acked & BIT(e)) || (sent & BIT(e)) || (gaps & BIT(e)) || WAITSS(e,0) || WAITSS(e,1))
/* Nothing that was acknowledged is lost: CHECK. */
#define CHECK         assert(KEPT(1) && KEPT(2))
/* All before slot q of stream s were delivered first: INORDER. */
#define PAST1(s,q,i)  ((i) >= (q) || W[AT(s,i)] == 0 || W[AT(s,i)] == MARKER || ((sent | gaps) & BIT(W[AT(s,i)])))
#define INORDER(s,q)  assert(PAST1(s,q,0) && PAST1(s,q,1) && PAST1(s,q,2))

#define LANDS(x,e)    B[x] = e; if :: W[x] == 0 -> W[x] = e :: else -> skip fi; \
                      if :: e != MARKER -> recorded = recorded | BIT(e) :: else -> skip fi

/* A change, then its event, then the response. notification/outbox: Notify, writer.go. */
proctype Writer() {
    byte s; byte q; byte e = 1; byte r; byte tries;
    atomic { C[0] = 1; WROTE(0,0) }                     /* PUT cursor if absent, before the first batch */
next:
    if :: e > NE -> goto end :: else -> skip fi;
    atomic { changed = changed | BIT(e); flight = e; tries = 0 }
#ifdef BROKEN_ACK_FIRST
    atomic { acked = acked | BIT(e); CHECK }
#endif
again:
#ifdef CRASH
    atomic { if :: crashed = 1; goto end :: skip fi }
#endif
    if :: q >= SLOTS || tries > TRIES -> goto end :: else -> skip fi;
    atomic {                                            /* PUT batch if absent */
        if
#ifdef BROKEN_BLIND_BATCH
        :: LANDS(AT(s,q),e); r = 1
#else
        :: B[AT(s,q)] == 0 -> LANDS(AT(s,q),e); r = 1
        :: B[AT(s,q)] == 0 -> LANDS(AT(s,q),e); r = 0   /* its response is lost */
        :: B[AT(s,q)] != 0 -> r = 2
        :: r = 0                                        /* it is lost */
#endif
#ifdef LATE
        :: F[AT(s,q)] == 0 -> F[AT(s,q)] = e; r = 0     /* it may arrive later */
#endif
        fi; CHECK }
    if
    :: r == 0 -> tries++;
#ifdef BROKEN_UNCLEAR
                 goto ok                                /* an unclear write counts as done */
#else
                 goto again
#endif
    :: r == 2 ->
#ifdef BROKEN_ANY_CONTENT
       goto ok
#else
       atomic {                                         /* GET batch: is the nonce our own? */
           if
           :: B[AT(s,q)] == e -> goto ok
           :: B[AT(s,q)] == 0 -> tries++; goto again
           :: else -> skip
           fi }
       if :: s == 1 -> goto end :: else -> skip fi;     /* the stream is closed: begin the next */
       s = 1; q = 0; tries = 0;
       atomic { C[1] = 1; WROTE(1,0) }                  /* PUT cursor if absent */
       goto again
#endif
    :: else -> skip
    fi;
ok:
#ifndef BROKEN_NO_AGE
    if
    :: late && s == 0 -> s = 1; q = 0; tries = 0;       /* paused for so long that the marker may be gone */
       atomic { C[1] = 1; WROTE(1,0) }
       goto again
    :: else -> skip
    fi;
#endif
    atomic { acked = acked | BIT(e); flight = 0; CHECK }        /* 201 */
    q++; e++;
    goto next;
end: skip
}

/* Writes that arrive late. */
proctype Net() {
    byte x;
end: do
    :: atomic { x < 8 && F[x] != 0 -> if :: B[x] == 0 -> LANDS(x,F[x]) :: else -> skip fi; F[x] = 0; CHECK }
    :: atomic { x < 8 -> x++ }
    :: atomic { x == 8 -> x = 0 }
    od
}

/* lane.go. Delivers stream s from its cursor. foreign: takes the cursor and closes the stream first. */
proctype Deliverer(byte a; bool foreign) {
    byte s; byte p; byte b; byte n; byte tries; bool marked;
retry:
    tries++;
    if :: tries > TRIES -> goto end :: else -> skip fi;
    if :: s = 0 :: s = 1 fi;
    atomic { if :: C[s] == 0 || fin[s] -> goto retry :: else -> skip fi; p = pos[s]; READS(s,a) }       /* GET cursor */
    if
    :: foreign ->
       atomic { if :: SEES(s,a) -> WROTE(s,a) :: else -> goto retry fi }        /* PUT cursor if version: take over */
#ifndef BROKEN_NO_FENCE
fence: atomic {                                         /* LIST batches */
           n = SLOTS; marked = 0;
           do
           :: n > 0 && B[AT(s,n-1)] == 0 -> n--
           :: else -> break
           od;
           if :: n > 0 && B[AT(s,n-1)] == MARKER -> marked = 1 :: else -> skip fi;
           if :: n < p -> n = p :: else -> skip fi }
       if :: n >= SLOTS -> goto end :: else -> skip fi;
       if
       :: marked -> skip
       :: else ->
#ifdef BROKEN_BLIND_FENCE
          atomic { LANDS(AT(s,n),MARKER); CHECK }       /* PUT marker */
#else
          atomic { if :: B[AT(s,n)] == 0 -> LANDS(AT(s,n),MARKER) :: else -> goto fence fi }    /* PUT marker if absent */
#endif
       fi
#endif
    :: else -> skip
    fi;
    do
    :: p >= SLOTS -> break
    :: else ->
       b = B[AT(s,p)];                                  /* GET batch */
       if
       :: b == 0 && !foreign -> break                   /* the end for now */
       :: b == 0 && foreign ->
#ifdef BROKEN_NO_FENCE
          atomic { if :: SEES(s,a) -> fin[s] = 1; WROTE(s,a); CHECK :: else -> skip fi };
#endif
          break                                         /* trimmed by the next holder of the cursor */
       :: b == MARKER ->
          atomic { if :: SEES(s,a) -> fin[s] = 1; WROTE(s,a); CHECK :: else -> skip fi };       /* PUT cursor if version */
          break
       :: else ->
#ifdef BROKEN_CURSOR_FIRST
          atomic { if :: SEES(s,a) -> pos[s] = p+1; WROTE(s,a); CHECK :: else -> goto retry fi };
          atomic { INORDER(s,p); sent = sent | BIT(b) };
#else
          atomic { INORDER(s,p); sent = sent | BIT(b) };        /* the sink accepts */
#ifdef BROKEN_BLIND_CURSOR
          atomic { C[s] = 1; assert(pos[s] <= p+1); pos[s] = p+1; WROTE(s,a); CHECK };
#else
          atomic { if :: SEES(s,a) -> assert(pos[s] <= p+1); pos[s] = p+1; WROTE(s,a); CHECK :: else -> goto retry fi };
#endif
#endif
          p++
       fi
    od;
    goto retry;
end: skip
}

/* trim.go. The stream is too long: drops the batch that the cursor stands at. */
proctype Trimmer(byte a) {
    byte p; byte b;
    atomic { if :: C[0] == 0 || fin[0] -> goto end :: else -> skip fi; p = pos[0]; READS(0,a) }         /* GET cursor */
    b = B[AT(0,p)];
    if :: b == 0 || b == MARKER -> goto end :: else -> skip fi;
#ifdef BROKEN_GAP_AFTER
    atomic { B[AT(0,p)] = 0; CHECK }
#endif
    atomic { if                                         /* PUT cursor if version: moved, with a gap */
#ifdef BROKEN_NO_GAP
        :: SEES(0,a) -> pos[0] = p+1; WROTE(0,a); CHECK
#elif defined(BROKEN_BLIND_GAP)
        :: C[0] -> assert(pos[0] <= p+1); pos[0] = p+1; gaps = gaps | BIT(b); WROTE(0,a)
#else
        :: SEES(0,a) -> pos[0] = p+1; gaps = gaps | BIT(b); WROTE(0,a)
#endif
        :: else -> goto end
        fi }
    atomic { if :: B[AT(0,p)] == b -> B[AT(0,p)] = 0 :: else -> skip fi; CHECK }                        /* DELETE batch */
end: skip
}

/* trim.go. Removes stream 0 a long time after it was closed, once the sink has it: its batches, its
 * cursor, and its marker last. */
proctype Remover(byte a) {
    byte q; byte m;
    atomic { if :: C[0] == 0 -> goto end :: else -> skip fi;
#ifndef BROKEN_REMOVES_UNSENT
             if :: !fin[0] -> goto end :: else -> skip fi;
#endif
             m = pos[0] }                               /* GET cursor */
#ifndef BROKEN_REMOVES_SOON
    late = 1;                                           /* Options.Keep passes */
#endif
    do
    :: q < m -> atomic { B[AT(0,q)] = 0; q++; CHECK }   /* DELETE batch */
    :: else -> break
    od;
    atomic { C[0] = 0; fin[0] = 0; pos[0] = 0; K[0] = 0; CHECK }        /* DELETE cursor */
    atomic { B[AT(0,m)] = 0; CHECK }                    /* DELETE marker */
end: skip
}

/* reindex.go. Announces the changes that have no event. */
proctype Reindex() {
    byte seen; byte log;
    log = recorded;                                     /* read the log */
    seen = changed;                                     /* list what is visible */
#ifndef BROKEN_NO_GRACE
endgrace: do                                            /* the grace period: clients that live have their response */
    :: atomic { flight == 0 || crashed || !(seen & ~log & BIT(flight)) -> break }
    od;
#endif
#ifndef BROKEN_NO_SECOND_LOOK
    log = log | recorded;                               /* read the log again */
#endif
    /* What is announced has no event, and what is visible has one. */
    atomic { found = seen & ~log; assert(!(found & recorded)); assert(!(seen & ~(found | recorded))) }
}

init { atomic {
#ifdef WR
    run Writer();
#endif
#ifdef LATE
    run Net();
#endif
#ifdef OW
    run Deliverer(0, 0);
#endif
#ifdef TK
    run Deliverer(1, 1);
#endif
#ifdef TK2
    run Deliverer(2, 1);
#endif
#ifdef TR
    run Trimmer(3);
#endif
#ifdef RM
    run Remover(4);
#endif
#ifdef RM2
    run Remover(5);
#endif
#ifdef RI
    run Reindex();
#endif
} }
