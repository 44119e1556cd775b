/* muster completion: what a shell needs to complete muster's command lines, from its own tables. */
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/ssm.h"

#include <string.h>

/* "--name --json " */
static void add_options(struct buf *out, const struct option_row *rows, bool with_argument)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (!with_argument || rows->argument != NULL) {
            buf_printf(out, "--%s ", rows->name);
        }
    }
}

/* What stands at the first word's place. */
static const char *first_word(const struct command *command)
{
    static const struct {
        const char *words, *function;
    } rows[] = {
        {"INSTANCE", "_muster_instances"},
        {"[FILE]", "_muster_files"},
        {"USER", "_muster_users"},
        {"WHAT", "_muster_shells"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strncmp(command->words, rows[i].words, strlen(rows[i].words)) == 0) {
            return rows[i].function;
        }
    }
    return ":";
}

static const char head[] =
    "# bash completion for muster; made by `muster completion bash`.\n"
    "_muster_instances() { COMPREPLY=($(compgen -W \"$(muster completion instances 2> /dev/null)\" "
    "-- \"$cur\")); }\n"
    "_muster_files() { COMPREPLY=($(compgen -f -- \"$cur\")); }\n"
    "_muster_users() { COMPREPLY=($(compgen -u -- \"$cur\")); }\n"
    "_muster_shells() { COMPREPLY=($(compgen -W 'bash instances' -- \"$cur\")); }\n"
    "\n"
    "_muster() {\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}\n"
    "    local command= word options= first=: count=0 skip= i\n"
    "    COMPREPLY=()\n";

static const char tail[] = "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                           "        word=${COMP_WORDS[i]}\n"
                           "        if [[ $word == -- ]]; then return; fi\n"
                           "        if [[ -n $skip ]]; then skip=; continue; fi\n"
                           "        if [[ $word == -* ]]; then\n"
                           "            [[ \" $valued \" != *\" $word \"* ]] || skip=1\n"
                           "        elif [[ -z $command ]]; then\n"
                           "            command=$word\n"
                           "        else\n"
                           "            count=$((count + 1))\n"
                           "        fi\n"
                           "    done\n"
                           "    case $prev in\n"
                           "    --state-dir) compopt -o dirnames; return ;;\n"
                           "    --candidate) compopt -o default; return ;;\n"
                           "    esac\n"
                           "    [[ -z $skip ]] || return\n"
                           "    case $command in\n";

static void print_bash(void)
{
    struct buf out = {0};

    buf_add_z(&out, head);
    buf_add_z(&out, "    local common='");
    add_options(&out, arguments_common, false);
    buf_add_z(&out, "' valued='");
    add_options(&out, arguments_common, true);
    for (size_t i = 0; commands[i] != NULL; i++) {
        add_options(&out, commands[i]->options, true);
    }
    buf_add_z(&out, "'\n");
    buf_add_z(&out, tail);
    buf_add_z(&out, "    '') options='");
    for (size_t i = 0; commands[i] != NULL; i++) {
        buf_printf(&out, "%s ", commands[i]->name);
    }
    buf_add_z(&out, "help' ;;\n");
    for (size_t i = 0; commands[i] != NULL; i++) {
        buf_printf(&out, "    %s) options='", commands[i]->name);
        add_options(&out, commands[i]->options, false);
        buf_printf(&out, "' first=%s ;;\n", first_word(commands[i]));
    }
    buf_add_z(&out, "    esac\n"
                    "    if [[ -n $command && $cur != -* ]]; then\n"
                    "        [[ $count -gt 0 ]] || $first\n"
                    "        return\n"
                    "    fi\n"
                    "    [[ $cur != -* ]] || options=\"$options $common\"\n"
                    "    COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
                    "}\n"
                    "complete -F _muster muster\n");
    fputs(buf_z(&out), stdout);
    buf_close(&out);
}

static int print_instances(struct cli *cli, struct error *err)
{
    json_t *instances = NULL, *row;
    size_t i;
    int rc = cli_open(cli, err);

    if (rc == 0) {
        rc = ssm_list_instances(cli, &instances, err);
    }
    json_array_foreach(instances, i, row)
    {
        puts(tree_text(row, "instanceId"));
    }
    json_decref(instances);
    cli_close(cli);
    return rc;
}

static int run(struct cli *cli, struct error *err)
{
    const char *what = cli->arguments.words[0];

    if (strcmp(what, "instances") == 0) {
        return print_instances(cli, err);
    }
    if (strcmp(what, "bash") != 0) {
        return error_set(err, ERR_CONFIG, "there is completion for bash, not for '%s'", what);
    }
    print_bash();
    return 0;
}

const struct command completion_command = {
    .name = "completion",
    .words = "WHAT",
    .says = "Print what a shell needs to complete muster's command lines",
    .details = "WHAT is bash: a script to be sourced (an installed muster has it in place); or\n"
               "instances: the ids that there are.\n",
    .examples = "  source <(muster completion bash)\n",
    .words_min = 1,
    .words_max = 1,
    .offline = true,
    .run = run,
};
