/* A borrowed piece of memory, usually text: length beside pointer, no terminator promised.
 * The one who made it owns what it points to. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* May be NULL when bytes is 0. */
    size_t bytes;
};

/* For printf: "%.*s", SLICE_ARG(s). */
#define SLICE_ARG(s) (int)(s).bytes, (s).data == NULL ? "" : (s).data
/* From a string literal, also in constant tables. */
#define SLICE_LIT(literal) ((struct slice){("" literal), sizeof(literal) - 1})
#define SLICE_EMPTY ((struct slice){NULL, 0})

/* From a C string; NULL gives the empty slice. */
static inline struct slice slice_z(const char *text)
{
    return text == NULL ? SLICE_EMPTY : (struct slice){text, strlen(text)};
}

static inline struct slice slice_of(const char *data, size_t bytes)
{
    return (struct slice){data, bytes};
}

bool slice_equal(struct slice a, struct slice b);
bool slice_equal_z(struct slice a, const char *z);
/* ASCII case ignored. */
bool slice_equal_case(struct slice a, struct slice b);
/* memcmp order, shorter first: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);
bool slice_starts(struct slice s, struct slice prefix);
bool slice_ends(struct slice s, struct slice suffix);

/* Index of the first @byte, or s.bytes. */
size_t slice_find(struct slice s, char byte);
/* The part from @from, at most @bytes long; clamped to the slice. */
struct slice slice_sub(struct slice s, size_t from, size_t bytes);
/* Without leading and trailing blanks (space, tab, CR, LF). */
struct slice slice_trim(struct slice s);

/* Take the next part of @*rest up to @separator, which is dropped: false when nothing is left.
 * "a,,b" gives "a", "", "b"; "a," gives "a", ""; a NULL slice gives nothing. */
bool slice_next(struct slice *rest, char separator, struct slice *part);

/* '*' stands for any run, '?' for one byte; for IAM policies and ec2 filters. Linear in practice,
 * no recursion. */
bool slice_glob(struct slice text, struct slice pattern);

#endif /* BASE_SLICE_H */
