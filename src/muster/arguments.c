#include "muster/arguments.h"

#include "base/slice.h"

#include <string.h>

const struct option_row arguments_common[] = {
    {"json", NULL, "print the result as JSON; progress goes to standard error"},
    {"state-dir", "DIR", "take root's keys from DIR/credentials ($MUSTER_STATE_DIR)"},
    {"endpoint", "URL", "where muster answers ($AWS_ENDPOINT_URL)"},
    {"region", "NAME", "the daemon's region ($AWS_REGION)"},
    {"help", NULL, "say how the command is used"},
    {NULL, NULL, NULL},
};

static const struct option_row *find_in(const struct option_row *rows, struct slice name)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        if (slice_equal_z(name, rows->name)) {
            return rows;
        }
    }
    return NULL;
}

static const struct option_row *find_option(const struct command *command, struct slice name)
{
    const struct option_row *row = find_in(arguments_common, name);

    return row != NULL || command == NULL ? row : find_in(command->options, name);
}

static const struct command *find_command(const struct command *const *commands, const char *name)
{
    for (; *commands != NULL; commands++) {
        if (strcmp((*commands)->name, name) == 0) {
            return *commands;
        }
    }
    return NULL;
}

static int take_option(int argc, char *const *argv, int *index, struct arguments *arguments,
                       struct error *err)
{
    struct slice text = slice_sub(slice_z(argv[*index]), 2, strlen(argv[*index]));
    size_t equals = slice_find(text, '=');
    const struct option_row *row = find_option(arguments->command, slice_sub(text, 0, equals));
    const char *value = "";

    if (row == NULL) {
        return error_set(err, ERR_CONFIG, "muster%s%s has no option '--%.*s'",
                         arguments->command == NULL ? "" : " ",
                         arguments->command == NULL ? "" : arguments->command->name, (int)equals,
                         text.data);
    }
    if (row->argument == NULL && equals < text.bytes) {
        return error_set(err, ERR_CONFIG, "--%s takes no value", row->name);
    }
    if (row->argument != NULL) {
        if (equals == text.bytes && *index + 1 >= argc) {
            return error_set(err, ERR_CONFIG, "--%s needs %s", row->name, row->argument);
        }
        value = equals < text.bytes ? text.data + equals + 1 : argv[++*index];
    }
    if (arguments->option_count == ARGUMENTS_MAX) {
        return error_set(err, ERR_CONFIG, "more than %d options", ARGUMENTS_MAX);
    }
    arguments->help |= strcmp(row->name, "help") == 0;
    arguments->options[arguments->option_count].name = row->name;
    arguments->options[arguments->option_count++].value = value;
    return 0;
}

static int take_word(const char *word, const struct command *const *commands, bool verbatim,
                     struct arguments *arguments, struct error *err)
{
    if (arguments->command == NULL && !verbatim) {
        if (strcmp(word, "help") == 0 && !arguments->help) {
            arguments->help = true;
            return 0;
        }
        arguments->command = find_command(commands, word);
        return arguments->command != NULL
                   ? 0
                   : error_set(err, ERR_CONFIG, "there is no command '%s'", word);
    }
    if (arguments->word_count == ARGUMENTS_MAX) {
        return error_set(err, ERR_CONFIG, "more than %d words", ARGUMENTS_MAX);
    }
    arguments->words[arguments->word_count++] = word;
    return 0;
}

static int check_words(const struct arguments *arguments, struct error *err)
{
    const struct command *command = arguments->command;
    int count = (int)arguments->word_count;

    if (count < command->words_min) {
        return error_set(err, ERR_CONFIG, "muster %s needs %s", command->name, command->words);
    }
    if (count > command->words_max) {
        return error_set(err, ERR_CONFIG, "'%s' is too much", arguments->words[command->words_max]);
    }
    return 0;
}

int arguments_parse(int argc, char *const *argv, const struct command *const *commands,
                    struct arguments *arguments, struct error *err)
{
    bool verbatim = false;

    *arguments = (struct arguments){0};
    for (int i = 1; i < argc; i++) {
        int rc = 0;

        if (verbatim || argv[i][0] != '-' || argv[i][1] == '\0') {
            rc = take_word(argv[i], commands, verbatim, arguments, err);
        } else if (strcmp(argv[i], "--") == 0) {
            verbatim = true;
        } else if (strcmp(argv[i], "-h") == 0) {
            arguments->help = true;
        } else if (strcmp(argv[i], "--version") == 0 && arguments->command == NULL) {
            arguments->version = true;
        } else if (argv[i][1] == '-') {
            rc = take_option(argc, argv, &i, arguments, err);
        } else {
            rc = error_set(err, ERR_CONFIG, "there is no option '%s'", argv[i]);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (arguments->help || arguments->version) {
        return 0;
    }
    if (arguments->command == NULL) {
        return error_set(err, ERR_CONFIG, "a command is missing");
    }
    return check_words(arguments, err);
}

const char *arguments_option(const struct arguments *arguments, const char *name)
{
    const char *value = NULL;

    for (size_t i = 0; i < arguments->option_count; i++) {
        if (strcmp(arguments->options[i].name, name) == 0) {
            value = arguments->options[i].value;
        }
    }
    return value;
}

const char *arguments_next(const struct arguments *arguments, const char *name, size_t *at)
{
    while (*at < arguments->option_count) {
        size_t i = (*at)++;

        if (strcmp(arguments->options[i].name, name) == 0) {
            return arguments->options[i].value;
        }
    }
    return NULL;
}

static void print_options(const struct option_row *rows, FILE *out)
{
    for (; rows != NULL && rows->name != NULL; rows++) {
        char words[64];

        snprintf(words, sizeof(words), "--%s%s%s", rows->name, rows->argument == NULL ? "" : " ",
                 rows->argument == NULL ? "" : rows->argument);
        fprintf(out, "  %-22s %s\n", words, rows->says);
    }
}

void arguments_help_all(const struct command *const *commands, FILE *out)
{
    fputs("usage: muster COMMAND [options]\n\n"
          "AWS Auto Scaling for real, on this machine.\n\n",
          out);
    for (; *commands != NULL; commands++) {
        fprintf(out, "  %-10s %s\n", (*commands)->name, (*commands)->says);
    }
    fputs("\n'muster COMMAND --help' says more. Every command takes:\n", out);
    print_options(arguments_common, out);
    fputs("\nExamples:\n"
          "  muster up\n"
          "  muster status\n"
          "  muster stress --for 6m\n"
          "  eval \"$(muster env)\"\n"
          "\nExit status: 0 done, 1 failed, 2 wrong usage. NO_COLOR turns colours off.\n",
          out);
}

void arguments_help(const struct command *command, FILE *out)
{
    fprintf(out, "usage: muster %s%s%s [options]\n\n%s.\n", command->name,
            command->words[0] == '\0' ? "" : " ", command->words, command->says);
    if (command->details[0] != '\0') {
        fprintf(out, "\n%s", command->details);
    }
    fputs("\nOptions:\n", out);
    print_options(command->options, out);
    print_options(arguments_common, out);
    fprintf(out, "\nExamples:\n%s", command->examples);
}
