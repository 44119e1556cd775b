#include "base/log.h"

#include "base/clock.h"
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 4096

static const char *const names[] = {"debug", "info", "warn", "error"};
static enum log_level threshold = LOG_INFO_LEVEL;

void log_set_level(enum log_level level)
{
    threshold = level;
}

bool log_shows(enum log_level level)
{
    return level >= threshold;
}

int log_level_parse(const char *text, enum log_level *level, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *level = (enum log_level)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID, "'%s' is not a log level: debug, info, warn or error", text);
}

/* One write() per line, so that lines of several processes do not mix. */
static void PRINTF_LIKE(2, 0) line(enum log_level level, const char *format, va_list args)
{
    char text[LINE_BYTES];
    char when[TIME_TEXT_BYTES];
    int bytes, more;

    if (!log_shows(level)) {
        return;
    }
    time_format_ms(time_wall_ms(), when);
    bytes = snprintf(text, sizeof(text), "%s %s ", when, names[level]);
    more = vsnprintf(text + bytes, sizeof(text) - (size_t)bytes - 1, format, args);
    bytes += more < 0 ? 0 : more;
    if (bytes > (int)sizeof(text) - 2) {
        bytes = (int)sizeof(text) - 2;
    }
    for (int i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 127) {
            text[i] = ' '; /* What outsiders sent must not forge a line, nor steer a terminal. */
        }
    }
    text[bytes++] = '\n';
    if (write(STDERR_FILENO, text, (size_t)bytes) < 0) {
        return; /* Nobody left to tell. */
    }
}

#define DEFINE_LOG(name, level)                                                                    \
    void name(const char *format, ...)                                                             \
    {                                                                                              \
        va_list args;                                                                              \
                                                                                                   \
        va_start(args, format);                                                                    \
        line(level, format, args);                                                                 \
        va_end(args);                                                                              \
    }

DEFINE_LOG(log_debug, LOG_DEBUG_LEVEL)
DEFINE_LOG(log_info, LOG_INFO_LEVEL)
DEFINE_LOG(log_warn, LOG_WARN_LEVEL)
DEFINE_LOG(log_error, LOG_ERROR_LEVEL)
