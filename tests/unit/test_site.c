/* What an instance leaves is removed whatever it is, and nothing else; names are the site's. */
#include "check.h"

#include "warden/private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/muster-site-XXXXXX";

static void put(const char *name)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(write_file(path, SLICE_LIT("x"), 0644, NULL), 0);
}

static bool there(const char *name)
{
    char path[256];
    struct stat status;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    return lstat(path, &status) == 0;
}

static void in_root(const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", root, name);
}

/* Deeper than any path is long. */
static void nest(const char *top, int depth)
{
    char name[101];
    int at = open(top, O_RDONLY | O_DIRECTORY);

    memset(name, 'd', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < depth; i++) {
        int next;

        assert_int_equal(mkdirat(at, name, 0700), 0);
        next = openat(at, name, O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        assert_int_equal(symlinkat("/etc", at, "link"), 0);
        close(at);
        at = next;
    }
    close(at);
}

static void trees_are_removed(void **state)
{
    char path[256], other[256];

    (void)state;
    in_root("kept", other);
    assert_int_equal(make_directory(other, 0755, NULL), 0);
    put("kept/file");
    for (int depth = 150; depth <= 1200; depth *= 2) { /* Below the turn, once, and many times. */
        in_root("tree", path);
        assert_int_equal(make_directory(path, 0755, NULL), 0);
        nest(path, depth);
        in_root("tree/link-out", path);
        assert_int_equal(symlink(other, path), 0);
        in_root("tree/pipe", path);
        assert_int_equal(mkfifo(path, 0600), 0);
        in_root("tree", path);
        remove_tree(path);
        check_int("gone", false, there("tree"));
    }
    check_int("links are not followed", true, there("kept/file"));
    in_root("alias", path);
    assert_int_equal(symlink(other, path), 0);
    remove_tree(path);
    check_int("a link is removed as one", false, there("alias"));
    check_int("and leads nowhere", true, there("kept/file"));
    remove_tree(path); /* Not there: nothing. */
    remove_tree(root);
}

/* Names in the host's namespace hold the site's: another site's id makes none of another site. */
static void links_are_the_sites(void **state)
{
    const struct site one = {.name = "00000a"}, other = {.name = "00000b"};
    char a[16], b[16];

    (void)state;
    site_link(&one, "i-0123456789abcdef0", a);
    site_link(&other, "i-0123456789abcdef0", b);
    check_text("name", "n00000a01234567", slice_z(a));
    check_text("other", "n00000b01234567", slice_z(b));
    link_in_vpc("i-0123456789abcdef0", a);
    check_text("in the VPC", "m0123456789abc", slice_z(a));
}

/* Its sockets would be refused by HAProxy, again and again. */
static void a_path_may_be_too_long(void **state)
{
    char path[256];
    struct site site = {0};
    struct error err = {0};

    (void)state;
    snprintf(path, sizeof(path), "%s/%040d/%040d", root, 1, 2);
    check_int("refused", ERR_CONFIG, site_open(&site, path, true, &err));
    check_int("with its reason", true, strstr(err.message, "too long") != NULL);
    check_int("nothing is made", false, there(path + strlen(root) + 1));
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trees_are_removed),
        cmocka_unit_test(links_are_the_sites),
        cmocka_unit_test(a_path_may_be_too_long),
    };

    return cmocka_run_group_tests(tests, make_root, NULL);
}
