/* One fact per line to stderr: "2026-01-02T03:04:05.678Z info event key=value ...".
 * error: someone must act; warn: we recovered; info: something the user named changed; debug: the
 * rest. No secrets, no bodies. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/macros.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG_LEVEL, LOG_INFO_LEVEL, LOG_WARN_LEVEL, LOG_ERROR_LEVEL };

/* Lines below @level are dropped; info at start. */
void log_set_level(enum log_level level);
/* Is a line of @level written? For lines that are costly to make. */
bool log_shows(enum log_level level);

/* "debug", "info", "warn" or "error"; 0 or ERR_INVALID. */
struct error;
int log_level_parse(const char *text, enum log_level *level, struct error *err);

void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warn(const char *format, ...) PRINTF_LIKE(1, 2);
void log_error(const char *format, ...) PRINTF_LIKE(1, 2);

#endif /* BASE_LOG_H */
