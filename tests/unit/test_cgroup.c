/* Usage is read and groups are found in both layouts: v1, v2, and v1 with a v2 beside it. */
#include "check.h"

#include "compute/cgroup.h"
#include "warden/private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/muster-cgroup-XXXXXX";

static FILE *mountinfo(const char *format)
{
    static char text[4096];
    char *at = text;

    /* Every '@' is the directory. */
    for (; *format != '\0'; format++) {
        at += *format == '@' ? snprintf(at, 256, "%s", root) : snprintf(at, 2, "%c", *format);
    }
    return fmemopen(text, strlen(text), "r");
}

static void put(const char *path, const char *text)
{
    char full[512];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    *strrchr(full, '/') = '\0';
    assert_int_equal(make_directory(full, 0755, NULL), 0);
    full[strlen(full)] = '/';
    assert_int_equal(write_file(full, slice_z(text), 0644, NULL), 0);
}

static const char hybrid[] =
    "25 30 0:22 / /proc rw - proc proc rw\n"
    "31 30 0:26 / @/v1/acct rw,nosuid shared:9 - cgroup cgroup rw,cpuacct\n"
    "32 30 0:27 / @/v1/cpu rw - cgroup cgroup rw,cpu\n"
    "33 30 0:28 / @/v1/memory rw - cgroup memory rw,memory\n"
    "34 30 0:29 / @/v1/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
    "35 30 0:30 / @/v2 rw - cgroup2 cgroup2 rw,nsdelegate\n";
static const char joined[] = "31 30 0:26 / @/v1/acct rw - cgroup cgroup rw,cpu,cpuacct\n"
                             "33 30 0:28 / @/v1/memory rw - cgroup cgroup rw,memory\n";
static const char unified[] = "35 30 0:30 / @/v2 rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
                              "36 30 0:30 / @/other rw - cgroup2 cgroup2 rw\n";

static void layouts(void **state)
{
    struct cgroup_layout layout;
    char expected[64];
    FILE *file = mountinfo(hybrid);

    (void)state;
    cgroup_layout_read(file, &layout);
    snprintf(expected, sizeof(expected), "%s/v1/acct", root);
    assert_string_equal(layout.cpuacct, expected);
    snprintf(expected, sizeof(expected), "%s/v1/cpu", root);
    assert_string_equal(layout.cpu, expected);
    snprintf(expected, sizeof(expected), "%s/v2", root);
    assert_string_equal(layout.unified, expected);
    fclose(file);

    file = mountinfo(joined);
    cgroup_layout_read(file, &layout);
    assert_string_equal(layout.cpuacct, layout.cpu);
    assert_string_equal(layout.unified, "");
    fclose(file);

    file = mountinfo(unified);
    cgroup_layout_read(file, &layout);
    assert_string_equal(layout.cpuacct, "");
    assert_string_equal(layout.memory, "");
    assert_string_equal(layout.unified, expected); /* The first of two. */
    fclose(file);
}

