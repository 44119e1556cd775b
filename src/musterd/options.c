#include "musterd/options.h"

#include "base/alloc.h"
#include "base/slice.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_FILE "/etc/muster.conf"
#define CONFIG_LINE_BYTES_MAX 4096
#define TIME_SCALE_MAX 100000
#define TIME_SCALE_LXC_MAX 20 /* Real containers must have real time to boot. */

typedef int take_fn(struct options *options, const char *value, struct error *err);

/* One row per option: the help text, the reading and the defaults are all made from it. */
struct option_row {
    const char *name;
    const char *argument; /* NULL: a switch, true or false in files and variables. */
    const char *otherwise;
    take_fn *take;
    const char *says;
};

static void replace(char **text, const char *value)
{
    free(*text);
    *text = mem_strdup(value);
}

static int take_state_dir(struct options *options, const char *value, struct error *err)
{
    char *here;

    if (value[0] == '/') {
        replace(&options->state_dir, value);
        return 0;
    }
    here = realpath(".", NULL);
    if (here == NULL) {
        return error_errno(err, "--state-dir %s", value);
    }
    free(options->state_dir);
    options->state_dir = mem_calloc(strlen(here) + strlen(value) + 2, 1);
    snprintf(options->state_dir, strlen(here) + strlen(value) + 2, "%s/%s", here, value);
    free(here);
    return 0;
}

static int take_listen(struct options *options, const char *value, struct error *err)
{
    struct slice text = slice_z(value);
    size_t colon = slice_find(text, ':');
    int64_t port;

    if (colon == text.bytes ||
        slice_find(slice_sub(text, colon + 1, text.bytes), ':') + colon + 1 != text.bytes ||
        text_to_i64(slice_sub(text, colon + 1, text.bytes), 0, 65535, &port, err) != 0) {
        return error_set(err, ERR_CONFIG, "--listen takes ADDRESS:PORT, not '%s'", value);
    }
    free(options->listen_address);
    options->listen_address = mem_strndup(value, colon);
    options->listen_port = (int)port;
    return 0;
}

static int take_compute(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "lxc") != 0 && strcmp(value, "sim") != 0) {
        return error_set(err, ERR_CONFIG, "--compute takes lxc or sim, not '%s'", value);
    }
    options->compute = strcmp(value, "lxc") == 0 ? COMPUTE_LXC : COMPUTE_SIM;
    return 0;
}

static int take_time_scale(struct options *options, const char *value, struct error *err)
{
    int64_t scale;

    if (text_to_i64(slice_z(value), 1, TIME_SCALE_MAX, &scale, err) != 0) {
        return error_set(err, ERR_CONFIG,
                         "--time-scale takes a whole number from 1 to %d, not '%s'", TIME_SCALE_MAX,
                         value);
    }
    options->time_scale = (int32_t)scale;
    return 0;
}

static int take_metric_resolution(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "fine") != 0 && strcmp(value, "aws") != 0) {
        return error_set(err, ERR_CONFIG, "--metric-resolution takes fine or aws, not '%s'", value);
    }
    options->metric_resolution_aws = strcmp(value, "aws") == 0;
    return 0;
}

static int take_account_id(struct options *options, const char *value, struct error *err)
{
    if (strlen(value) != 12 || strspn(value, "0123456789") != 12) {
        return error_set(err, ERR_CONFIG, "--account-id takes 12 digits, not '%s'", value);
    }
    replace(&options->account_id, value);
    return 0;
}

static int take_region(struct options *options, const char *value, struct error *err)
{
    if (value[0] == '\0' || strlen(value) > 32 ||
        strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(value)) {
        return error_set(err, ERR_CONFIG, "--region takes a name such as us-east-2, not '%s'",
                         value);
    }
    replace(&options->region, value);
    return 0;
}

static int take_vcpu_share(struct options *options, const char *value, struct error *err)
{
    double share;

    if (text_to_double(slice_z(value), &share, err) != 0 || !(share >= 0 && share <= 1)) {
        return error_set(err, ERR_CONFIG,
                         "--vcpu-share takes a part of a core above 0, at most 1, not '%s'", value);
    }
    options->vcpu_share = share;
    return 0;
}

