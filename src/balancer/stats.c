#include "balancer/stats.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 256 /* HAProxy 2.6 writes 99. */

enum column {
    COL_PROXY,
    COL_SERVER,
    COL_TYPE,
    COL_STATUS,
    COL_SCUR,
    COL_STOT,
    COL_BIN,
    COL_BOUT,
    COL_DREQ,
    COL_ECON,
    COL_ERESP,
    COL_LBTOT,
    COL_REQ_TOT,
    COL_CONN_TOT,
    COL_RTIME,
    COL_OTHER,
    COL_1XX,
    COL_2XX,
    COL_3XX,
    COL_4XX,
    COL_5XX,
    COL_COUNT
};

static const char *const column_names[COL_COUNT] = {
    [COL_PROXY] = "pxname",     [COL_SERVER] = "svname",     [COL_TYPE] = "type",
    [COL_STATUS] = "status",    [COL_SCUR] = "scur",         [COL_STOT] = "stot",
    [COL_BIN] = "bin",          [COL_BOUT] = "bout",         [COL_DREQ] = "dreq",
    [COL_ECON] = "econ",        [COL_ERESP] = "eresp",       [COL_LBTOT] = "lbtot",
    [COL_REQ_TOT] = "req_tot",  [COL_CONN_TOT] = "conn_tot", [COL_RTIME] = "rtime",
    [COL_OTHER] = "hrsp_other", [COL_1XX] = "hrsp_1xx",      [COL_2XX] = "hrsp_2xx",
    [COL_3XX] = "hrsp_3xx",     [COL_4XX] = "hrsp_4xx",      [COL_5XX] = "hrsp_5xx",
};

/* The next field of a line; quotes hide commas. What is between quotes is given without undoing the
 * doubled ones: no column we read has any. */
static bool next_field(struct slice *rest, struct slice *field)
{
    size_t end = 0;
    bool quoted = false;

    if (rest->data == NULL) {
        return false;
    }
    while (end < rest->bytes && (quoted || rest->data[end] != ',')) {
        quoted ^= rest->data[end] == '"';
        end++;
    }
    *field = slice_sub(*rest, 0, end);
    if (field->bytes >= 2 && field->data[0] == '"' && field->data[field->bytes - 1] == '"') {
        *field = slice_sub(*field, 1, field->bytes - 2);
    }
    *rest = end < rest->bytes ? slice_sub(*rest, end + 1, rest->bytes) : SLICE_EMPTY;
    return true;
}

/* Where each column stands; the header names them. */
static int read_header(struct slice line, int where[COL_COUNT], struct error *err)
{
    struct slice field;

    if (!slice_starts(line, SLICE_LIT("# "))) {
        return error_set(err, ERR_INVALID, "show stat: no header line");
    }
    line = slice_sub(line, 2, line.bytes);
    for (int i = 0; i < COL_COUNT; i++) {
        where[i] = -1;
    }
    for (int index = 0; index < COLUMNS_MAX && next_field(&line, &field); index++) {
        for (int i = 0; i < COL_COUNT; i++) {
            if (slice_equal_z(field, column_names[i])) {
                where[i] = index;
            }
        }
    }
    if (where[COL_PROXY] < 0 || where[COL_SERVER] < 0 || where[COL_TYPE] < 0) {
        return error_set(err, ERR_INVALID, "show stat: no pxname, svname or type column");
    }
    return 0;
}

static int64_t number(const struct slice values[COL_COUNT], enum column column)
{
    int64_t value = 0;

    /* Empty where a row has no such counter. */
    return text_to_i64(values[column], 0, INT64_MAX, &value, NULL) == 0 ? value : 0;
}

