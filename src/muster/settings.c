/* Whom muster speaks to, and as whom.
 *
 * What the command line says; else what `eval "$(muster env)"` left in the environment (an endpoint
 * and keys together); else the user's own file, which run.sh made; else root's, where it can be
 * read; at last, keys of the environment alone. Keys of AWS are so never sent to a muster by
 * accident while there are better ones. */
#include "muster/settings.h"
#include "base/alloc.h"
#include "base/slice.h"
#include "muster/cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDPOINT_DEFAULT "http://127.0.0.1:4566"
#define REGION_DEFAULT "us-east-2"
#define FILE_BYTES_MAX 65536

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || value[0] == '\0' ? NULL : value;
}

char *settings_user_file(const char *home)
{
    struct buf path = {0};
    const char *config = home == NULL ? variable("XDG_CONFIG_HOME") : NULL;

    home = home == NULL ? variable("HOME") : home;
    if (config != NULL) {
        buf_printf(&path, "%s/muster/credentials", config);
    } else {
        buf_printf(&path, "%s/.config/muster/credentials", home == NULL ? "" : home);
    }
    return buf_take(&path);
}

void settings_make_folders(const char *path)
{
    char *copy = mem_strdup(path);

    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
}

char *settings_in_file(const char *path, const char *key)
{
    FILE *file = fopen(path, "re");
    struct buf text = {0};
    struct slice value;
    char *copy = NULL;

    if (file == NULL) {
        return NULL;
    }
    buf_add_z(&text, "[default]\n");
    buf_reserve(&text, FILE_BYTES_MAX);
    text.bytes += fread(text.data + text.bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    if (aws_ini_find(buf_slice(&text), SLICE_LIT("default"), key, &value) && value.bytes > 0) {
        copy = mem_strndup(value.data, value.bytes);
    }
    buf_close(&text);
    return copy;
}

static char *in_directory(const char *directory)
{
    struct buf path = {0};

    buf_printf(&path, "%s/credentials", directory);
    return buf_take(&path);
}

static int keys_of_state_dir(struct cli *cli, const char *directory, struct error *err)
{
    char *path = in_directory(directory);
    int rc = aws_keys_read(path, &cli->keys, err);

    if (rc != 0) {
        rc = ERR_CONFIG;
        if (access(path, F_OK) != 0 || access(path, R_OK) != 0) {
            rc = error_set(err, ERR_CONFIG,
                           "%s cannot be read; is muster running there, and are you who started "
                           "it (root: use sudo)?",
                           path);
        }
    }
    cli->state_dir = mem_strdup(directory);
    free(path);
    return rc;
}

static bool environment_is_whole(void)
{
    return variable("AWS_ENDPOINT_URL") != NULL && variable("AWS_ACCESS_KEY_ID") != NULL &&
           variable("AWS_SECRET_ACCESS_KEY") != NULL;
}

/* @*file: where they came from, to look for the endpoint there, too; the caller's; may be NULL. */
static int find_keys(struct cli *cli, char **file, struct error *err)
{
    const char *option = cli_option(cli, "state-dir");
    const char *state_dir = option != NULL ? option : variable("MUSTER_STATE_DIR");

    if (option != NULL || (state_dir != NULL && !environment_is_whole())) {
        return keys_of_state_dir(cli, state_dir, err);
    }
    if (environment_is_whole()) {
        return aws_keys_find(NULL, &cli->keys, err);
    }
    *file = settings_user_file(NULL);
    if (aws_keys_read(*file, &cli->keys, NULL) == 0) {
        return 0;
    }
    free(*file);
    *file = in_directory(SETTINGS_STATE_DIR);
    if (aws_keys_read(*file, &cli->keys, NULL) == 0) {
        cli->state_dir = mem_strdup(SETTINGS_STATE_DIR);
        return 0;
    }
    free(*file);
    *file = NULL;
    if (variable("AWS_ACCESS_KEY_ID") != NULL) {
        return aws_keys_find(NULL, &cli->keys, err);
    }
    *file = settings_user_file(NULL);
    return error_set(err, ERR_NOT_FOUND,
                     "no keys: there is no %s. 'sudo ./run.sh' starts muster and makes it; a "
                     "musterd of your own has them in its --state-dir",
                     *file);
}

static char *endpoint_of_listen(const char *listen)
{
    struct buf url = {0};

    buf_printf(&url, "http://%s%s", strncmp(listen, "0.0.0.0:", 8) == 0 ? "127.0.0.1" : "",
               strncmp(listen, "0.0.0.0:", 8) == 0 ? listen + 7 : listen);
    return buf_take(&url);
}

static char *find_endpoint(const struct cli *cli, const char *file)
{
    const char *said = cli_option(cli, "endpoint");
    char *found, *listen;

    said = said != NULL ? said : variable("AWS_ENDPOINT_URL");
    if (said != NULL) {
        return mem_strdup(said);
    }
    if (variable("MUSTER_LISTEN") != NULL) {
        return endpoint_of_listen(variable("MUSTER_LISTEN"));
    }
    found = file == NULL ? NULL : settings_in_file(file, "endpoint_url");
    if (found != NULL) {
        return found;
    }
    listen = settings_in_file(SETTINGS_CONFIG_FILE, "listen");
    found = listen == NULL ? mem_strdup(ENDPOINT_DEFAULT) : endpoint_of_listen(listen);
    free(listen);
    return found;
}

static char *find_region(const struct cli *cli, const char *file)
{
    const char *said = cli_option(cli, "region");
    char *found;

    if (said == NULL && environment_is_whole()) {
        said = variable("AWS_REGION") != NULL ? variable("AWS_REGION")
                                              : variable("AWS_DEFAULT_REGION");
    }
    said = said == NULL ? variable("MUSTER_REGION") : said;
    if (said != NULL) {
        return mem_strdup(said);
    }
    found = file == NULL ? NULL : settings_in_file(file, "region");
    found = found == NULL ? settings_in_file(SETTINGS_CONFIG_FILE, "region") : found;
    return found == NULL ? mem_strdup(REGION_DEFAULT) : found;
}

int cli_settings_find(struct cli *cli, struct error *err)
{
    char *file = NULL;
    struct aws_url url;
    int rc = find_keys(cli, &file, err);

    if (rc == 0) {
        size_t length;

        cli->endpoint = find_endpoint(cli, file);
        cli->region = find_region(cli, file);
        rc = aws_url_parse(cli->endpoint, &url, err);
        length = strlen(cli->endpoint);
        while (length > 0 && cli->endpoint[length - 1] == '/') {
            cli->endpoint[--length] = '\0';
        }
    }
    free(file);
    return rc;
}
