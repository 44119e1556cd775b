/* Text or bytes being built. Grows by doubling; data is always NUL-terminated once something was
 * added, so that libraries can read it. Zero-initialise, end with buf_close(). */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/macros.h"
#include "base/slice.h"

#include <stdint.h>

struct buf {
    char *data; /* Owned; NULL while nothing was added. */
    size_t bytes;
    size_t room;
};

/* Frees and zeroes; twice is fine. */
void buf_close(struct buf *buf);
/* Empties, keeps the memory. */
void buf_clear(struct buf *buf);
/* Room for @bytes more (and the NUL); the caller fills buf->data + buf->bytes itself. */
void buf_reserve(struct buf *buf, size_t bytes);

void buf_add(struct buf *buf, struct slice text);
void buf_add_z(struct buf *buf, const char *text);
void buf_add_byte(struct buf *buf, char byte);
void buf_add_i64(struct buf *buf, int64_t number);
/* The shortest text that reads back as the same double ("60.0", "33.333333333333336"): CloudWatch
 * and DynamoDB answers. Whole numbers keep ".0". */
void buf_add_double(struct buf *buf, double number);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Borrowed until the next change. */
struct slice buf_slice(const struct buf *buf);
/* The C string, "" when empty; borrowed until the next change. */
const char *buf_z(const struct buf *buf);
/* Gives the memory away (to free()) and leaves the buffer empty. Never NULL. */
char *buf_take(struct buf *buf);

#endif /* BASE_BUF_H */
