#include "compute/probes.h"

#include "base/alloc.h"
#include "compute/probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct waiting {
    struct waiting *next;
    struct compute_probe probe;
    char path[1025];
    compute_probe_fn *done;
    void *data;
    struct probes *probes;
    struct pool *pool;
};

/* The sockets of one VPC, and the probes that wait for one. */
struct pool {
    char vpc[COMPUTE_ID_BYTES]; /* "": free. */
    bool asked;
    int free_fds[PROBES_SOCKETS_MAX];
    size_t free_count;
    struct waiting *first, **last;
};

struct probes {
    uv_loop_t *loop;
    probes_need_fn *need;
    void *data;
    struct pool pools[COMPUTE_VPCS_MAX];
    size_t under_way; /* They end after we were closed, too. */
    bool closed;
};

struct probes *probes_open(uv_loop_t *loop, probes_need_fn *need, void *data)
{
    struct probes *probes = mem_calloc(1, sizeof(*probes));

    *probes = (struct probes){.loop = loop, .need = need, .data = data};
    return probes;
}

static struct pool *pool_find(struct probes *probes, const char *vpc)
{
    for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
        if (strcmp(probes->pools[i].vpc, vpc) == 0) {
            return &probes->pools[i];
        }
    }
    return NULL;
}

/* NULL: there are too many VPCs. */
static struct pool *pool_of(struct probes *probes, const char *vpc)
{
    struct pool *pool = pool_find(probes, vpc);

    if (pool == NULL && (pool = pool_find(probes, "")) != NULL) {
        *pool = (struct pool){0};
        snprintf(pool->vpc, sizeof(pool->vpc), "%s", vpc);
        pool->last = &pool->first;
    }
    return pool;
}

static void pool_close(struct pool *pool)
{
    for (size_t i = 0; i < pool->free_count; i++) {
        close(pool->free_fds[i]);
    }
    pool->free_count = 0;
    pool->vpc[0] = '\0';
    pool->asked = false;
}

static struct waiting *pool_pop(struct pool *pool)
{
    struct waiting *waiting = pool->first;

    if (waiting != NULL) {
        pool->first = waiting->next;
        if (pool->first == NULL) {
            pool->last = &pool->first;
        }
    }
    return waiting;
}

static void on_probed(void *data, int fd, enum compute_probe_outcome outcome, int status)
{
    struct waiting *waiting = data;
    struct probes *probes = waiting->probes;
    struct pool *pool = waiting->pool;

    probes->under_way--;
    if (probes->closed || pool->vpc[0] == '\0' || pool->free_count == PROBES_SOCKETS_MAX) {
        close(fd);
    } else {
        pool->free_fds[pool->free_count++] = fd;
    }
    if (!probes->closed) {
        waiting->done(waiting->data, outcome, status);
    } else if (probes->under_way == 0) {
        free(probes);
    }
    free(waiting);
}

static void pool_start(struct probes *probes, struct pool *pool)
{
    struct waiting *waiting;

    while (pool->free_count > 0 && (waiting = pool_pop(pool)) != NULL) {
        probes->under_way++;
        probe_start(probes->loop, pool->free_fds[--pool->free_count], &waiting->probe, on_probed,
                    waiting);
    }
}

void probes_begin(struct probes *probes, const struct compute_probe *probe, compute_probe_fn *done,
                  void *data)
{
    struct pool *pool = pool_of(probes, probe->vpc);
    struct waiting *waiting;

    if (pool == NULL) {
        done(data, PROBE_REFUSED, 0);
        return;
    }
    waiting = mem_calloc(1, sizeof(*waiting));
    waiting->probe = *probe;
    snprintf(waiting->path, sizeof(waiting->path), "%s", probe->path);
    waiting->probe.path = waiting->path;
    waiting->done = done;
    waiting->data = data;
    waiting->probes = probes;
    waiting->pool = pool;
    *pool->last = waiting;
    pool->last = &waiting->next;
    if (!pool->asked) {
        pool->asked = true;
        probes->need(probes->data, pool->vpc);
    }
    pool_start(probes, pool);
}

void probes_take(struct probes *probes, const char *vpc, const int *fds, size_t count)
{
    struct pool *pool = pool_find(probes, vpc);
    struct waiting *waiting, *refused;

    if (pool == NULL) { /* The VPC went meanwhile. */
        for (size_t i = 0; i < count; i++) {
            close(fds[i]);
        }
        return;
    }
    if (count == 0) {
        refused = pool->first;
        pool->first = NULL;
        pool->last = &pool->first;
        pool->asked = false;
        while ((waiting = refused) != NULL) {
            refused = waiting->next;
            waiting->done(waiting->data, PROBE_REFUSED, 0);
            free(waiting);
        }
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (pool->free_count < PROBES_SOCKETS_MAX) {
            pool->free_fds[pool->free_count++] = fds[i];
        } else {
            close(fds[i]);
        }
    }
    pool_start(probes, pool);
}

void probes_forget(struct probes *probes, const char *vpc)
{
    struct pool *pool = pool_find(probes, vpc);

    if (pool != NULL && pool->first == NULL) {
        pool_close(pool);
    }
}

void probes_close(struct probes *probes)
{
    struct waiting *waiting;

    if (probes == NULL) {
        return;
    }
    probes->closed = true;
    for (size_t i = 0; i < COMPUTE_VPCS_MAX; i++) {
        while (probes->pools[i].vpc[0] != '\0' && (waiting = pool_pop(&probes->pools[i])) != NULL) {
            free(waiting);
        }
        pool_close(&probes->pools[i]);
    }
    if (probes->under_way == 0) {
        free(probes);
    }
}
