#include "candidate/options.h"

#include "base/slice.h"
#include "base/text.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_DEFAULT "Candidates"
#define REQUESTS_MAX_DEFAULT 1024
#define DRAIN_MS_DEFAULT 1000

enum {
    OPTION_ADDRESS = 256,
    OPTION_PORT,
    OPTION_METRICS_PORT,
    OPTION_TABLE,
    OPTION_REQUESTS_MAX,
    OPTION_DRAIN_MS,
    OPTION_NO_ACCESS_LOG,
    OPTION_LOG_LEVEL,
    OPTION_HELP,
    OPTION_VERSION,
};

static const struct option rows[] = {
    {"address", required_argument, NULL, OPTION_ADDRESS},
    {"port", required_argument, NULL, OPTION_PORT},
    {"metrics-port", required_argument, NULL, OPTION_METRICS_PORT},
    {"table", required_argument, NULL, OPTION_TABLE},
    {"requests-max", required_argument, NULL, OPTION_REQUESTS_MAX},
    {"drain-ms", required_argument, NULL, OPTION_DRAIN_MS},
    {"no-access-log", no_argument, NULL, OPTION_NO_ACCESS_LOG},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"help", no_argument, NULL, OPTION_HELP},
    {"version", no_argument, NULL, OPTION_VERSION},
    {0},
};

void options_print_help(void)
{
    printf("usage: candidate [options]\n"
           "\n"
           "Keeps candidates in a DynamoDB table and serves them over HTTP.\n"
           "\n"
           "  --table NAME        the table; else $TC_DYNAMO_TABLE, else " TABLE_DEFAULT "\n"
           "  --address ADDRESS   where to listen (default 0.0.0.0)\n"
           "  --port N            of the service (default 8000; 0: any)\n"
           "  --metrics-port N    of Prometheus' /metrics (default 9000; 0: any; off)\n"
           "  --requests-max N    that may wait for the table; more get 503 (default %d)\n"
           "  --drain-ms N        after SIGTERM, how long new clients are served (default %d)\n"
           "  --no-access-log     no line per request on standard output\n"
           "  --log-level LEVEL   debug, info, warn or error (default info)\n"
           "  --help, --version\n"
           "\n"
           "Region, credentials and endpoint are found as by any AWS SDK: AWS_REGION,\n"
           "AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL, ~/.aws, the instance's role.\n"
           "\n"
           "Examples:\n"
           "  candidate\n"
           "  AWS_ENDPOINT_URL=http://127.0.0.1:4566 candidate --port 8001 --metrics-port off\n"
           "  curl -X POST http://127.0.0.1:8000/candidate/ada\n"
           "  curl http://127.0.0.1:8000/candidate/ada\n"
           "  curl 'http://127.0.0.1:8000/gtg?details'\n",
           REQUESTS_MAX_DEFAULT, DRAIN_MS_DEFAULT);
}

static int take_number(const char *name, const char *text, int64_t max, int64_t *number,
                       struct error *err)
{
    if (text_to_i64(slice_z(text), 0, max, number, NULL) != 0) {
        return error_set(err, ERR_CONFIG, "--%s takes a number up to %lld, not '%s'", name,
                         (long long)max, text);
    }
    return 0;
}

static int take_port(const char *name, const char *text, int *port, struct error *err)
{
    int64_t number;
    int rc = take_number(name, text, 65535, &number, err);

    if (rc == 0) {
        *port = (int)number;
    }
    return rc;
}

static int take(int option, const char *value, struct options *options, struct error *err)
{
    switch (option) {
    case OPTION_ADDRESS:
        options->address = value;
        return 0;
    case OPTION_PORT:
        return take_port("port", value, &options->port, err);
    case OPTION_METRICS_PORT:
        if (strcmp(value, "off") == 0) {
            options->metrics_port = -1;
            return 0;
        }
        return take_port("metrics-port", value, &options->metrics_port, err);
    case OPTION_TABLE:
        options->table = value;
        return 0;
    case OPTION_REQUESTS_MAX:
        return take_number("requests-max", value, 100000, &options->requests_max, err);
    case OPTION_DRAIN_MS:
        return take_number("drain-ms", value, 600000, &options->drain_ms, err);
    case OPTION_NO_ACCESS_LOG:
        options->access_log = false;
        return 0;
    case OPTION_LOG_LEVEL:
        options->log_level = value;
        return 0;
    default:
        return error_set(err, ERR_CONFIG, "unknown option, or its value is missing");
    }
}

int options_parse(int argc, char *const *argv, struct options *options,
                  enum options_verdict *verdict, struct error *err)
{
    const char *table = getenv("TC_DYNAMO_TABLE");
    int option;

    *options = (struct options){.address = "0.0.0.0",
                                .table = table == NULL || table[0] == '\0' ? TABLE_DEFAULT : table,
                                .log_level = "info",
                                .port = 8000,
                                .metrics_port = 9000,
                                .requests_max = REQUESTS_MAX_DEFAULT,
                                .drain_ms = DRAIN_MS_DEFAULT,
                                .access_log = true};
    *verdict = OPTIONS_RUN;
    optind = 0; /* Start anew, for tests. */
    opterr = 0;
    while ((option = getopt_long(argc, argv, "h", rows, NULL)) != -1) {
        int rc = 0;

        if (option == OPTION_HELP || option == 'h') {
            *verdict = OPTIONS_HELP;
            return 0;
        }
        if (option == OPTION_VERSION) {
            *verdict = OPTIONS_VERSION;
            return 0;
        }
        rc = take(option, optarg, options, err);
        if (rc == ERR_CONFIG && option == '?') {
            return error_set(err, ERR_CONFIG, "'%s' is no option, or lacks its value",
                             argv[optind - 1]);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (optind < argc) {
        return error_set(err, ERR_CONFIG, "'%s' is too much: there are only options", argv[optind]);
    }
    return 0;
}
