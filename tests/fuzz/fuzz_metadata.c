/* What an instance metadata service answers for a role's keys: whoever passes has both of them. */
#include "base/macros.h"
#include "client/metadata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct aws_keys keys = {0};
    struct error err;

    if (metadata_keys_parse(slice_of((const char *)data, bytes), &keys, &err) == 0) {
        ASSERT(keys.access_key != NULL && keys.secret != NULL);
    }
    aws_keys_close(&keys);
    return 0;
}
