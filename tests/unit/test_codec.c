/* Bodies that promise more than they have, or go deeper than anybody needs. */
#include "check.h"

#include "base/buf.h"
#include "wire/codec.h"

#include <sys/resource.h>

static const struct model_shape text_shape = {
    .kind = DOC_TEXT, .name = "", .min = MODEL_NO_MIN, .max = MODEL_NO_MAX};
static const struct model_shape list_shape = {
    .kind = DOC_LIST, .name = "", .element = &text_shape, .min = MODEL_NO_MIN, .max = MODEL_NO_MAX};
static const struct model_member members[] = {
    {.id = 1, .name = "a", .wire_in = "a", .wire_out = "a", .shape = &list_shape}
};
static const struct model_shape shape = {.kind = DOC_STRUCT,
                                         .name = "In",
                                         .members = members,
                                         .member_count = 1,
                                         .min = MODEL_NO_MIN,
                                         .max = MODEL_NO_MAX};

static void cbor_is_believed_no_length(void **state)
{
    static const struct {
        const char *says;
        struct slice body;
        bool good;
    } cases[] = {
        {"a list of one",            SLICE_LIT("\xa1\x61\x61\x81\x61x"),                            true },
        {"without a length",         SLICE_LIT("\xbf\x61\x61\x9f\x61x\xff\xff"),                    true },
        {"an array of 1.7 billion",  SLICE_LIT("\xa1\x61\x61\x9a\x69\x53\x74\x61\x61x"),            false},
        {"an array of all there is",
         SLICE_LIT("\xa1\x61\x61\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x61x"),                        false},
        {"a map of 1.7 billion",     SLICE_LIT("\xba\x69\x53\x74\x61\x61\x61\x80"),                 false},
        {"many arrays, each within", SLICE_LIT("\xa1\x61\x61\x88\x88\x88\x88\x88\x88\x88\x88\x88"),
         false                                                                                           },
        {"a text longer than all",   SLICE_LIT("\xa1\x61\x61\x81\x7a\x7f\xff\xff\xffx"),            false},
        {"cut in the midst",         SLICE_LIT("\xa1\x61\x61\x81"),                                 false},
    };
    struct rlimit limit = {512 << 20, RLIM_INFINITY};

    (void)state;
#ifndef __SANITIZE_ADDRESS__
    setrlimit(RLIMIT_AS, &limit);
#else
    (void)limit;
#endif
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena = {0};
        struct doc *in = NULL;
        int rc = cbor_decode(&arena, &shape, cases[i].body, &in, NULL);

        check_int(cases[i].says, cases[i].good, rc == 0);
        if (rc == 0) {
            check_int(cases[i].says, 1, (int)doc_count(in, 1));
        }
        arena_close(&arena);
    }
}

static void depth_has_an_end(void **state)
{
    struct buf deep = {0};
    struct form form = {0};
    struct arena arena = {0};
    struct doc *in;

    (void)state;
    buf_add_z(&deep, "{\"a\":");
    for (int i = 0; i < 100000; i++) {
        buf_add_byte(&deep, '[');
    }
    check_int("json", true, json_decode(&arena, &shape, buf_slice(&deep), &in, NULL) != 0);
    buf_clear(&deep);
    buf_add(&deep, SLICE_LIT("\xa1\x61\x61"));
    for (int i = 0; i < 100000; i++) {
        buf_add_byte(&deep, (char)0x81);
    }
    buf_add(&deep, SLICE_LIT("\x61x"));
    check_int("cbor", true, cbor_decode(&arena, &shape, buf_slice(&deep), &in, NULL) != 0);
    buf_clear(&deep);
    for (int i = 0; i < 100000; i++) {
        buf_add_z(&deep, "a.");
    }
    check_int("form", true, form_parse(&arena, buf_slice(&deep), &form, NULL) != 0);
    buf_close(&deep);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cbor_is_believed_no_length),
        cmocka_unit_test(depth_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
