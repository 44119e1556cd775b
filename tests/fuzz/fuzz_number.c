/* Two lines as DynamoDB's numbers: they read back as they are written, their keys sort as they do,
 * and sums can be undone. */
#include "base/buf.h"
#include "base/macros.h"
#include "services/dynamodb/number.h"

static int sign_of(int number)
{
    return (number > 0) - (number < 0);
}

static void round_trip(const struct number *number)
{
    struct buf text = {0};
    struct number again;
    struct error err;

    ASSERT(number->count >= 0 && number->count <= NUMBER_DIGITS_MAX && number_bytes(number) > 0);
    number_format(number, &text);
    ASSERT(number_parse(buf_slice(&text), &again, &err) == 0);
    ASSERT(number_compare(number, &again) == 0);
    buf_close(&text);
}

static void order(const struct number *a, const struct number *b)
{
    struct buf key_a = {0}, key_b = {0};

    number_key(a, &key_a);
    number_key(b, &key_b);
    ASSERT(key_a.bytes <= 22 && key_b.bytes <= 22);
    ASSERT(sign_of(number_compare(a, b)) ==
           sign_of(slice_compare(buf_slice(&key_a), buf_slice(&key_b))));
    ASSERT(sign_of(number_compare(a, b)) == -sign_of(number_compare(b, a)));
    buf_close(&key_a);
    buf_close(&key_b);
}

static void sum(const struct number *a, const struct number *b)
{
    struct number sum, again;
    struct error err;

    if (number_add(a, b, 1, &sum, &err) == 0) {
        round_trip(&sum);
        ASSERT(number_add(&sum, b, -1, &again, &err) == 0);
        ASSERT(number_compare(a, &again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes), line = SLICE_EMPTY;
    struct number a, b;
    struct error err;

    slice_next(&text, '\n', &line);
    if (number_parse(line, &a, &err) == 0) {
        round_trip(&a);
        if (number_parse(text, &b, &err) == 0) {
            order(&a, &b);
            sum(&a, &b);
        }
    }
    return 0;
}
