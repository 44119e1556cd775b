#include "store/changes.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/macros.h"
#include "store/record.h"

#include <stdlib.h>

void changes_close(struct changes *changes)
{
    if (changes == NULL) {
        return;
    }
    free(changes->list);
    arena_close(&changes->arena);
    *changes = (struct changes){0};
}

void changes_cut(struct changes *changes, size_t count)
{
    ASSERT(count <= changes->count);
    changes->count = count; /* The arena keeps the bytes until the set ends: refusals are small. */
}

static struct change *add(struct changes *changes, enum change_type type)
{
    struct change *change;

    changes->list = mem_grow(changes->list, changes->count, &changes->room, sizeof(*changes->list));
    change = &changes->list[changes->count++];
    *change = (struct change){.type = type};
    return change;
}

void changes_put(struct changes *changes, struct slice kind, struct slice id, struct slice body)
{
    struct change *change = add(changes, CHANGE_PUT);

    change->kind = arena_copy(&changes->arena, kind);
    change->id = arena_copy(&changes->arena, id);
    change->body = arena_copy(&changes->arena, body);
}

void changes_del(struct changes *changes, struct slice kind, struct slice id)
{
    struct change *change = add(changes, CHANGE_DEL);

    change->kind = arena_copy(&changes->arena, kind);
    change->id = arena_copy(&changes->arena, id);
}

void changes_put_record(struct changes *changes, struct slice kind, struct slice id,
                        const struct record *record, const void *thing)
{
    struct buf body = {0};

    record_save(record, thing, &body);
    changes_put(changes, kind, id, buf_slice(&body));
    buf_close(&body);
}

static void add_row(struct changes *changes, enum change_type type, int64_t row, int64_t time_ms,
                    struct slice body)
{
    struct change *change = add(changes, type);

    change->row = row;
    change->time_ms = time_ms;
    change->body = arena_copy(&changes->arena, body);
}

void changes_add_samples(struct changes *changes, int64_t row, int64_t time_ms, struct slice body)
{
    add_row(changes, CHANGE_ADD_SAMPLES, row, time_ms, body);
}

void changes_add_sums(struct changes *changes, int64_t row, int64_t time_ms, struct slice body)
{
    add_row(changes, CHANGE_ADD_SUMS, row, time_ms, body);
}

void changes_expire_samples(struct changes *changes, int64_t samples_before_ms,
                            int64_t sums_before_ms)
{
    struct change *change = add(changes, CHANGE_EXPIRE_SAMPLES);

    change->time_ms = samples_before_ms;
    change->sums_before_ms = sums_before_ms;
}
