#include "balancer/stats.h"
#include "base/buf.h"
#include "check.h"

#define HEADER "# pxname,svname,scur,stot,status,type,rtime,hrsp_2xx,hrsp_5xx,req_tot,lbtot,econ,\n"

static void note(void *data, const struct balancer_row *row)
{
    static const char *const types[] = {"frontend", "backend", "server"};

    buf_printf(data, "%s %.*s/%.*s %.*s now=%d requests=%d 2xx=%d 5xx=%d rtime=%d\n",
               types[row->type], SLICE_ARG(row->proxy), SLICE_ARG(row->server),
               SLICE_ARG(row->status), (int)row->sessions_now, (int)row->counters.requests,
               (int)row->counters.status[2], (int)row->counters.status[5],
               (int)row->response_time_ms);
}

static const struct {
    const char *says;
    const char *csv;
    const char *rows;
    int rc;
} cases[] = {
    {"rows of three kinds, empty counters are 0, sockets are skipped",
     HEADER "l80,FRONTEND,2,9,OPEN,0,,7,1,8,,,\n"
            "l80,sock-1,0,0,OPEN,3,,,,,,,\n"
            "tg,i-1,1,5,UP,2,12,4,0,,5,1,\n"
            "tg,BACKEND,1,5,UP,1,12,4,1,5,5,1,\n\n",
     "frontend l80/FRONTEND OPEN now=2 requests=8 2xx=7 5xx=1 rtime=0\n"
     "server tg/i-1 UP now=1 requests=5 2xx=4 5xx=0 rtime=12\n"
     "backend tg/BACKEND UP now=1 requests=5 2xx=4 5xx=1 rtime=12\n",
     0},
    {"quotes hide commas", HEADER "tg,i-1,1,5,\"a,b\",2,12,4,0,,5,1,\n",
     "server tg/i-1 a,b now=1 requests=5 2xx=4 5xx=0 rtime=12\n", 0},
    {"columns may come in any order", "# type,svname,pxname\n2,s,p\n",
     "server p/s  now=0 requests=0 2xx=0 5xx=0 rtime=0\n", 0},
    {"a short line has zeros", HEADER "tg,i-1,1,5,UP,2\n",
     "server tg/i-1 UP now=1 requests=0 2xx=0 5xx=0 rtime=0\n", 0},
    {"nothing is an error", "", "", ERR_INVALID},
    {"so is another text", "Unknown command.\n", "", ERR_INVALID},
    {"and a header without types", "# pxname,svname\na,b\n", "", ERR_INVALID},
    {"and a line that has no type", HEADER "tg,i-1,1\n", "", ERR_INVALID},
};

static void rows_are_read_by_their_columns(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf text = {0};

        check_int(cases[i].says, cases[i].rc,
                  balancer_stat_parse(slice_z(cases[i].csv), note, &text, NULL));
        check_text(cases[i].says, cases[i].rows, slice_z(buf_z(&text)));
        buf_close(&text);
    }
}

static void counters_go_on_over_successors(void **state)
{
    static const struct {
        const char *says;
        bool restart;
        int64_t requests, grown;
    } steps[] = {
        {"all of it the first time", false, 5, 5},
        {"then what was added", false, 15, 10},
        {"nothing new", false, 15, 0},
        {"a successor that we know of", true, 20, 20},
        {"one that we did not see being made", false, 3, 3},
    };
    struct balancer_totals totals = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct balancer_row row = {.type = BALANCER_ROW_SERVER,
                                   .proxy = SLICE_LIT("tg"),
                                   .server = SLICE_LIT("i-1"),
                                   .counters = {.requests = steps[i].requests}};
        struct balancer_counters grown;

        if (steps[i].restart) {
            balancer_totals_restart(&totals);
        }
        balancer_totals_take(&totals, &row, &grown);
        check_int(steps[i].says, steps[i].grown, grown.requests);
    }
    balancer_totals_close(&totals);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_read_by_their_columns),
        cmocka_unit_test(counters_go_on_over_successors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
