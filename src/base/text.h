/* The one number parser, and the encodings that protocols need. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/slice.h"

#include <stdint.h>

struct buf;
struct error;

/* A decimal integer, optional sign, nothing around it, within @min..@max. ERR_INVALID. */
int text_to_i64(struct slice text, int64_t min, int64_t max, int64_t *number, struct error *err);
/* A decimal floating point number; NaN, Infinity and -Infinity in these spellings. */
int text_to_double(struct slice text, double *number, struct error *err);

/* Is it well-formed UTF-8 (no surrogates, no overlong forms, at most U+10FFFF)? */
bool text_is_utf8(struct slice text);

/* Append @text with all but A-Za-z0-9-._~ as %XX; with @keep_slash '/' stays too. */
void text_percent_encode(struct buf *buf, struct slice text, bool keep_slash);
/* Append a JSON string with its quotes; @text is UTF-8. */
void text_json_encode(struct buf *buf, struct slice text);
/* Append the decoded text; with @plus '+' means a blank, as in forms. A '%' without two hex digits
 * is ERR_INVALID. */
int text_percent_decode(struct buf *buf, struct slice text, bool plus, struct error *err);

void text_base64_encode(struct buf *buf, struct slice bytes);
/* The standard alphabet with padding; blanks and newlines are skipped. ERR_INVALID. */
int text_base64_decode(struct buf *buf, struct slice text, struct error *err);

/* Lower-case. */
void text_hex_encode(struct buf *buf, struct slice bytes);

#endif /* BASE_TEXT_H */
