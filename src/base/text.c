#include "base/text.h"

#include "base/buf.h"
#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int text_to_i64(struct slice text, int64_t min, int64_t max, int64_t *number, struct error *err)
{
    size_t at = 0;
    bool negative = false;
    int64_t value = 0;

    if (text.bytes > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
        negative = text.data[0] == '-';
        at = 1;
    }
    if (at == text.bytes) {
        return error_set(err, ERR_INVALID, "'%.*s' is not a number", SLICE_ARG(text));
    }
    for (; at < text.bytes; at++) {
        int digit = text.data[at] - '0';

        if (digit < 0 || digit > 9) {
            return error_set(err, ERR_INVALID, "'%.*s' is not a number",
                             SLICE_ARG(slice_sub(text, 0, 64)));
        }
        if (__builtin_mul_overflow(value, 10, &value) ||
            (negative ? __builtin_sub_overflow(value, digit, &value)
                      : __builtin_add_overflow(value, digit, &value))) {
            return error_set(err, ERR_INVALID, "'%.*s' is too large a number",
                             SLICE_ARG(slice_sub(text, 0, 64)));
        }
    }
    if (value < min || value > max) {
        return error_set(err, ERR_INVALID, "%lld is not between %lld and %lld", (long long)value,
                         (long long)min, (long long)max);
    }
    *number = value;
    return 0;
}

int text_to_double(struct slice text, double *number, struct error *err)
{
    char copy[64];
    char *end;

    if (slice_equal_z(text, "NaN")) {
        *number = NAN;
        return 0;
    }
    if (slice_equal_z(text, "Infinity") || slice_equal_z(text, "-Infinity")) {
        *number = text.data[0] == '-' ? -INFINITY : INFINITY;
        return 0;
    }
    if (text.bytes == 0 || text.bytes >= sizeof(copy)) {
        return error_set(err, ERR_INVALID, "'%.*s' is not a number",
                         SLICE_ARG(slice_sub(text, 0, 64)));
    }
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    if (strspn(copy, "+-.0123456789eE") < text.bytes) { /* strtod() also knows hex and "inf". */
        return error_set(err, ERR_INVALID, "'%s' is not a number", copy);
    }
    *number = strtod(copy, &end);
    if (*end != '\0' || isinf(*number)) {
        return error_set(err, ERR_INVALID, "'%s' is not a number", copy);
    }
    return 0;
}

/* How many bytes follow this first byte, or -1. */
static int utf8_following(unsigned char first)
{
    if (first < 0x80) {
        return 0;
    }
    if (first >= 0xc2 && first <= 0xdf) {
        return 1;
    }
    if (first >= 0xe0 && first <= 0xef) {
        return 2;
    }
    return first >= 0xf0 && first <= 0xf4 ? 3 : -1;
}

bool text_is_utf8(struct slice text)
{
    const unsigned char *s = (const unsigned char *)text.data;

    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char first = s[i];
        int following = utf8_following(first);

        if (following < 0 || text.bytes - i <= (size_t)following) {
            return false;
        }
        for (int k = 1; k <= following; k++) {
            if ((s[i + (size_t)k] & 0xc0) != 0x80) {
                return false;
            }
        }
        if ((first == 0xe0 && s[i + 1] < 0xa0) || (first == 0xed && s[i + 1] > 0x9f) ||
            (first == 0xf0 && s[i + 1] < 0x90) || (first == 0xf4 && s[i + 1] > 0x8f)) {
            return false; /* Overlong, surrogate, beyond U+10FFFF. */
        }
        i += (size_t)following;
    }
    return true;
}

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

static bool unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void text_percent_encode(struct buf *buf, struct slice text, bool keep_slash)
{
    buf_reserve(buf, text.bytes * 3);
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (unreserved((char)c) || (keep_slash && c == '/')) {
            buf_add_byte(buf, (char)c);
        } else {
            buf_add(buf, (struct slice){(char[]){'%', hex_upper[c >> 4], hex_upper[c & 15]}, 3});
        }
    }
}

