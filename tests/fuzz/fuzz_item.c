/* Any JSON as an attribute value: what passes is canonical, equal to itself, and has a size. */
#include "base/buf.h"
#include "services/dynamodb/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    json_t *json = json_loadb((const char *)data, bytes, JSON_ALLOW_NUL, NULL);
    json_t *value = NULL, *again = NULL;
    struct buf key = {0};
    struct error err;
    int order = 0;

    if (json != NULL && value_normalise(json, &value, &err) == 0) {
        ASSERT(value_normalise(value, &again, &err) == 0);
        ASSERT(value_equal(value, again));
        ASSERT(value_bytes(value) >= 0);
        if (value_compare(value, again, &order)) {
            ASSERT(order == 0);
            value_key(value, &key);
        }
    }
    buf_close(&key);
    json_decref(json);
    json_decref(value);
    json_decref(again);
    return 0;
}
