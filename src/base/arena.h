/* Memory that is freed as a whole: one arena per request and per tick.
 *
 * What is given out is zeroed, aligned for any type and lives until arena_close().
 * Under AddressSanitizer the gaps and the freed memory are poisoned. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/macros.h"
#include "base/slice.h"

struct arena_block;
struct arena_closer;

struct arena {
    struct arena_block *blocks; /* Newest first. */
    size_t bytes_used;          /* Given out so far: a figure for bounds. */
    struct arena_closer *closers;
};

/* Zero-initialised is open. Frees everything; twice is fine. */
void arena_close(struct arena *arena);

/* Call @close(@data) in arena_close(), before the memory goes; the latest first. For what a library
 * counts references of. */
void arena_on_close(struct arena *arena, void (*close)(void *data), void *data);

void *arena_calloc(struct arena *arena, size_t count, size_t bytes);
/* A NUL-terminated copy. */
char *arena_strdup(struct arena *arena, struct slice text);
struct slice arena_copy(struct arena *arena, struct slice text);
/* NUL-terminated; the slice does not count the NUL. */
struct slice arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif /* BASE_ARENA_H */