static void usage(void **state)
{
    struct cgroup_layout layout;
    struct cgroup_usage used;
    FILE *file = mountinfo(hybrid);

    (void)state;
    put("v1/acct/muster/i/a/cpuacct.usage", "123456789\n");
    put("v1/cpu/muster/i/a/cpu.stat", "nr_periods 5\nnr_throttled 2\nthrottled_time 777\n");
    put("v1/memory/muster/i/a/memory.usage_in_bytes", "1000000\n");
    put("v1/memory/muster/i/a/memory.stat",
        "cache 1\ninactive_file 5\ntotal_inactive_file 400000\n");
    cgroup_layout_read(file, &layout);
    fclose(file);
    assert_int_equal(cgroup_read_in(&layout, "muster/i/a", &used, NULL), 0);
    assert_int_equal(used.cpu_ns, 123456789);
    assert_int_equal(used.throttled_ns, 777);
    assert_int_equal(used.memory_bytes, 600000);
    assert_int_equal(cgroup_read_in(&layout, "muster/i/b", &used, NULL), ERR_NOT_FOUND);

    put("v2/muster/i/a/cpu.stat", "usage_usec 2500\nuser_usec 1\nthrottled_usec 9\n");
    put("v2/muster/i/a/memory.current", "5000\n");
    put("v2/muster/i/a/memory.stat", "anon 1\ninactive_file 6000\n");
    file = mountinfo(unified);
    cgroup_layout_read(file, &layout);
    fclose(file);
    assert_int_equal(cgroup_read_in(&layout, "muster/i/a", &used, NULL), 0);
    assert_int_equal(used.cpu_ns, 2500000);
    assert_int_equal(used.throttled_ns, 9000);
    assert_int_equal(used.memory_bytes, 0); /* Never below. */
    put("v2/muster/i/a/cpu.stat",
        "usage_usec 9223372036854775807\nthrottled_usec 9223372036854775\n");
    assert_int_equal(cgroup_read_in(&layout, "muster/i/a", &used, NULL), 0);
    assert_int_equal(used.cpu_ns, INT64_MAX); /* No overflow. */
    assert_int_equal(used.throttled_ns, 9223372036854775000);
    assert_int_equal(cgroup_read_in(&layout, "muster/i/b", &used, NULL), ERR_NOT_FOUND);
}

static void fields(void **state)
{
    static const struct {
        const char *text, *key;
        int64_t value;
    } rows[] = {
        {"a 1\nb 2\n", "b", 2}, {"a 1\nb 2", "b", 2}, {"ab 1\nb 2\n", "b", 2}, {"b x\n", "b", -1},
        {"b\n", "b", -1},       {"", "b", -1},        {"b 2\n", "bb", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(cgroup_field(slice_z(rows[i].text), rows[i].key), rows[i].value);
    }
}

static void controllers(void **state)
{
    static const struct {
        const char *text, *controller, *point; /* NULL: v2's. */
    } rows[] = {
        {hybrid, "cpu", "/v1/cpu"}, {hybrid, "memory", "/v1/memory"}, {hybrid, "pids", NULL},
        {hybrid, "mem", NULL},      {joined, "cpu", "/v1/acct"},      {unified, "cpu", NULL},
    };
    char point[256], expected[256];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        FILE *file = mountinfo(rows[i].text);
        bool found = cgroups_mount(file, rows[i].controller, point, sizeof(point));

        fclose(file);
        assert_int_equal(found, rows[i].point != NULL);
        if (found) {
            snprintf(expected, sizeof(expected), "%s%s", root, rows[i].point);
            assert_string_equal(point, expected);
        }
    }
    assert_false(cgroups_point("25 30 0:22 / /proc rw - proc proc rw\n", point, sizeof(point)));
    assert_false(cgroups_point("", point, sizeof(point)));
    assert_false(cgroups_point("25 30 0:22 /x - cgroup2", point, 4));
    assert_true(
        cgroups_point("1 2 0:3 / /sys/fs/cgroup rw - cgroup2 c rw\n", point, sizeof(point)));
    assert_string_equal(point, "/sys/fs/cgroup");
}

/* The word is what v2 wants to read. */
static void handed_down(void **state)
{
    char path[256], text[64] = "";
    int fd;

    (void)state;
    put("v2/cgroup.subtree_control", "");
    snprintf(path, sizeof(path), "%s/v2", root);
    assert_int_equal(cgroups_hand_down(path, "cpu", NULL), 0);
    snprintf(path, sizeof(path), "%s/v2/cgroup.subtree_control", root);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 4);
    close(fd);
    assert_string_equal(text, "+cpu");
    assert_int_not_equal(cgroups_hand_down(root, "cpu", NULL), 0);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int drop_root(void **state)
{
    (void)state;
    remove_tree(root);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),     cmocka_unit_test(usage),       cmocka_unit_test(fields),
        cmocka_unit_test(controllers), cmocka_unit_test(handed_down),
    };

    return cmocka_run_group_tests(tests, make_root, drop_root);
}
