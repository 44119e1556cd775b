#include "base/buf.h"

#include "base/alloc.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_close(struct buf *buf)
{
    if (buf != NULL) {
        free(buf->data);
        *buf = (struct buf){0};
    }
}

void buf_clear(struct buf *buf)
{
    buf->bytes = 0;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

void buf_reserve(struct buf *buf, size_t bytes)
{
    size_t room = buf->room == 0 ? 128 : buf->room;

    ASSERT(bytes < SIZE_MAX / 4 && buf->bytes < SIZE_MAX / 4);
    while (room < buf->bytes + bytes + 1) {
        room *= 2;
    }
    if (room != buf->room) {
        buf->data = mem_realloc(buf->data, room, 1);
        buf->room = room;
        buf->data[buf->bytes] = '\0';
    }
}

void buf_add(struct buf *buf, struct slice text)
{
    buf_reserve(buf, text.bytes);
    if (text.bytes > 0) {
        memcpy(buf->data + buf->bytes, text.data, text.bytes);
    }
    buf->bytes += text.bytes;
    buf->data[buf->bytes] = '\0';
}

void buf_add_z(struct buf *buf, const char *text)
{
    buf_add(buf, slice_z(text));
}

void buf_add_byte(struct buf *buf, char byte)
{
    if (buf->bytes + 2 > buf->room) {
        buf_reserve(buf, 1);
    }
    buf->data[buf->bytes++] = byte;
    buf->data[buf->bytes] = '\0';
}

void buf_add_i64(struct buf *buf, int64_t number)
{
    char digits[20]; /* Of the largest, from the end. */
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    if (number < 0) {
        buf_add_byte(buf, '-');
    }
    buf_add(buf, slice_of(digits + at, sizeof(digits) - at));
}

void buf_add_double(struct buf *buf, double number)
{
    char text[40];

    if (isnan(number) || isinf(number)) {
        buf_add_z(buf, isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, number);
        if (strtod(text, NULL) == number) {
            break;
        }
    }
    buf_add_z(buf, text);
    if (strpbrk(text, ".e") == NULL) {
        buf_add_z(buf, ".0");
    }
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int bytes;

    for (;;) { /* Once, or twice when there was no room. */
        size_t room = buf->room - buf->bytes;

        va_start(args, format);
        bytes = vsnprintf(buf->data == NULL ? NULL : buf->data + buf->bytes, room, format, args);
        va_end(args);
        ASSERT(bytes >= 0);
        if ((size_t)bytes < room) {
            break;
        }
        buf_reserve(buf, (size_t)bytes);
    }
    buf->bytes += (size_t)bytes;
}

struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->bytes};
}

const char *buf_z(const struct buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data == NULL ? mem_strdup("") : buf->data;

    *buf = (struct buf){0};
    return data;
}
