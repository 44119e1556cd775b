/* Bodies that promise more than they have, or go deeper than anybody needs. */
#include "check.h"

#include "base/buf.h"
#include "wire/codec.h"

#include <stdio.h>
#include <sys/resource.h>

static const struct model_shape text_shape = {
    .kind = DOC_TEXT, .name = "", .min = MODEL_NO_MIN, .max = MODEL_NO_MAX};
static const struct model_shape list_shape = {
    .kind = DOC_LIST, .name = "", .element = &text_shape, .min = MODEL_NO_MIN, .max = MODEL_NO_MAX};
static const struct model_member members[] = {
    {.id = 1, .name = "a", .wire_in = "a", .wire_out = "a", .shape = &list_shape}};
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
        {"a list of one", SLICE_LIT("\xa1\x61\x61\x81\x61x"), true},
        {"without a length", SLICE_LIT("\xbf\x61\x61\x9f\x61x\xff\xff"), true},
        {"an array of 1.7 billion", SLICE_LIT("\xa1\x61\x61\x9a\x69\x53\x74\x61\x61x"), false},
        {"an array of all there is",
         SLICE_LIT("\xa1\x61\x61\x9b\xff\xff\xff\xff\xff\xff\xff\xff\x61x"), false},
        {"a map of 1.7 billion", SLICE_LIT("\xba\x69\x53\x74\x61\x61\x61\x80"), false},
        {"many arrays, each within", SLICE_LIT("\xa1\x61\x61\x88\x88\x88\x88\x88\x88\x88\x88\x88"),
         false},
        {"a text longer than all", SLICE_LIT("\xa1\x61\x61\x81\x7a\x7f\xff\xff\xffx"), false},
        {"cut in the midst", SLICE_LIT("\xa1\x61\x61\x81"), false},
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

/* What a body promises to become is counted, in texts or not. */
static void json_has_a_number_of_values(void **state)
{
    static const struct {
        const char *says, *piece;
        int pieces;
        bool good;
    } cases[] = {
        {"as many as may be", "\"\",", CODEC_VALUES_MAX - 4, true},
        {"one too many", "\"\",", CODEC_VALUES_MAX, false},
        {"brackets", "[", CODEC_VALUES_MAX, false},
        {"commas in texts", "\",,,[[{{\",", 30000, true},
        {"behind an escaped quote", "\",\\\",,,,[[{{\\\\\",", 30000, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena = {0};
        struct buf text = {0};
        struct error err = {0};
        struct doc *in = NULL;

        buf_add_z(&text, "{\"a\":[");
        for (int k = 0; k < cases[i].pieces; k++) {
            buf_add_z(&text, cases[i].piece);
        }
        buf_add_z(&text, "\"\"]}");
        check_int(cases[i].says, cases[i].good,
                  json_decode(&arena, &shape, buf_slice(&text), &in, &err) == 0);
        check_int(cases[i].says, !cases[i].good, strstr(err.message, "values") != NULL);
        buf_close(&text);
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

static void a_form_of_many_names_keeps_them_in_order(void **state)
{
    struct buf text = {0};
    struct form root = {0};
    struct arena arena = {0};
    size_t count = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        buf_printf(&text, "Id.%d=a%d&n%d=x&", i, i, i);
    }
    buf_add_z(&text, "Id.7=again&Id.2999.Part=p");
    check_int("parsed", 0, form_parse(&arena, buf_slice(&text), &root, NULL));
    for (const struct form *child = root.children->children; child != NULL; child = child->next) {
        char name[16];

        snprintf(name, sizeof(name), "%zu", count++);
        check_text("in the order of arrival", name, child->name);
    }
    check_int("each once", 3000, count);
    check_text("the last value", "again", form_find(root.children, SLICE_LIT("7"))->value);
    check_text("a part", "p", form_value(form_find(root.children, SLICE_LIT("2999")), "Part"));
    check_text("of many", "x", form_value(&root, "n1234"));
    check_int("none", true, form_find(&root, SLICE_LIT("n3000")) == NULL);
    buf_close(&text);
    arena_close(&arena);
}

/* libcbor asks callers to look at an item's kind before they take it for one, with assert(). */
static void each_kind_takes_what_it_is(void **state)
{
    static const struct {
        const char *says;
        struct slice item;
        const char *kinds; /* Which of the letters below take it. */
    } cases[] = {
        {"0", SLICE_LIT("\x00"), "idt"},
        {"-1", SLICE_LIT("\x20"), "idt"},
        {"2^64-1", SLICE_LIT("\x1b\xff\xff\xff\xff\xff\xff\xff\xff"), "d"},
        {"bytes", SLICE_LIT("\x41x"), "B"},
        {"text", SLICE_LIT("\x61x"), "s"},
        {"an array", SLICE_LIT("\x80"), ""},
        {"a map", SLICE_LIT("\xa0"), ""},
        {"a time", SLICE_LIT("\xc1\x01"), "t"},
        {"false", SLICE_LIT("\xf4"), "b"},
        {"true", SLICE_LIT("\xf5"), "b"},
        {"a half", SLICE_LIT("\xf9\x3c\x00"), "idt"},
        {"a single", SLICE_LIT("\xfa\x3f\x80\x00\x00"), "idt"},
        {"a double", SLICE_LIT("\xfb\x3f\xf8\0\0\0\0\0\0"), "dt"},
        {"a simple value", SLICE_LIT("\xe0"), ""},
        {"another of them", SLICE_LIT("\xf8\xff"), ""},
    };
    static const struct {
        enum doc_kind kind;
        char letter;
    } kinds[] = {
        {DOC_TEXT, 's'},   {DOC_BLOB, 'B'}, {DOC_INT, 'i'},
        {DOC_DOUBLE, 'd'}, {DOC_BOOL, 'b'}, {DOC_TIME, 't'},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases) * COUNT_OF(kinds); i++) {
        const struct model_shape own = {.kind = kinds[i % COUNT_OF(kinds)].kind,
                                        .name = "",
                                        .min = MODEL_NO_MIN,
                                        .max = MODEL_NO_MAX};
        const struct model_member member = {
            .id = 1, .name = "a", .wire_in = "a", .wire_out = "a", .shape = &own};
        struct model_shape outer = shape;
        struct arena arena = {0};
        struct buf body = {0};
        struct doc *in = NULL;
        char says[64];
        size_t at = i / COUNT_OF(kinds);

        outer.members = &member;
        buf_add(&body, SLICE_LIT("\xa1\x61\x61"));
        buf_add(&body, cases[at].item);
        snprintf(says, sizeof(says), "%s as %c", cases[at].says, kinds[i % COUNT_OF(kinds)].letter);
        check_int(says, strchr(cases[at].kinds, kinds[i % COUNT_OF(kinds)].letter) != NULL,
                  cbor_decode(&arena, &outer, buf_slice(&body), &in, NULL) == 0);
        buf_close(&body);
        arena_close(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cbor_is_believed_no_length),
        cmocka_unit_test(a_form_of_many_names_keeps_them_in_order),
        cmocka_unit_test(each_kind_takes_what_it_is),
        cmocka_unit_test(json_has_a_number_of_values),
        cmocka_unit_test(depth_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
