/* A DynamoDB item, {"Age":{"N":"42"}}, as the plain JSON {"Age":42} that callers get.
 *
 * Pure; any thread. Numbers keep their digits: DynamoDB's have 38 of them, more than any C type.
 * Binary values stay base64 text; sets are lists. */
#ifndef CANDIDATE_ITEM_H
#define CANDIDATE_ITEM_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>

/* Append the plain form of @item. ERR_INVALID if it is none; @text may then hold a part. */
int item_plain(const json_t *item, struct buf *text, struct error *err);

/* Append a JSON string; @value is UTF-8. */
void item_add_string(struct buf *text, struct slice value);

#endif /* CANDIDATE_ITEM_H */
