#include "aws/page.h"
#include "base/arena.h"
#include "base/buf.h"
#include "check.h"
#include "wire/doc.h"

enum { NAME = 1, SIZE, ITEMS, TAGS, PART };

static void absent_reads_as_nothing(void **state)
{
    struct arena arena = {0};
    struct doc *doc = doc_new(&arena, DOC_STRUCT);

    (void)state;
    check_int("has", 0, doc_has(doc, NAME));
    check_int("int", 0, doc_int(doc, SIZE));
    check_int("int or", 7, doc_int_or(doc, SIZE, 7));
    check_int("count", 0, (int64_t)doc_count(doc, ITEMS));
    assert_null(doc_z(doc, NAME));
    assert_null(doc_z(doc_get(doc_get(doc, PART), PART), NAME)); /* A path needs no checks. */
    arena_close(&arena);
}

static void a_member_set_again_is_replaced(void **state)
{
    struct arena arena = {0};
    struct doc *doc = doc_new(&arena, DOC_STRUCT);

    (void)state;
    doc_set_z(doc, NAME, "one");
    doc_set_format(doc, NAME, "t%s", "wo");
    check_text("replaced", "two", doc_text(doc, NAME));
    check_int("members", 1, (int64_t)doc_length(doc));
    arena_close(&arena);
}

static void lists_and_maps_grow_in_order(void **state)
{
    struct arena arena = {0};
    struct doc *doc = doc_new(&arena, DOC_STRUCT);

    (void)state;
    for (int i = 0; i < 100; i++) {
        doc_set_int(doc_add_struct(doc, ITEMS), SIZE, i);
        doc_map_put(doc_set_map(doc, TAGS), arena_printf(&arena, "k%d", i), doc_new_int(&arena, i));
    }
    check_int("count", 100, (int64_t)doc_count(doc, ITEMS));
    check_int("last", 99, doc_int(doc_at(doc, ITEMS, 99), SIZE));
    assert_null(doc_at(doc, ITEMS, 100));
    assert_true(slice_equal_z(doc_key_at(doc, TAGS, 42), "k42"));
    check_int("value", 42, doc_value_int(doc_at(doc, TAGS, 42)));
    arena_close(&arena);
}

static void a_list_is_given_by_the_page(void **state)
{
    static const char *const pages[] = {"0 1 2 3 ", "4 5 6 7 ", "8 9 "};
    const char *token = NULL;

    (void)state;
    for (size_t page = 0; page < COUNT_OF(pages); page++) {
        struct arena arena = {0};
        struct doc *doc = doc_new(&arena, DOC_STRUCT);
        struct buf shown = {0};
        const char *next;
        size_t from;

        for (int i = 0; i < 10; i++) {
            doc_set_int(doc_add_struct(doc, ITEMS), SIZE, i);
        }
        assert_int_equal(0, page_window(&arena, "List", token, 4, 10, &from, &next, NULL));
        doc_list_keep(doc, ITEMS, from, 4);
        for (size_t i = 0; i < doc_count(doc, ITEMS); i++) {
            buf_printf(&shown, "%lld ", (long long)doc_int(doc_at(doc, ITEMS, i), SIZE));
        }
        check_text("the page", pages[page], buf_slice(&shown));
        check_int("more follow", page + 1 < COUNT_OF(pages), next != NULL);
        free((char *)(uintptr_t)token);
        token = next == NULL ? NULL : strdup(next);
        buf_close(&shown);
        arena_close(&arena);
    }
}

static void a_page_that_nobody_named_is_refused(void **state)
{
    struct arena arena = {0};
    const char *others[] = {page_token(&arena, "Other", SLICE_LIT("4")), "no base64",
                            page_token(&arena, "List", SLICE_LIT("minus one")),
                            page_token(&arena, "List", SLICE_LIT("-1"))};
    const char *next;
    size_t from;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        check_int(others[i], true,
                  page_window(&arena, "List", others[i], 4, 10, &from, &next, NULL) != 0);
    }
    /* The list has become shorter meanwhile: nothing is left, and that is no error. */
    check_int("shorter", 0,
              page_window(&arena, "List", page_token(&arena, "List", SLICE_LIT("8")), 4, 3, &from,
                          &next, NULL));
    check_int("from its end", 3, (int64_t)from);
    assert_null(next);
    arena_close(&arena);
}

static void json_dies_with_the_arena(void **state)
{
    struct arena arena = {0};
    struct doc *doc = doc_new(&arena, DOC_STRUCT);
    json_t *json = json_pack("{s:s}", "S", "x");

    (void)state;
    doc_set_json(doc, PART, json_incref(json));
    assert_ptr_equal(json, doc_json(doc, PART));
    arena_close(&arena);
    check_int("references left", 1, (int64_t)json->refcount);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_reads_as_nothing),
        cmocka_unit_test(a_member_set_again_is_replaced),
        cmocka_unit_test(lists_and_maps_grow_in_order),
        cmocka_unit_test(a_list_is_given_by_the_page),
        cmocka_unit_test(a_page_that_nobody_named_is_refused),
        cmocka_unit_test(json_dies_with_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
