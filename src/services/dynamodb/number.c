#include "services/dynamodb/number.h"

#include "base/buf.h"
#include "base/macros.h"

#include <string.h>

#define EXPONENT_CLAMP 1000000 /* Far outside the range, far inside an int. */
/* Positions of digits in a sum: the smallest number's last digit to the largest's first, a carry.
 */
#define POSITION_MIN (NUMBER_EXPONENT_MIN - NUMBER_DIGITS_MAX)
#define POSITIONS (NUMBER_EXPONENT_MAX - POSITION_MIN + 2)

static int overflow(struct error *err)
{
    return error_api(err, "ValidationException",
                     "Number overflow. Attempting to store a number with magnitude larger than"
                     " supported range");
}

static int underflow(struct error *err)
{
    return error_api(err, "ValidationException",
                     "Number underflow. Attempting to store a number with magnitude smaller than"
                     " supported range");
}

static int too_precise(struct error *err)
{
    return error_api(err, "ValidationException",
                     "Attempting to store more than 38 significant digits in a Number");
}

static int not_numeric(struct slice text, struct error *err)
{
    return error_api(err, "ValidationException",
                     "The parameter cannot be converted to a numeric value%s%.*s",
                     text.bytes > 0 ? ": " : "", SLICE_ARG(text));
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads "[+-]digits" at the end of the text; false if it is anything else. */
static bool read_exponent(struct slice text, size_t at, int *exponent)
{
    bool negative = false;
    int value = 0;

    if (at < text.bytes && (text.data[at] == '+' || text.data[at] == '-')) {
        negative = text.data[at] == '-';
        at++;
    }
    if (at == text.bytes) {
        return false;
    }
    for (; at < text.bytes; at++) {
        if (!is_digit(text.data[at])) {
            return false;
        }
        value = (int)min_i64(value * 10 + (text.data[at] - '0'), EXPONENT_CLAMP);
    }
    *exponent = negative ? -value : value;
    return true;
}

/* Takes the digits one by one, dropping zeros that lead or trail. */
struct collector {
    struct number *number;
    bool any;
    bool after_point;
    bool too_precise;
    int64_t whole;   /* Digits before the point, from the first significant one. */
    int64_t leading; /* Zeros after the point, before the first significant one. */
    int64_t zeros;   /* Not yet known to be inner ones. */
};

static void collect(struct collector *c, char digit)
{
    struct number *number = c->number;

    c->any = true;
    if (number->count == 0 && digit == '0') {
        c->leading += c->after_point ? 1 : 0;
        return;
    }
    if (!c->after_point) {
        c->whole++;
    }
    if (digit == '0') {
        c->zeros++;
        return;
    }
    if (number->count + c->zeros + 1 > NUMBER_DIGITS_MAX) {
        c->too_precise = true;
        return;
    }
    for (; c->zeros > 0; c->zeros--) {
        number->digits[number->count++] = 0;
    }
    number->digits[number->count++] = (uint8_t)(digit - '0');
}

int number_parse(struct slice text, struct number *number, struct error *err)
{
    struct collector c = {.number = number};
    bool negative = false;
    int exponent = 0;
    int64_t leading;
    size_t at = 0;

    *number = (struct number){0};
    if (at < text.bytes && (text.data[at] == '+' || text.data[at] == '-')) {
        negative = text.data[at] == '-';
        at++;
    }
    for (; at < text.bytes && (is_digit(text.data[at]) || text.data[at] == '.'); at++) {
        if (text.data[at] != '.') {
            collect(&c, text.data[at]);
        } else if (c.after_point) {
            return not_numeric(text, err);
        } else {
            c.after_point = true;
        }
    }
    if (!c.any) {
        return not_numeric(text, err);
    }
    if (at < text.bytes) {
        if ((text.data[at] != 'e' && text.data[at] != 'E') ||
            !read_exponent(text, at + 1, &exponent)) {
            return not_numeric(text, err);
        }
    }
    if (c.too_precise) {
        return too_precise(err);
    }
    leading = exponent + (number->count == 0 ? 0 : c.whole > 0 ? c.whole - 1 : -1 - c.leading);
    if (leading > NUMBER_EXPONENT_MAX) {
        return overflow(err); /* Zero too: 0e126 is refused. */
    }
    if (leading < NUMBER_EXPONENT_MIN) {
        return underflow(err);
    }
    if (number->count > 0) {
        number->sign = negative ? -1 : 1;
        number->exponent = (int)leading;
    }
    return 0;
}

void number_format(const struct number *number, struct buf *buf)
{
    int last = number->exponent - number->count + 1; /* The position of the last digit. */

    if (number->sign == 0) {
        buf_add_byte(buf, '0');
        return;
    }
    if (number->sign < 0) {
        buf_add_byte(buf, '-');
    }
    if (number->exponent < 0) {
        buf_add_z(buf, "0.");
    }
    for (int zero = -1; zero > number->exponent; zero--) {
        buf_add_byte(buf, '0');
    }
    for (int i = 0; i < number->count; i++) {
        buf_add_byte(buf, (char)('0' + number->digits[i]));
        if (number->exponent - i == 0 && i + 1 < number->count) {
            buf_add_byte(buf, '.');
        }
    }
    for (int zero = last; zero > 0; zero--) {
        buf_add_byte(buf, '0');
    }
}

static int compare_magnitude(const struct number *a, const struct number *b)
{
    size_t common = (size_t)min_i64(a->count, b->count);
    int order;

    if (a->exponent != b->exponent) {
        return a->exponent < b->exponent ? -1 : 1;
    }
    order = memcmp(a->digits, b->digits, common);
    return order != 0 ? order : a->count - b->count;
}

int number_compare(const struct number *a, const struct number *b)
{
    if (a->sign != b->sign || a->sign == 0) {
        return a->sign - b->sign;
    }
    return a->sign * compare_magnitude(a, b);
}

/* Digits by position; index 0 is the least significant. */
static void spread(const struct number *number, int *positions, int sign)
{
    for (int i = 0; i < number->count; i++) {
        positions[number->exponent - i - POSITION_MIN] += sign * number->digits[i];
    }
}

int number_add(const struct number *a, const struct number *b, int sign, struct number *sum,
               struct error *err)
{
    int positions[POSITIONS] = {0};
    int carry = 0, first, last;
    int result_sign = 1;

    *sum = (struct number){0};
    spread(a, positions, a->sign);
    spread(b, positions, sign * b->sign);
    for (first = POSITIONS - 1; first >= 0 && positions[first] == 0; first--) {
    }
    if (first < 0) {
        return 0;
    }
    if (positions[first] < 0) { /* The topmost digit has the sum's sign. */
        result_sign = -1;
    }
    for (int i = 0; i < POSITIONS; i++) {
        int digit = result_sign * positions[i] + carry;

        carry = digit < 0 ? -1 : digit / 10;
        positions[i] = digit - carry * 10;
    }
    ASSERT(carry == 0);
    for (first = POSITIONS - 1; positions[first] == 0; first--) {
    }
    for (last = 0; positions[last] == 0; last++) {
    }
    if (first + POSITION_MIN > NUMBER_EXPONENT_MAX) {
        return overflow(err);
    }
    if (first + POSITION_MIN < NUMBER_EXPONENT_MIN) {
        return underflow(err);
    }
    if (first - last + 1 > NUMBER_DIGITS_MAX) {
        return too_precise(err);
    }
    sum->sign = result_sign;
    sum->exponent = first + POSITION_MIN;
    for (int i = first; i >= last; i--) {
        sum->digits[sum->count++] = (uint8_t)positions[i];
    }
    return 0;
}

/* A sign byte (0 negative, 1 zero, 2 positive), the exponent + 130, the digits in pairs as
 * 10 x d1 + d2 + 1, a 0; after the sign complemented for negatives. */
void number_key(const struct number *number, struct buf *key)
{
    size_t start;

    buf_add_byte(key, (char)(number->sign + 1));
    if (number->sign == 0) {
        return;
    }
    start = key->bytes;
    buf_add_byte(key, (char)(number->exponent - NUMBER_EXPONENT_MIN));
    for (int i = 0; i < number->count; i += 2) {
        int second = i + 1 < number->count ? number->digits[i + 1] : 0;

        buf_add_byte(key, (char)(number->digits[i] * 10 + second + 1));
    }
    buf_add_byte(key, 0);
    if (number->sign < 0) {
        for (size_t i = start; i < key->bytes; i++) {
            key->data[i] = (char)~key->data[i];
        }
    }
}

/* AWS says "approximately (length)": about one byte per two digits plus one. Pairs are counted
 * from the decimal point. */
int64_t number_bytes(const struct number *number)
{
    int odd_start;

    if (number->sign == 0) {
        return 1;
    }
    odd_start = number->exponent % 2 == 0 && number->count > 1 && number->count % 2 == 0 ? 1 : 0;
    return 1 + (number->count + 1) / 2 + odd_start + (number->sign < 0 ? 1 : 0);
}
