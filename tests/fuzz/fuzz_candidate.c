/* "TARGET", then JSON: candidate's routes, its access log, and the items that it shows. */
#include "base/text.h"
#include "candidate/access.h"
#include "candidate/item.h"
#include "candidate/route.h"

static void as_target(struct slice target)
{
    struct slice path = slice_sub(target, 0, slice_find(target, '?')), encoded = SLICE_EMPTY;
    enum route route = route_find(path, &encoded);
    struct buf name = {0}, text = {0};
    struct error err;

    ASSERT(route_name(route) != NULL);
    (void)route_allows(route, "GET");
    (void)route_has_parameter(slice_sub(target, path.bytes + 1, target.bytes), "limit");
    if (route == ROUTE_CANDIDATE && route_decode_name(encoded, &name, &err) == 0) {
        json_t *json;

        ASSERT(text_is_utf8(buf_slice(&name)));
        item_add_string(&text, buf_slice(&name));
        json = json_loadb(text.data, text.bytes, JSON_DECODE_ANY, NULL);
        ASSERT(json != NULL);
        ASSERT(slice_equal(slice_of(json_string_value(json), json_string_length(json)),
                           buf_slice(&name)));
        json_decref(json);
    }
    buf_close(&name);
    buf_close(&text);
}

/* A line is one line, of ASCII, and JSON. */
static void as_access(struct slice target)
{
    const struct access_line line = {.wall_ms = 1767323045000,
                                     .client = "127.0.0.1",
                                     .forwarded = target,
                                     .method = "GET",
                                     .target = target,
                                     .status = 200,
                                     .ms = 0.5};
    struct buf text = {0};
    json_t *json;

    access_format(&line, &text);
    ASSERT(slice_find(buf_slice(&text), '\n') == text.bytes - 1);
    for (size_t i = 0; i < text.bytes; i++) {
        ASSERT((unsigned char)text.data[i] < 128);
    }
    json = json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, NULL);
    ASSERT(json != NULL);
    json_decref(json);
    buf_close(&text);
}

static void as_item(struct slice text)
{
    json_t *item = json_loadb(text.data, text.bytes, 0, NULL), *plain;
    struct buf buf = {0};
    struct error err;

    if (item != NULL && item_plain(item, &buf, &err) == 0) {
        plain = json_loadb(buf.data, buf.bytes, JSON_DECODE_INT_AS_REAL, NULL);
        json_decref(plain); /* NULL when a number is beyond doubles. */
    }
    json_decref(item);
    buf_close(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes), target = SLICE_EMPTY;

    slice_next(&text, '\n', &target);
    as_target(target);
    as_access(target);
    as_item(text);
    return 0;
}
