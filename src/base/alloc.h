/* The one allocator: it never fails. Sizes that come from outside are bounded before they get here,
 * so running out of memory means the machine is out; the process ends and a restart recovers. */
#ifndef BASE_ALLOC_H
#define BASE_ALLOC_H

#include <stddef.h>

/* Zeroed memory for @count things of @bytes each, to be given to free(). */
void *mem_calloc(size_t count, size_t bytes);

/* Like realloc() for @count things of @bytes each; the new part is not zeroed. */
void *mem_realloc(void *old, size_t count, size_t bytes);

/* A copy of the C string @text; NULL gives NULL. */
char *mem_strdup(const char *text);

/* A NUL-terminated copy of @bytes bytes. */
char *mem_strndup(const char *data, size_t bytes);

/* Make room for one more element in an array of @bytes-sized elements that holds @count of @*room.
 */
void *mem_grow(void *array, size_t count, size_t *room, size_t bytes);

#endif /* BASE_ALLOC_H */
