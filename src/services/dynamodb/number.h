/* DynamoDB's numbers: exact decimals of up to 38 digits, 1E-130 to 9.99E+125, both signs, and zero.
 * No binary floating point anywhere. Plain values, any thread.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
 */
#ifndef SERVICES_DYNAMODB_NUMBER_H
#define SERVICES_DYNAMODB_NUMBER_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

struct buf;

#define NUMBER_DIGITS_MAX 38
#define NUMBER_EXPONENT_MIN (-130)
#define NUMBER_EXPONENT_MAX 125

struct number {
    int sign;                          /* -1, 0 or 1 */
    int exponent;                      /* Of the leading digit: 1.5 has 0, 15 has 1. */
    int count;                         /* Significant digits; 0 for zero. */
    uint8_t digits[NUMBER_DIGITS_MAX]; /* 0..9, the first and the last are not 0. */
};

/* "-17e5", ".5", "0001.23"; ERR_API with DynamoDB's own text. */
int number_parse(struct slice text, struct number *number, struct error *err);
/* Append it plainly: no exponent, no needless zeros. */
void number_format(const struct number *number, struct buf *buf);
/* <0, 0, >0 */
int number_compare(const struct number *a, const struct number *b);
/* a + b, or a - b with @sign -1. Exact, or ERR_API. */
int number_add(const struct number *a, const struct number *b, int sign, struct number *sum,
               struct error *err);
/* Append up to 22 bytes that sort as the numbers do. */
void number_key(const struct number *number, struct buf *key);
/* What it adds to an item's size. */
int64_t number_bytes(const struct number *number);

#endif /* SERVICES_DYNAMODB_NUMBER_H */
