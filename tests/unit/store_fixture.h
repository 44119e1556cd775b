/* A store in a directory of its own, and a loop to turn it. */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "check.h"
#include "store/store.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct store_fixture {
    char directory[64];
    uv_loop_t loop;
    struct store *store;
};

static inline int fixture_remove(const char *path, const struct stat *status, int flag,
                                 struct FTW *ftw)
{
    (void)status;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void fixture_open(struct store_fixture *fixture)
{
    const struct store_options options = {.directory = fixture->directory, .loop = &fixture->loop};
    struct error err = {0};

    check_int(fixture->directory, 0, store_open(&options, &fixture->store, &err));
}

static inline void fixture_close(struct store_fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
}

static inline int fixture_setup(void **state)
{
    struct store_fixture *fixture = calloc(1, sizeof(*fixture));

    snprintf(fixture->directory, sizeof(fixture->directory), "/tmp/muster-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(0, uv_loop_init(&fixture->loop));
    fixture_open(fixture);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct store_fixture *fixture = *state;

    fixture_close(fixture);
    assert_int_equal(0, uv_loop_close(&fixture->loop));
    nftw(fixture->directory, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

/* Turn the loop until nothing waits. */
static inline void fixture_settle(struct store_fixture *fixture)
{
    uv_run(&fixture->loop, UV_RUN_DEFAULT);
    assert_true(store_idle(fixture->store));
}

#endif /* TESTS_UNIT_STORE_FIXTURE_H */