static int take_allow_lan(struct options *options, const char *value, struct error *err)
{
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
        return error_set(err, ERR_CONFIG, "allow-lan is true or false, not '%s'", value);
    }
    options->allow_lan = strcmp(value, "true") == 0;
    return 0;
}

static int take_log_level(struct options *options, const char *value, struct error *err)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < COUNT_OF(levels); i++) {
        if (strcmp(value, levels[i]) == 0) {
            replace(&options->log_level, value);
            return 0;
        }
    }
    return error_set(err, ERR_CONFIG, "--log-level takes debug, info, warn or error, not '%s'",
                     value);
}

static const struct option_row rows[] = {
    {"state-dir", "DIR", "/var/lib/muster", take_state_dir, "where all state is kept"},
    {"listen", "ADDRESS:PORT", "127.0.0.1:4566", take_listen, "where the APIs answer; port 0: any"},
    {"compute", "lxc|sim", "lxc", take_compute,
     "real containers (under muster-warden), or a model of them"},
    {"time-scale", "N", "1", take_time_scale, "muster's clock runs N times as fast"},
    {"metric-resolution", "fine|aws", "fine", take_metric_resolution,
     "CPU metrics every 5 s, or as seldom as AWS"},
    {"account-id", "DIGITS", "000000000000", take_account_id, "the account that owns everything"},
    {"region", "NAME", "us-east-2", take_region, "the region that this daemon is"},
    {"vcpu-share", "F", "0", take_vcpu_share, "how much of a core a vCPU is; 0: min(1, cores / 8)"},
    {"allow-lan", NULL, "false", take_allow_lan, "instances may reach private networks"},
    {"log-level", "LEVEL", "info", take_log_level, "debug, info, warn or error"},
};

