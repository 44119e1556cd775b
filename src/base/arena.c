#include "base/arena.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(data, bytes) ASAN_POISON_MEMORY_REGION(data, bytes)
#define UNPOISON(data, bytes) ASAN_UNPOISON_MEMORY_REGION(data, bytes)
#else
#define POISON(data, bytes) ((void)(data), (void)(bytes))
#define UNPOISON(data, bytes) ((void)(data), (void)(bytes))
#endif

#define BLOCK_BYTES 8192     /* Most requests fit in one block. */
#define GAP_BYTES 16         /* Poisoned after each piece, so that ASan sees overruns. */

struct arena_block {
    struct arena_block *next;
    size_t room;
    size_t used;
    alignas(max_align_t) char data[];
};

struct arena_closer {
    struct arena_closer *next;
    void (*close)(void *data);
    void *data;
};

void arena_close(struct arena *arena)
{
    struct arena_block *block, *next;

    if (arena == NULL) {
        return;
    }
    for (struct arena_closer *closer = arena->closers; closer != NULL; closer = closer->next) {
        closer->close(closer->data);
    }
    for (block = arena->blocks; block != NULL; block = next) {
        next = block->next;
        UNPOISON(block->data, block->room);
        free(block);
    }
    *arena = (struct arena){0};
}

static void add_block(struct arena *arena, size_t bytes)
{
    size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct arena_block *block = mem_calloc(1, sizeof(*block) + room);

    block->room = room;
    block->next = arena->blocks;
    POISON(block->data, room);
    arena->blocks = block;
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes)
{
    const size_t align = alignof(max_align_t);
    size_t wanted, padded;
    char *piece;

    ASSERT(bytes == 0 || count < SIZE_MAX / 4 / bytes);
    wanted = count * bytes;
    padded = ((wanted + align - 1) / align) * align + GAP_BYTES;
    if (arena->blocks == NULL || arena->blocks->room - arena->blocks->used < padded) {
        add_block(arena, padded);
    }
    piece = arena->blocks->data + arena->blocks->used;
    arena->blocks->used += padded;
    arena->bytes_used += wanted;
    UNPOISON(piece, wanted);
    return piece; /* Zeroed when the block was made. */
}

void arena_on_close(struct arena *arena, void (*close)(void *data), void *data)
{
    struct arena_closer *closer = arena_calloc(arena, 1, sizeof(*closer));

    *closer = (struct arena_closer){arena->closers, close, data};
    arena->closers = closer;
}

char *arena_strdup(struct arena *arena, struct slice text)
{
    char *copy = arena_calloc(arena, text.bytes + 1, 1);

    if (text.bytes > 0) {
        memcpy(copy, text.data, text.bytes);
    }
    return copy;
}

struct slice arena_copy(struct arena *arena, struct slice text)
{
    return (struct slice){arena_strdup(arena, text), text.bytes};
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    char *text;
    int bytes;

    va_start(args, format);
    va_copy(again, args);
    bytes = vsnprintf(NULL, 0, format, args);
    va_end(args);
    ASSERT(bytes >= 0);
    text = arena_calloc(arena, (size_t)bytes + 1, 1);
    vsnprintf(text, (size_t)bytes + 1, format, again);
    va_end(again);
    return (struct slice){text, (size_t)bytes};
}
