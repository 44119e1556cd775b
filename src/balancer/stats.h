/* HAProxy's `show stat` (CSV), and its counters summed over the processes that succeed each other.
 * Pure, any thread. */
#ifndef BALANCER_STATS_H
#define BALANCER_STATS_H

#include "base/error.h"
#include "base/map.h"
#include "base/slice.h"

#include <stdint.h>

enum balancer_row_type { BALANCER_ROW_FRONTEND, BALANCER_ROW_BACKEND, BALANCER_ROW_SERVER };

/* What grows while a process lives. */
struct balancer_counters {
    int64_t requests;            /* req_tot; of servers and backends lbtot. */
    int64_t sessions;            /* conn_tot of frontends, else stot. */
    int64_t bytes_in, bytes_out; /* bin, bout */
    int64_t status[6];           /* hrsp_other, hrsp_1xx .. hrsp_5xx */
    int64_t connect_errors;      /* econ */
    int64_t response_errors;     /* eresp */
    int64_t refused;             /* dreq */
};

/* One line. */
struct balancer_row {
    enum balancer_row_type type;
    struct slice proxy, server; /* Borrowed from the text; server is "FRONTEND", "BACKEND" too. */
    struct slice status;        /* "UP", "MAINT", "DRAIN", "no check" */
    struct balancer_counters counters;
    int64_t sessions_now;     /* scur */
    int64_t response_time_ms; /* rtime: the mean of the last 1024 requests */
};

typedef void balancer_row_fn(void *data, const struct balancer_row *row);

/* Call @fn for each line of frontends, backends and servers; others are skipped. ERR_INVALID when
 * the text is none of HAProxy's; lines before the bad one were given out. */
int balancer_stat_parse(struct slice csv, balancer_row_fn *fn, void *data, struct error *err);

/* Counters of all rows seen, by proxy and server. Zero-initialise. */
struct balancer_totals {
    struct map rows; /* "proxy/server" -> struct balancer_total */
};

void balancer_totals_close(struct balancer_totals *totals);
/* What @row's counters grew by since it was last seen; all of them the first time. A counter that
 * became smaller began anew. */
void balancer_totals_take(struct balancer_totals *totals, const struct balancer_row *row,
                          struct balancer_counters *grown);
/* A successor counts from 0: to be called between the last reading of the old and the first of the
 * new process. */
void balancer_totals_restart(struct balancer_totals *totals);

#endif /* BALANCER_STATS_H */
