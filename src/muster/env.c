/* muster env: what makes any AWS tool speak to this muster. */
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/ssm.h"

#include <stdlib.h>
#include <string.h>

static void add_export(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "export %s=", name);
    ssm_quote(out, value);
    buf_add_byte(out, '\n');
}

/* @list with the loopback addresses, where load balancers and instances are, too. */
static char *without_proxy(const char *list)
{
    static const char *const wanted[] = {"127.0.0.1", "127.0.0.0/8"};
    struct buf text = {0};

    buf_add_z(&text, list == NULL ? "" : list);
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        struct slice rest = slice_z(list), part;
        bool there = false;

        while (slice_next(&rest, ',', &part)) {
            there |= slice_equal_z(slice_trim(part), wanted[i]);
        }
        if (!there) {
            buf_printf(&text, "%s%s", text.bytes == 0 ? "" : ",", wanted[i]);
        }
    }
    return buf_take(&text);
}

/* AWS CLI before 2.13 does not know AWS_ENDPOINT_URL. Asked once a shell, not once a call. */
static const char function[] =
    "aws() {\n"
    "    if [ -z \"${MUSTER_AWS_CLI-}\" ]; then\n"
    "        case \"$(command aws --version 2>&1)\" in\n"
    "        aws-cli/1.* | aws-cli/2.[0-9].* | aws-cli/2.1[0-2].*) MUSTER_AWS_CLI=old ;;\n"
    "        *) MUSTER_AWS_CLI=new ;;\n"
    "        esac\n"
    "    fi\n"
    "    if [ \"$MUSTER_AWS_CLI\" = old ] && [ -n \"${AWS_ENDPOINT_URL-}\" ]; then\n"
    "        command aws --endpoint-url \"$AWS_ENDPOINT_URL\" \"$@\"\n"
    "    else\n"
    "        command aws \"$@\"\n"
    "    fi\n"
    "}\n";

static int run(struct cli *cli, struct error *err)
{
    const char *given = getenv("NO_PROXY");
    char *no_proxy = without_proxy(given != NULL ? given : getenv("no_proxy"));
    struct buf out = {0};

    (void)err;
    if (cli->terminal.json) {
        json_t *all = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "AWS_ENDPOINT_URL", cli->endpoint,
                                "AWS_ACCESS_KEY_ID", cli->keys.access_key, "AWS_SECRET_ACCESS_KEY",
                                cli->keys.secret, "AWS_REGION", cli->region, "AWS_DEFAULT_REGION",
                                cli->region, "NO_PROXY", no_proxy);

        if (cli->keys.token != NULL) {
            json_object_set_new(all, "AWS_SESSION_TOKEN", json_string(cli->keys.token));
        }
        free(no_proxy);
        return cli_result(cli, all);
    }
    add_export(&out, "AWS_ENDPOINT_URL", cli->endpoint);
    add_export(&out, "AWS_ACCESS_KEY_ID", cli->keys.access_key);
    add_export(&out, "AWS_SECRET_ACCESS_KEY", cli->keys.secret);
    if (cli->keys.token != NULL) {
        add_export(&out, "AWS_SESSION_TOKEN", cli->keys.token);
        buf_add_z(&out, "unset AWS_PROFILE\n");
    } else {
        buf_add_z(&out, "unset AWS_PROFILE AWS_SESSION_TOKEN\n");
    }
    add_export(&out, "AWS_REGION", cli->region);
    add_export(&out, "AWS_DEFAULT_REGION", cli->region);
    add_export(&out, "NO_PROXY", no_proxy);
    add_export(&out, "no_proxy", no_proxy);
    buf_add_z(&out, function);
    fputs(buf_z(&out), stdout);
    buf_close(&out);
    free(no_proxy);
    return 0;
}

const struct command env_command = {
    .name = "env",
    .words = "",
    .says = "Print shell commands that make any AWS tool speak to this muster",
    .details =
        "For sh, bash and zsh. It holds a secret key: eval it, do not show it. The function\n"
        "aws() is for AWS CLIs before 2.13, which do not know AWS_ENDPOINT_URL.\n",
    .examples =
        "  eval \"$(muster env)\"\n"
        "  aws ec2 describe-instances\n"
        "  eval \"$(muster env --state-dir /tmp/muster --endpoint http://127.0.0.1:4599)\"\n",
    .run = run,
};