void text_json_encode(struct buf *buf, struct slice text)
{
    size_t from = 0; /* Copied up to here. */

    buf_add_byte(buf, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];

        if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            continue;
        }
        buf_add(buf, slice_sub(text, from, i - from));
        from = i + 1;
        if (c == '"' || c == '\\') {
            buf_add_byte(buf, '\\');
            buf_add_byte(buf, (char)c);
        } else if (c >= '\b' && c <= '\r' && c != '\v') {
            buf_add_byte(buf, '\\');
            buf_add_byte(buf, "btn?fr"[c - '\b']);
        } else {
            buf_printf(buf, "\\u%04x", c);
        }
    }
    buf_add(buf, slice_sub(text, from, text.bytes));
    buf_add_byte(buf, '"');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int text_percent_decode(struct buf *buf, struct slice text, bool plus, struct error *err)
{
    buf_reserve(buf, text.bytes);
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];

        if (c == '%') {
            int high = i + 1 < text.bytes ? hex_value(text.data[i + 1]) : -1;
            int low = i + 2 < text.bytes ? hex_value(text.data[i + 2]) : -1;

            if (high < 0 || low < 0) {
                return error_set(err, ERR_INVALID, "'%%' must be followed by two hex digits");
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        buf_add_byte(buf, c);
    }
    return 0;
}

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void text_base64_encode(struct buf *buf, struct slice bytes)
{
    const unsigned char *s = (const unsigned char *)bytes.data;

    buf_reserve(buf, (bytes.bytes + 2) / 3 * 4);
    for (size_t i = 0; i < bytes.bytes; i += 3) {
        size_t left = bytes.bytes - i;
        unsigned b = left > 1 ? s[i + 1] : 0U;
        unsigned c = left > 2 ? s[i + 2] : 0U;
        unsigned group = ((unsigned)s[i] << 16) | (b << 8) | c;
        char four[4] = {base64[group >> 18], base64[(group >> 12) & 63],
                        left > 1 ? base64[(group >> 6) & 63] : '=',
                        left > 2 ? base64[group & 63] : '='};

        buf_add(buf, (struct slice){four, 4});
    }
}

int text_base64_decode(struct buf *buf, struct slice text, struct error *err)
{
    unsigned group = 0;
    int digits = 0, padding = 0;

    buf_reserve(buf, text.bytes);
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        const char *at;

        if (c == '\n' || c == '\r' || c == ' ') {
            continue;
        }
        at = c == '\0' ? NULL : strchr(base64, c);
        if (c == '=' && digits >= 2 && digits + padding < 4) {
            padding++;
            continue;
        }
        if (at == NULL || padding > 0) {
            return error_set(err, ERR_INVALID, "not base64");
        }
        group = (group << 6) | (unsigned)(at - base64);
        if (++digits == 4) {
            char three[3] = {(char)(group >> 16), (char)(group >> 8), (char)group};

            buf_add(buf, (struct slice){three, 3});
            digits = 0;
            group = 0;
        }
    }
    if ((digits != 0 || padding != 0) && digits + padding != 4) {
        return error_set(err, ERR_INVALID, "not base64: its length is wrong");
    }
    if (digits == 2) {
        buf_add_byte(buf, (char)(group >> 4));
    } else if (digits == 3) {
        buf_add_byte(buf, (char)(group >> 10));
        buf_add_byte(buf, (char)(group >> 2));
    }
    return 0;
}

void text_hex_encode(struct buf *buf, struct slice bytes)
{
    for (size_t i = 0; i < bytes.bytes; i++) {
        unsigned char c = (unsigned char)bytes.data[i];

        buf_add_byte(buf, hex_lower[c >> 4]);
        buf_add_byte(buf, hex_lower[c & 15]);
    }
}
