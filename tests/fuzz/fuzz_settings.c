/* ~/.aws files, and the endpoint that they name: what is found lies inside the text. */
#include "base/arena.h"
#include "client/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void check_inside(struct slice outer, struct slice inner)
{
    ASSERT(inner.bytes == 0 ||
           (inner.data >= outer.data && inner.data + inner.bytes <= outer.data + outer.bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const keys[] = {"aws_access_key_id", "aws_secret_access_key",
                                       "aws_session_token", "region", "endpoint_url"};
    static const char *const sections[] = {"default", "profile web"};
    struct slice text = slice_of((const char *)data, bytes), value;
    struct arena arena = {0};
    struct aws_url url;
    struct error err;

    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            if (aws_ini_find(text, slice_z(sections[i]), keys[k], &value)) {
                const char *z = arena_strdup(&arena, value);

                check_inside(text, value);
                if (aws_url_parse(z, &url, &err) == 0) {
                    check_inside(slice_z(z), url.scheme);
                    check_inside(slice_z(z), url.host);
                    check_inside(slice_z(z), url.prefix);
                }
            }
        }
    }
    arena_close(&arena);
    return 0;
}
