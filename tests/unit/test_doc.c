#include "base/arena.h"
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
        cmocka_unit_test(json_dies_with_the_arena),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
