#include "aws/page.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"

#include <string.h>

const char *page_token(struct arena *arena, const char *action, struct slice last_key)
{
    struct buf plain = {0}, token = {0};
    const char *copy;

    buf_printf(&plain, "%s:", action);
    buf_add(&plain, last_key);
    text_base64_encode(&token, buf_slice(&plain));
    copy = arena_strdup(arena, buf_slice(&token));
    buf_close(&plain);
    buf_close(&token);
    return copy;
}

int page_token_read(struct arena *arena, const char *action, const char *token,
                    struct slice *last_key, struct error *err)
{
    struct buf plain = {0};
    struct slice rest, head;
    int rc;

    *last_key = SLICE_EMPTY;
    if (token == NULL) {
        return 0;
    }
    rc = text_base64_decode(&plain, slice_z(token), err);
    if (rc != 0) {
        goto out;
    }
    rest = buf_slice(&plain);
    head = slice_sub(rest, 0, slice_find(rest, ':'));
    if (!slice_equal_z(head, action) || head.bytes == rest.bytes) {
        rc = error_set(err, ERR_INVALID, "the token belongs to another list");
        goto out;
    }
    *last_key = arena_copy(arena, slice_sub(rest, head.bytes + 1, rest.bytes));
out:
    buf_close(&plain);
    return rc;
}

int page_window(struct arena *arena, const char *action, const char *token, size_t limit,
                size_t count, size_t *from, const char **next, struct error *err)
{
    struct slice place;
    int64_t offset = 0;
    int rc = page_token_read(arena, action, token, &place, err);

    if (rc == 0 && place.bytes > 0) {
        rc = text_to_i64(place, 0, INT32_MAX, &offset, err);
    }
    if (rc != 0) {
        return rc;
    }
    *from = offset > (int64_t)count ? count : (size_t)offset;
    *next = count - *from <= limit
                ? NULL
                : page_token(arena, action, arena_printf(arena, "%zu", *from + limit));
    return 0;
}
