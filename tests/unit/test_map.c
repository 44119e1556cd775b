#include "base/map.h"
#include "check.h"

#include <stdio.h>

static void a_map_keeps_the_order_of_insertion(void **state)
{
    static int values[1000];
    struct map map = {0};
    size_t at = 0, seen = 0;
    int *value;
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        values[i] = i;
        assert_null(map_put(&map, slice_z(key), &values[i]));
    }
    for (int i = 0; i < 1000; i += 2) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_ptr_equal(map_remove(&map, slice_z(key)), &values[i]);
        assert_null(map_get_z(&map, key));
    }
    check_int("count", 500, map.count);
    while ((value = map_next(&map, &at)) != NULL) {
        check_int("order", 1 + 2 * (int)seen, *value);
        seen++;
    }
    check_int("seen", 500, seen);
    assert_ptr_equal(map_put(&map, SLICE_LIT("k1"), &values[0]), &values[1]);
    map_close(&map);
    map_close(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_keeps_the_order_of_insertion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
