/* The XML answers that clients read: what passes is a tree that can be written as JSON. */
#include "base/macros.h"
#include "client/xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    json_t *tree = NULL;
    struct error err;

    if (xml_to_json(slice_of((const char *)data, bytes), &tree, &err) == 0) {
        char *text = json_dumps(tree, JSON_ENCODE_ANY);

        ASSERT(text != NULL);
        free(text);
        json_decref(tree);
    }
    return 0;
}
