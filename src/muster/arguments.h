/* The command line of muster: a command, its options, its words.
 *
 * A command is a row (commands.c); help, parsing and completion are made from it. Options may stand
 * before or after the command, as --name VALUE or --name=VALUE; after "--" everything is a word.
 * Texts are borrowed from argv. */
#ifndef MUSTER_ARGUMENTS_H
#define MUSTER_ARGUMENTS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define ARGUMENTS_MAX 256 /* Options and words of one call; more is refused. */

struct cli; /* muster/cli.h */

struct option_row {
    const char *name;     /* Without dashes; NULL ends a table. */
    const char *argument; /* What it takes, "TIME"; NULL: a switch. */
    const char *says;
};

/* What every command takes. */
extern const struct option_row arguments_common[];

struct command {
    const char *name;
    const char *words;   /* For the usage line: "INSTANCE -- COMMAND...". */
    const char *says;    /* One line. */
    const char *details; /* What more there is to know; may be "". */
    const char *examples;
    const struct option_row *options; /* Its own; NULL: none. */
    int words_min, words_max;
    bool offline; /* Needs no daemon: run without a session. */
    int (*run)(struct cli *cli, struct error *err);
};

struct arguments {
    const struct command *command; /* NULL: none given, or only help or version asked for. */
    struct {
        const char *name, *value; /* A switch has "". */
    } options[ARGUMENTS_MAX];
    size_t option_count;
    const char *words[ARGUMENTS_MAX + 1]; /* Ends with NULL. */
    size_t word_count;
    bool help, version;
};

/* ERR_CONFIG says what is wrong with which word. @commands ends with NULL. */
int arguments_parse(int argc, char *const *argv, const struct command *const *commands,
                    struct arguments *arguments, struct error *err);

/* The last value given; NULL if none was. */
const char *arguments_option(const struct arguments *arguments, const char *name);
/* The next value of a repeated option: start with *@at = 0; NULL at the end. */
const char *arguments_next(const struct arguments *arguments, const char *name, size_t *at);

void arguments_help_all(const struct command *const *commands, FILE *out);
void arguments_help(const struct command *command, FILE *out);

#endif /* MUSTER_ARGUMENTS_H */
