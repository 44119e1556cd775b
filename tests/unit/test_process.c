/* What a program inherits: descriptors whose numbers are taken by one another. */
#include "check.h"

#include "warden/private.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST 100
#define COUNT 6

/* Which pipe a descriptor is. */
static long inode_of(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 ? (long)status.st_ino : -1;
}

static void each_descriptor_gets_its_number(void **state)
{
    static const struct {
        const char *says;
        int from[COUNT], to[COUNT];
    } cases[] = {
        {"none is in the way", {200, 201, 202, 203, 204, 205}, {100, 101, 102, 103, 104, 105}},
        {"they have them", {100, 101, 102, 103, 104, 105}, {100, 101, 102, 103, 104, 105}},
        {"turned around", {105, 104, 103, 102, 101, 100}, {100, 101, 102, 103, 104, 105}},
        {"one place on", {100, 101, 102, 103, 104, 105}, {101, 102, 103, 104, 105, 106}},
        {"one place back", {101, 102, 103, 104, 105, 106}, {100, 101, 102, 103, 104, 105}},
        {"above them", {106, 108, 107, 100, 101, 109}, {100, 101, 102, 103, 104, 105}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        long inodes[COUNT];

        for (size_t k = 0; k < COUNT; k++) {
            int ends[2];

            assert_int_equal(0, pipe(ends));
            assert_int_equal(cases[i].from[k], dup3(ends[0], cases[i].from[k], O_CLOEXEC));
            inodes[k] = inode_of(ends[0]);
            close(ends[0]);
            close(ends[1]);
        }
        check_int(cases[i].says, 0, process_pass(cases[i].from, cases[i].to, COUNT));
        for (size_t k = 0; k < COUNT; k++) {
            check_int(cases[i].says, inodes[k], inode_of(cases[i].to[k]));
            check_int("inherited", 0, fcntl(cases[i].to[k], F_GETFD) & FD_CLOEXEC);
        }
        for (int fd = FIRST; fd < FIRST + 200; fd++) {
            close(fd);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_descriptor_gets_its_number)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
