/* One write: what PutItem, UpdateItem, DeleteItem and each part of a transaction do.
 *
 * The request is checked on the loop (write_read); the old item is read and judged (write_judge)
 * and changed (write_change) in a job of the store's writer, which touches neither ctx nor the
 * request; the answer is made on the loop again. */
#ifndef SERVICES_DYNAMODB_WRITE_H
#define SERVICES_DYNAMODB_WRITE_H

#include "services/dynamodb/private.h"

enum write_type { WRITE_PUT, WRITE_UPDATE, WRITE_DELETE, WRITE_CHECK };
enum write_returns {
    RETURN_NONE,
    RETURN_ALL_OLD,
    RETURN_ALL_NEW,
    RETURN_UPDATED_OLD,
    RETURN_UPDATED_NEW
};

struct write {
    enum write_type type;
    enum write_returns returns;
    bool return_on_failure;
    struct scope scope;
    struct node *condition; /* Or NULL. */
    bool has_update;
    struct update update;
    json_t *item; /* PUT: the new item. Else the key. */
    struct item_keys keys;
    int64_t table;
    const char *table_name; /* In the scope's arena. */

    /* Results. */
    json_t *old_item; /* Between judging and changing; NULL if not needed or not there. */
    struct buf old;   /* The old item's text, "" if there was none or nothing asks for it. */
    struct buf new;   /* The new one's. */
    int64_t new_bytes;
    struct buf attributes; /* What Attributes shows; empty: nothing. */
    int64_t bytes;         /* Of the larger item. */
};

void write_close(struct write *write);
/* @alone: a request of its own, not a part of a transaction (whose older texts stay). */
int write_read(struct ctx *ctx, struct write *write, const struct doc *in, enum write_type type,
               bool alone, struct error *err);
/* In the writer: read the old item, judge the condition. */
int write_judge(struct write *write, struct items_txn *txn, struct error *err);
/* Then make the change and note what to show. */
int write_change(struct write *write, struct items_txn *txn, struct error *err);

#endif /* SERVICES_DYNAMODB_WRITE_H */
