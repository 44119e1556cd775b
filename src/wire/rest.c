#include "wire/codec.h"

#include "base/text.h"

/* Both paths split at '/', raw: labels arrive with %2F inside. */
static bool path_matches(struct slice pattern, struct slice path)
{
    struct slice rest_pattern = pattern, rest_path = path, want, have;

    for (;;) {
        bool more = slice_next(&rest_pattern, '/', &want);

        if (more != slice_next(&rest_path, '/', &have)) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (!slice_starts(want, SLICE_LIT("{")) && !slice_equal(want, have)) {
            return false;
        }
    }
}

const struct model_op *rest_find(const struct model_service *service, struct slice method,
                                 struct slice path)
{
    for (size_t i = 0; i < service->op_count; i++) {
        const struct model_op *op = &service->ops[i];

        if (op->http_path != NULL && slice_equal_z(method, op->http_method) &&
            path_matches(slice_z(op->http_path), path)) {
            return op;
        }
    }
    return NULL;
}

/* The part of @path that stands where @pattern has {@name}; NULL data when nowhere. */
static struct slice label(struct slice pattern, struct slice path, const char *name)
{
    struct slice rest_pattern = pattern, rest_path = path, want, have;

    while (slice_next(&rest_pattern, '/', &want) && slice_next(&rest_path, '/', &have)) {
        if (want.bytes > 2 && want.data[0] == '{' &&
            slice_equal_z(slice_sub(want, 1, want.bytes - 2), name)) {
            return have;
        }
    }
    return SLICE_EMPTY;
}

static struct slice query_value(struct slice query, const char *name)
{
    struct slice rest = query, part;

    while (slice_next(&rest, '&', &part)) {
        size_t equals = slice_find(part, '=');

        if (slice_equal_z(slice_sub(part, 0, equals), name)) {
            return slice_sub(part, equals + 1, part.bytes);
        }
    }
    return SLICE_EMPTY;
}

int rest_decode(struct arena *arena, const struct model_op *op, struct slice path,
                struct slice query, struct slice body, struct doc **doc, struct error *err)
{
    int rc = json_decode(arena, op->in, body, doc, err);

    for (size_t i = 0; rc == 0 && i < op->in->member_count; i++) {
        const struct model_member *member = &op->in->members[i];
        struct buf value = {0};
        struct slice raw = SLICE_EMPTY;
        int64_t integer;

        if (member->location == LOCATION_PATH) {
            raw = label(slice_z(op->http_path), path, member->wire_in);
        } else if (member->location == LOCATION_QUERY) {
            raw = query_value(query, member->wire_in);
        }
        if (raw.data == NULL) {
            continue;
        }
        rc = text_percent_decode(&value, raw, false, err);
        if (rc == 0 && (!text_is_utf8(buf_slice(&value)) ||
                        slice_find(buf_slice(&value), '\0') < value.bytes)) {
            rc = error_api(err, "BadRequestException", "%s is not UTF-8 text", member->name);
        }
        if (rc == 0 && member->shape->kind == DOC_INT) {
            rc = text_to_i64(buf_slice(&value), INT32_MIN, INT32_MAX, &integer, err);
            if (rc == 0) {
                doc_set_int(*doc, member->id, integer);
            }
        } else if (rc == 0) {
            doc_set_text(*doc, member->id, value.bytes == 0 ? SLICE_LIT("") : buf_slice(&value));
        }
        buf_close(&value);
    }
    return rc;
}
