#include "base/arena.h"

#include "base/alloc.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
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

#define BLOCK_BYTES 8192 /* Most requests fit in one block. */
#define SPARE_MAX 32     /* Blocks that a thread keeps: malloc() makes much ado about this size. */
#define GAP_BYTES 16     /* Poisoned after each piece, so that ASan sees overruns. */

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

#if !defined(__SANITIZE_ADDRESS__)
struct spare {
    struct arena_block *first;
    size_t count;
    bool kept; /* The thread's end was told about it. */
};

static _Thread_local struct spare spare;
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_spare(void *data)
{
    struct spare *list = data;
    struct arena_block *block, *next;

    for (block = list->first; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    *list = (struct spare){0};
}

static void make_key(void)
{
    ASSERT(pthread_key_create(&at_end, free_spare) == 0);
}

static void keep(struct arena_block *block)
{
    if (!spare.kept) {
        pthread_once(&once, make_key);
        pthread_setspecific(at_end, &spare);
        spare.kept = true;
    }
    block->next = spare.first;
    spare.first = block;
    spare.count++;
}
#endif

static void free_block(struct arena_block *block)
{
#if !defined(__SANITIZE_ADDRESS__) /* Which is to see what is used after it was freed. */
    if (block->room == BLOCK_BYTES && spare.count < SPARE_MAX) {
        keep(block);
        return;
    }
#endif
    free(block);
}

static struct arena_block *make_block(size_t room)
{
    struct arena_block *block;

#if !defined(__SANITIZE_ADDRESS__)
    block = spare.first;
    if (block != NULL && room == BLOCK_BYTES) {
        spare.first = block->next;
        spare.count--;
        block->used = 0;
        return block;
    }
#endif
    block = mem_realloc(NULL, 1, sizeof(*block) + room);
    block->room = room;
    block->used = 0;
    return block;
}

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
        free_block(block);
    }
    *arena = (struct arena){0};
}

static void add_block(struct arena *arena, size_t bytes)
{
    size_t room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct arena_block *block = make_block(room);

    block->next = arena->blocks;
    POISON(block->data, room);
    arena->blocks = block;
}

/* @wanted bytes, not zeroed. */
static char *take(struct arena *arena, size_t wanted)
{
    const size_t align = alignof(max_align_t);
    size_t padded;
    char *piece;

    ASSERT(wanted < SIZE_MAX / 4);
    padded = ((wanted + align - 1) / align) * align + GAP_BYTES;
    if (arena->blocks == NULL || arena->blocks->room - arena->blocks->used < padded) {
        add_block(arena, padded);
    }
    piece = arena->blocks->data + arena->blocks->used;
    arena->blocks->used += padded;
    arena->bytes_used += wanted;
    UNPOISON(piece, wanted);
    return piece;
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes)
{
    ASSERT(bytes == 0 || count < SIZE_MAX / 4 / bytes);
    return memset(take(arena, count * bytes), 0, count * bytes);
}

void arena_on_close(struct arena *arena, void (*close)(void *data), void *data)
{
    struct arena_closer *closer = arena_calloc(arena, 1, sizeof(*closer));

    *closer = (struct arena_closer){arena->closers, close, data};
    arena->closers = closer;
}

char *arena_strdup(struct arena *arena, struct slice text)
{
    char *copy = take(arena, text.bytes + 1);

    if (text.bytes > 0) {
        memcpy(copy, text.data, text.bytes);
    }
    copy[text.bytes] = '\0';
    return copy;
}

struct slice arena_copy(struct arena *arena, struct slice text)
{
    return (struct slice){arena_strdup(arena, text), text.bytes};
}

struct slice arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    char most[256]; /* Of these texts fit. */
    char *text;
    int bytes;

    va_start(args, format);
    va_copy(again, args);
    bytes = vsnprintf(most, sizeof(most), format, args);
    va_end(args);
    ASSERT(bytes >= 0);
    text = take(arena, (size_t)bytes + 1);
    if ((size_t)bytes < sizeof(most)) {
        memcpy(text, most, (size_t)bytes + 1);
        va_end(again);
        return (struct slice){text, (size_t)bytes};
    }
    vsnprintf(text, (size_t)bytes + 1, format, again);
    va_end(again);
    return (struct slice){text, (size_t)bytes};
}
