/* Page tokens: opaque to clients, here the key of the last thing on the page, base64-coded, and
 * tied to the action so that a token of another list is refused. */
#ifndef AWS_PAGE_H
#define AWS_PAGE_H

#include "base/error.h"
#include "base/slice.h"

struct arena;

/* In @arena. */
const char *page_token(struct arena *arena, const char *action, struct slice last_key);
/* The key after which to go on, in @arena; the empty slice when @token is NULL. ERR_INVALID when it
 * is none of ours: the caller words the error as its service does. */
int page_token_read(struct arena *arena, const char *action, const char *token,
                    struct slice *last_key, struct error *err);

/* For lists that are short enough to be made whole: of @count rows the page begins at *@from and
 * has at most @limit. *@next is the next page's token, NULL on the last. Counts places, so a row
 * that goes between two pages moves the others up. ERR_INVALID as above. */
int page_window(struct arena *arena, const char *action, const char *token, size_t limit,
                size_t count, size_t *from, const char **next, struct error *err);

#endif /* AWS_PAGE_H */
