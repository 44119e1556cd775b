/* Timestamps: what is parsed can be written, and reads back as the same instant. */
#include "base/clock.h"
#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct slice text = slice_of((const char *)data, bytes);
    char again[TIME_TEXT_BYTES];
    int64_t ms, ms_again;
    struct error *err = NULL;

    if (time_parse(text, &ms, err) == 0) {
        time_format_ms(ms, again);
        ASSERT(time_parse(slice_z(again), &ms_again, err) == 0 && ms_again == ms);
        time_format_http(ms, again);
        ASSERT(time_parse_http(slice_z(again), &ms_again, err) == 0);
        time_format_basic(ms, again);
        ASSERT(time_parse(slice_z(again), &ms_again, err) == 0);
    }
    if (time_parse_http(text, &ms, err) == 0) {
        time_format_http(ms, again);
        ASSERT(time_parse_http(slice_z(again), &ms_again, err) == 0 && ms_again == ms);
    }
    return 0;
}