static const struct option_row *find_row(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (slice_equal_z(name, rows[i].name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static int take_defaults(struct options *options, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int rc = rows[i].take(options, rows[i].otherwise, err);

        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int take_line(struct options *options, struct slice line, struct error *err)
{
    struct slice text = slice_trim(slice_sub(line, 0, slice_find(line, '#')));
    size_t equals = slice_find(text, '=');
    const struct option_row *row = find_row(slice_trim(slice_sub(text, 0, equals)));
    char *value;
    int rc;

    if (text.bytes == 0) {
        return 0;
    }
    if (row == NULL || equals == text.bytes) {
        return error_set(err, ERR_CONFIG, "expected 'option = value', not '%.*s'", SLICE_ARG(text));
    }
    text = slice_trim(slice_sub(text, equals + 1, text.bytes));
    value = mem_strndup(text.data, text.bytes);
    rc = row->take(options, value, err);
    free(value);
    return rc;
}

static int take_file(struct options *options, const char *path, bool must_exist, struct error *err)
{
    FILE *file = fopen(path, "re");
    char line[CONFIG_LINE_BYTES_MAX];
    int rc = 0;

    if (file == NULL) {
        return must_exist || errno != ENOENT ? error_errno(err, "%s", path) : 0;
    }
    for (int number = 1; rc == 0 && fgets(line, sizeof(line), file) != NULL; number++) {
        rc = take_line(options, slice_z(line), err);
        if (rc != 0) {
            error_wrap(err, "%s:%d", path, number);
        }
    }
    fclose(file);
    return rc;
}

/* MUSTER_STATE_DIR and so on. */
static int take_variables(struct options *options, struct error *err)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char name[64] = "MUSTER_";
        size_t used = strlen(name);
        const char *value;
        int rc;

        for (const char *p = rows[i].name; *p != '\0' && used < sizeof(name) - 1; p++) {
            name[used++] = *p == '-' ? '_' : (char)(*p - 'a' + 'A');
        }
        value = getenv(name);
        rc = value == NULL || *value == '\0' ? 0 : rows[i].take(options, value, err);
        if (rc != 0) {
            return error_wrap(err, "%s", name);
        }
    }
    return 0;
}

/* The value of the option in argv[*index]: after '=' or the next word. */
static int argument_of(int argc, char **argv, int *index, const struct option_row *row,
                       const char **value, struct error *err)
{
    const char *equals = strchr(argv[*index], '=');

    if (row->argument == NULL) {
        *value = "true";
        return equals == NULL ? 0 : error_set(err, ERR_CONFIG, "--%s takes no value", row->name);
    }
    if (equals != NULL) {
        *value = equals + 1;
        return 0;
    }
    if (*index + 1 >= argc) {
        return error_set(err, ERR_CONFIG, "--%s needs %s", row->name, row->argument);
    }
    *value = argv[++*index];
    return 0;
}

static int take_words(struct options *options, int argc, char **argv, struct error *err)
{
    for (int i = 1; i < argc; i++) {
        struct slice word = slice_z(argv[i]);
        const struct option_row *row;
        const char *value;
        int rc;

        if (slice_equal_z(word, "--config")) {
            i++; /* Read before. */
            continue;
        }
        row = slice_starts(word, SLICE_LIT("--"))
                  ? find_row(slice_sub(word, 2, slice_find(word, '=') - 2))
                  : NULL;
        if (row == NULL) {
            return error_set(err, ERR_CONFIG, "unknown option '%s'; --help lists them", argv[i]);
        }
        rc = argument_of(argc, argv, &i, row, &value, err);
        if (rc == 0) {
            rc = row->take(options, value, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static int take_all(int argc, char **argv, struct options *options, struct error *err)
{
    const char *config = NULL;
    int rc;

    for (int i = 1; i < argc; i++) {
        options->help |= strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0;
        options->version |= strcmp(argv[i], "--version") == 0;
        if (strcmp(argv[i], "--config") == 0) {
            if (i + 1 == argc) {
                return error_set(err, ERR_CONFIG, "--config needs FILE");
            }
            config = argv[i + 1];
        }
    }
    if (options->help || options->version) {
        return 0;
    }
    rc = take_defaults(options, err);
    if (rc == 0) {
        rc = take_file(options, config == NULL ? CONFIG_FILE : config, config != NULL, err);
    }
    if (rc == 0) {
        rc = take_variables(options, err);
    }
    if (rc == 0) {
        rc = take_words(options, argc, argv, err);
    }
    if (rc == 0 && options->compute == COMPUTE_LXC && options->time_scale > TIME_SCALE_LXC_MAX) {
        rc = error_set(err, ERR_CONFIG,
                       "--time-scale is at most %d with real containers; --compute sim takes any",
                       TIME_SCALE_LXC_MAX);
    }
    return rc;
}

int options_read(int argc, char **argv, struct options *options, struct error *err)
{
    int rc;

    *options = (struct options){0};
    rc = take_all(argc, argv, options, err);
    if (rc != 0) {
        options_close(options);
    }
    return rc;
}

void options_close(struct options *options)
{
    free(options->state_dir);
    free(options->listen_address);
    free(options->account_id);
    free(options->region);
    free(options->log_level);
    *options = (struct options){0};
}

void options_help(FILE *out)
{
    fputs(
        "usage: musterd [options]\n\n"
        "muster's control plane: AWS's APIs on one machine. With real containers it is started by\n"
        "muster-warden, which takes the same options; alone it runs a model of them:\n\n"
        "  musterd --compute sim --state-dir /tmp/muster --time-scale 100\n\n",
        out);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char words[64];

        snprintf(words, sizeof(words), "--%s %s", rows[i].name,
                 rows[i].argument == NULL ? "" : rows[i].argument);
        fprintf(out, "  %-28s %s", words, rows[i].says);
        fprintf(out, rows[i].argument == NULL ? "\n" : " [%s]\n", rows[i].otherwise);
    }
    fputs("  --config FILE                'option = value' lines [" CONFIG_FILE "]\n"
          "  --help, --version\n\n"
          "Each option is also a variable: MUSTER_TIME_SCALE for --time-scale.\n",
          out);
}
