/* What surrounds one request, or one act of muster's own (a timer, a piece of news): its memory,
 * its time, its caller, and what it changes.
 *
 * The order of every request: decode, check, authenticate, authorise -> handler -> commit -> acts
 * of ctx_after_commit() -> answer. An answer, a read's too, leaves only after the commit that holds
 * all it saw. Everything happens on the loop thread. */
#ifndef WIRE_CTX_H
#define WIRE_CTX_H

#include "base/arena.h"
#include "base/error.h"

#include <stdint.h>

struct changes; /* store/changes.h */
struct control; /* services/control.h */

enum caller_kind {
    CALLER_MUSTER, /* A timer or an event: may do anything. */
    CALLER_ROOT,
    CALLER_USER,
    CALLER_ROLE,      /* A session of a role: an instance's, or sts:AssumeRole's. */
    CALLER_ANONYMOUS, /* An OP_UNSIGNED action. */
};

/* Who asks. Texts live as long as the ctx. */
struct caller {
    enum caller_kind kind;
    const char *account;       /* "000000000000" */
    const char *arn;           /* "arn:aws:sts::000000000000:assumed-role/web/i-0123" */
    const char *user_id;       /* "AROA...:i-0123" */
    const char *name;          /* The user's or role's name; "" for root. */
    const char *access_key_id; /* "" for muster itself. */
};

typedef void ctx_act_fn(struct control *control, void *data);

struct ctx_act;

struct ctx {
    struct arena *arena;
    struct control *control;
    struct changes *changes;
    struct caller caller;
    int64_t now_ms;             /* muster's clock, the same for the whole request. */
    int64_t wall_ms;            /* For credentials and signatures only. */
    const char *request_id;     /* A UUID. */
    const char *source_address; /* "127.0.0.1", "10.0.0.5". */
    const char *source_vpc;     /* "vpc-..." when an instance asks through its VPC; else NULL. */
    bool deferred;              /* ctx_defer() was called. */
    struct slice error_members; /* More of a refusal's JSON body, "\"Item\":{...}"; or empty. */
    void (*finish)(struct ctx *ctx, const struct error *err); /* Set by whoever began the ctx. */
    void *owner;                                              /* Its data. */
    struct ctx_act *acts, **acts_tail;                        /* In order. */
};

/* Run @act once all that the ctx changed is on disk, before the answer leaves: asking the warden,
 * waking a timer. Not run when the handler fails. @data must outlive the ctx's arena or live in it.
 */
void ctx_after_commit(struct ctx *ctx, ctx_act_fn *act, void *data);

/* The handler returns 0 now and answers later by ctx_finish(): for what the store's writer or an
 * instance must do first. ctx, in and out stay alive until then. At most once. */
void ctx_defer(struct ctx *ctx);

/* The late answer: @err is NULL, or is copied. What @out holds is sent after a commit of what the
 * ctx changed since. The ctx is gone afterwards. */
void ctx_finish(struct ctx *ctx, const struct error *err);

/* Run the acts, in order, once; for whoever committed. */
void ctx_run_acts(struct ctx *ctx);

#endif /* WIRE_CTX_H */
