#include "base/alloc.h"

#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void assert_failed(const char *fact, const char *file, int line, const char *function)
{
    fprintf(stderr, "bug: %s:%d %s: \"%s\" does not hold\n", file, line, function, fact);
    abort();
}

static void *checked(void *memory, size_t count, size_t bytes)
{
    if (memory == NULL && count != 0 && bytes != 0) {
        fprintf(stderr, "fatal: out of memory (%zu x %zu bytes)\n", count, bytes);
        abort();
    }
    return memory;
}

void *mem_calloc(size_t count, size_t bytes)
{
    return checked(calloc(count, bytes), count, bytes);
}

void *mem_realloc(void *old, size_t count, size_t bytes)
{
    return checked(reallocarray(old, count, bytes), count, bytes);
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : mem_strndup(text, strlen(text));
}

char *mem_strndup(const char *data, size_t bytes)
{
    char *copy = mem_calloc(bytes + 1, 1);

    if (bytes > 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

void *mem_grow(void *array, size_t count, size_t *room, size_t bytes)
{
    if (count < *room) {
        return array;
    }
    *room = *room == 0 ? 8 : *room * 2;
    return mem_realloc(array, *room, bytes);
}
