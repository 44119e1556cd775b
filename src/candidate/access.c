#include "candidate/access.h"

#include "base/clock.h"

#include <errno.h>
#include <unistd.h>

static void add_text(struct buf *text, const char *name, struct slice value)
{
    buf_printf(text, "\"%s\":\"", name);
    for (size_t i = 0; i < value.bytes; i++) {
        unsigned char byte = (unsigned char)value.data[i];

        if (byte < ' ' || byte > '~') {
            buf_printf(text, "\\u%04x", byte);
        } else {
            if (byte == '"' || byte == '\\') {
                buf_add_byte(text, '\\');
            }
            buf_add_byte(text, (char)byte);
        }
    }
    buf_add_byte(text, '"');
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
    buf_printf(text, ",\"status\":%d,\"bytes\":%zu,\"ms\":%.3f}\n", line->status, line->bytes,
               line->ms);
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
