/* jansson's trees as text. Who uses this links jansson. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

struct buf;

/* Append @json compactly, as jansson's JSON_COMPACT | JSON_ENCODE_ANY writes it. jansson decodes
 * and encodes each character of a text; this copies all between two escapes at once. */
void json_to_buf(const json_t *json, struct buf *text);

#endif /* BASE_JSON_H */
