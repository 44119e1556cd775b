/* Numbers, base64, percent encoding, globs: what is decoded, encoded and decoded again is the same.
 */
#include "base/buf.h"
#include "base/macros.h"
#include "base/text.h"

#include <string.h>

static void numbers(struct slice text)
{
    struct buf again = {0};
    int64_t integer, integer_again;
    double number, number_again;

    if (text_to_i64(text, INT64_MIN, INT64_MAX, &integer, NULL) == 0) {
        buf_add_i64(&again, integer);
        ASSERT(text_to_i64(buf_slice(&again), INT64_MIN, INT64_MAX, &integer_again, NULL) == 0);
        ASSERT(integer == integer_again);
    }
    buf_clear(&again);
    if (text_to_double(text, &number, NULL) == 0 && number - number == 0) { /* Finite. */
        buf_add_double(&again, number);
        ASSERT(text_to_double(buf_slice(&again), &number_again, NULL) == 0);
        ASSERT(memcmp(&number, &number_again, sizeof(number)) == 0);
    }
    buf_close(&again);
}

static void base64(struct slice text)
{
    struct buf bytes = {0}, encoded = {0}, again = {0};

    text_base64_encode(&encoded, text);
    ASSERT(text_base64_decode(&again, buf_slice(&encoded), NULL) == 0);
    ASSERT(slice_equal(buf_slice(&again), text));
    buf_clear(&encoded);
    buf_clear(&again);
    if (text_base64_decode(&bytes, text, NULL) == 0) {
        text_base64_encode(&encoded, buf_slice(&bytes));
        ASSERT(text_base64_decode(&again, buf_slice(&encoded), NULL) == 0);
        ASSERT(slice_equal(buf_slice(&again), buf_slice(&bytes)));
    }
    buf_close(&bytes);
    buf_close(&encoded);
    buf_close(&again);
}

static void percent(struct slice text)
{
    struct buf encoded = {0}, again = {0};

    text_percent_encode(&encoded, text, false);
    ASSERT(text_percent_decode(&again, buf_slice(&encoded), true, NULL) == 0);
    ASSERT(slice_equal(buf_slice(&again), text));
    buf_clear(&again);
    (void)text_percent_decode(&again, text, true, NULL);
    buf_close(&encoded);
    buf_close(&again);
}

/* The first line is the pattern of the rest. */
static void glob(struct slice text)
{
    struct slice pattern = SLICE_EMPTY;
    struct buf wider = {0};

    slice_next(&text, '\n', &pattern);
    buf_add_byte(&wider, '*');
    buf_add(&wider, pattern);
    buf_add_byte(&wider, '*');
    if (slice_glob(text, pattern)) {
        ASSERT(slice_glob(text, buf_slice(&wider)));
    }
    ASSERT(slice_glob(pattern, pattern));
    buf_close(&wider);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);

    (void)text_is_utf8(text);
    numbers(text);
    base64(text);
    percent(text);
    glob(text);
    return 0;
}
