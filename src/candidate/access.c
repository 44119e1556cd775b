#include "candidate/access.h"

#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

static bool is_plain(char byte)
{
    return byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
}

/* A member, its value escaped where it must be. */
static void add_text(struct buf *text, const char *name, struct slice value)
{
    size_t from = 0; /* Copied up to here. */

    buf_add_byte(text, '"');
    buf_add_z(text, name);
    buf_add_z(text, "\":\"");
    for (size_t i = 0; i < value.bytes; i++) {
        unsigned char byte = (unsigned char)value.data[i];

        if (is_plain(value.data[i])) {
            continue;
        }
        buf_add(text, slice_sub(value, from, i - from));
        from = i + 1;
        if (byte == '"' || byte == '\\') {
            buf_add_byte(text, '\\');
            buf_add_byte(text, (char)byte);
        } else {
            buf_printf(text, "\\u%04x", byte);
        }
    }
    buf_add(text, slice_sub(value, from, value.bytes));
    buf_add_byte(text, '"');
}

static void add_fraction(struct buf *text, int64_t thousandths)
{
    buf_add_i64(text, thousandths / 1000);
    buf_add_byte(text, '.');
    for (int64_t weight = 100; weight > 0; weight /= 10) {
        buf_add_byte(text, (char)('0' + thousandths / weight % 10));
    }
}

void access_format(const struct access_line *line, struct buf *text)
{
    char time[TIME_TEXT_BYTES];

    time_format_ms(line->wall_ms, time);
    buf_add_byte(text, '{');
    add_text(text, "time", slice_z(time));
    buf_add_byte(text, ',');
    add_text(text, "client", slice_z(line->client));
    buf_add_byte(text, ',');
    if (line->forwarded.bytes > 0) {
        add_text(text, "forwarded", line->forwarded);
        buf_add_byte(text, ',');
    }
    add_text(text, "method", slice_z(line->method));
    buf_add_byte(text, ',');
    add_text(text, "path", line->target);
    buf_add_z(text, ",\"status\":");
    buf_add_i64(text, line->status);
    buf_add_z(text, ",\"bytes\":");
    buf_add_i64(text, (int64_t)line->bytes);
    buf_add_z(text, ",\"ms\":");
    add_fraction(text, (int64_t)(line->ms * 1000 + 0.5));
    buf_add_z(text, "}\n");
}

void access_flush(struct buf *text, int fd)
{
    size_t done = 0;

    while (done < text->bytes) {
        ssize_t wrote = write(fd, text->data + done, text->bytes - done);

        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            break;
        }
        done += (size_t)wrote;
    }
    buf_clear(text);
}
