#include "base/slice.h"

#include <strings.h>

bool slice_equal(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

bool slice_equal_z(struct slice a, const char *z)
{
    return slice_equal(a, slice_z(z));
}

bool slice_equal_case(struct slice a, struct slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || strncasecmp(a.data, b.data, a.bytes) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t bytes = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = bytes == 0 ? 0 : memcmp(a.data, b.data, bytes);

    if (order != 0) {
        return order;
    }
    return a.bytes == b.bytes ? 0 : a.bytes < b.bytes ? -1 : 1;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.bytes >= prefix.bytes && slice_equal(slice_sub(s, 0, prefix.bytes), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.bytes >= suffix.bytes &&
           slice_equal(slice_sub(s, s.bytes - suffix.bytes, suffix.bytes), suffix);
}

size_t slice_find(struct slice s, char byte)
{
    const char *at = s.bytes == 0 ? NULL : memchr(s.data, byte, s.bytes);

    return at == NULL ? s.bytes : (size_t)(at - s.data);
}

struct slice slice_sub(struct slice s, size_t from, size_t bytes)
{
    if (from >= s.bytes) {
        return SLICE_EMPTY;
    }
    if (bytes > s.bytes - from) {
        bytes = s.bytes - from;
    }
    return (struct slice){s.data + from, bytes};
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s)
{
    while (s.bytes > 0 && blank(s.data[0])) {
        s.data++;
        s.bytes--;
    }
    while (s.bytes > 0 && blank(s.data[s.bytes - 1])) {
        s.bytes--;
    }
    return s;
}

bool slice_next(struct slice *rest, char separator, struct slice *part)
{
    size_t at;

    if (rest->data == NULL) {
        return false;
    }
    at = slice_find(*rest, separator);
    *part = (struct slice){rest->data, at};
    if (at == rest->bytes) {
        *rest = SLICE_EMPTY;
    } else {
        *rest = (struct slice){rest->data + at + 1, rest->bytes - at - 1};
    }
    return true;
}

bool slice_glob(struct slice text, struct slice pattern)
{
    size_t t = 0, p = 0;
    size_t star = pattern.bytes; /* Where the last '*' was; none yet. */
    size_t retry = 0;            /* Where its run may be extended to. */

    while (t < text.bytes) {
        if (p < pattern.bytes && pattern.data[p] == '*') {
            star = p++;
            retry = t;
        } else if (p < pattern.bytes &&
                   (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
            p++;
            t++;
        } else if (star < pattern.bytes) {
            p = star + 1;
            t = ++retry;
        } else {
            return false;
        }
    }
    while (p < pattern.bytes && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.bytes;
}