static void fill(struct balancer_row *row, const struct slice values[COL_COUNT])
{
    struct balancer_counters *counters = &row->counters;
    bool frontend = row->type == BALANCER_ROW_FRONTEND;

    row->proxy = values[COL_PROXY];
    row->server = values[COL_SERVER];
    row->status = values[COL_STATUS];
    row->sessions_now = number(values, COL_SCUR);
    row->response_time_ms = number(values, COL_RTIME);
    counters->requests = number(values, frontend ? COL_REQ_TOT : COL_LBTOT);
    counters->sessions = number(values, frontend ? COL_CONN_TOT : COL_STOT);
    counters->bytes_in = number(values, COL_BIN);
    counters->bytes_out = number(values, COL_BOUT);
    counters->connect_errors = number(values, COL_ECON);
    counters->response_errors = number(values, COL_ERESP);
    counters->refused = number(values, COL_DREQ);
    for (int i = 0; i < 6; i++) {
        counters->status[i] = number(values, (enum column)(COL_OTHER + i));
    }
}

int balancer_stat_parse(struct slice csv, balancer_row_fn *fn, void *data, struct error *err)
{
    int where[COL_COUNT];
    struct slice line, field;
    int rc;

    if (!slice_next(&csv, '\n', &line)) {
        return error_set(err, ERR_INVALID, "show stat: nothing");
    }
    rc = read_header(line, where, err);
    while (rc == 0 && slice_next(&csv, '\n', &line)) {
        struct slice values[COL_COUNT] = {{0}};
        struct balancer_row row = {0};
        int64_t type;
        int index = 0;

        if (slice_trim(line).bytes == 0) {
            continue;
        }
        for (; index < COLUMNS_MAX && next_field(&line, &field); index++) {
            for (int i = 0; i < COL_COUNT; i++) {
                if (where[i] == index) {
                    values[i] = field;
                }
            }
        }
        if (text_to_i64(values[COL_TYPE], 0, 3, &type, NULL) != 0 || values[COL_PROXY].bytes == 0) {
            return error_set(err, ERR_INVALID, "show stat: a line without proxy or type");
        }
        if (type == 3) { /* A socket. */
            continue;
        }
        row.type = (enum balancer_row_type)type;
        fill(&row, values);
        fn(data, &row);
    }
    return rc;
}

/* Totals. */

struct balancer_total {
    struct balancer_counters last;
};

void balancer_totals_close(struct balancer_totals *totals)
{
    void *total;

    for (size_t at = 0; (total = map_next(&totals->rows, &at)) != NULL;) {
        free(total);
    }
    map_close(&totals->rows);
}

static int64_t grew(int64_t last, int64_t now)
{
    return now >= last ? now - last : now;
}

void balancer_totals_take(struct balancer_totals *totals, const struct balancer_row *row,
                          struct balancer_counters *grown)
{
    const struct balancer_counters *now = &row->counters;
    struct balancer_total *total;
    struct buf key = {0};

    buf_printf(&key, "%.*s/%.*s", SLICE_ARG(row->proxy), SLICE_ARG(row->server));
    total = map_get(&totals->rows, buf_slice(&key));
    if (total == NULL) {
        total = mem_calloc(1, sizeof(*total));
        map_put(&totals->rows, buf_slice(&key), total);
    }
    *grown = (struct balancer_counters){
        .requests = grew(total->last.requests, now->requests),
        .sessions = grew(total->last.sessions, now->sessions),
        .bytes_in = grew(total->last.bytes_in, now->bytes_in),
        .bytes_out = grew(total->last.bytes_out, now->bytes_out),
        .connect_errors = grew(total->last.connect_errors, now->connect_errors),
        .response_errors = grew(total->last.response_errors, now->response_errors),
        .refused = grew(total->last.refused, now->refused),
    };
    for (int i = 0; i < 6; i++) {
        grown->status[i] = grew(total->last.status[i], now->status[i]);
    }
    total->last = *now;
    buf_close(&key);
}

void balancer_totals_restart(struct balancer_totals *totals)
{
    struct balancer_total *total;

    for (size_t at = 0; (total = map_next(&totals->rows, &at)) != NULL;) {
        total->last = (struct balancer_counters){0};
    }
}
