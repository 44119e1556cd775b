/* The pure parts of the command line: words and options, spans of time, reading answers. */
#include "muster/arguments.h"
#include "muster/duration.h"
#include "muster/terminal.h"
#include "muster/tree.h"

#include "check.h"

static const struct option_row go_options[] = {
    {"for", "TIME", "how long"},
    {"quick", NULL, "no waits"},
    {NULL, NULL, NULL},
};
static const struct command go = {.name = "go",
                                  .words = "WHERE [WHAT]",
                                  .says = "Go",
                                  .details = "",
                                  .examples = "",
                                  .options = go_options,
                                  .words_min = 1,
                                  .words_max = 2};
static const struct command stay = {
    .name = "stay", .words = "", .says = "Stay", .details = "", .examples = ""};
static const struct command *const both[] = {&go, &stay, NULL};

#define WORDS_MAX 8

/* @line is cut at blanks; its pieces live until the next call. */
static int parse(const char *line, struct arguments *arguments, struct error *err)
{
    static char room[128];
    char *argv[WORDS_MAX + 1] = {(char *)(uintptr_t) "muster"};
    int argc = 1;

    snprintf(room, sizeof(room), "%s", line);
    for (char *at = room; *at != '\0' && argc < WORDS_MAX;) {
        argv[argc++] = at;
        at += strcspn(at, " ");
        if (*at == ' ') {
            *at++ = '\0';
        }
    }
    return arguments_parse(argc, argv, both, arguments, err);
}

static void wrong_words_are_named(void **state)
{
    static const struct {
        const char *says, *words, *message;
    } cases[] = {
        {"no command", "", "a command is missing"},
        {"an unknown one", "fly", "there is no command 'fly'"},
        {"too few words", "go", "muster go needs WHERE [WHAT]"},
        {"too many words", "go a b c", "'c' is too much"},
        {"none where none belong", "stay here", "'here' is too much"},
        {"an unknown option", "go a --slow", "muster go has no option '--slow'"},
        {"another command's option", "stay --quick", "muster stay has no option '--quick'"},
        {"a value for a switch", "go a --quick=1", "--quick takes no value"},
        {"an option without its value", "go a --for", "--for needs TIME"},
        {"a short option", "go -x", "there is no option '-x'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arguments arguments;
        struct error err = {0};

        check_int(cases[i].says, ERR_CONFIG, parse(cases[i].words, &arguments, &err));
        check_text(cases[i].says, cases[i].message, slice_z(err.message));
    }
}

static void options_stand_anywhere(void **state)
{
    static const char *const orders[] = {
        "go a --for 6m --json", "--json go --for=6m a",
        "go --for 1m a --json --for 6m", /* The last one counts. */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct arguments arguments;
        struct error err = {0};

        check_int("parsed", 0, parse(orders[i], &arguments, &err));
        check_int("the command", 1, arguments.command == &go);
        check_int("one word", 1, (int64_t)arguments.word_count);
        check_text("the word", "a", slice_z(arguments.words[0]));
        check_text("the value", "6m", slice_z(arguments_option(&arguments, "for")));
        check_int("the switch", 1, arguments_option(&arguments, "json") != NULL);
        check_int("what was not given", 1, arguments_option(&arguments, "quick") == NULL);
    }
}

static void all_is_a_word_after_two_dashes(void **state)
{
    struct arguments arguments;

    (void)state;
    check_int("parsed", 0, parse("go a -- --for", &arguments, NULL));
    check_int("two words", 2, (int64_t)arguments.word_count);
    check_text("as it was", "--for", slice_z(arguments.words[1]));
}

static void repeated_options_come_in_order(void **state)
{
    struct arguments arguments;
    size_t at = 0;

    (void)state;
    check_int("parsed", 0, parse("go a --for 1 --quick --for 2", &arguments, NULL));
    check_text("first", "1", slice_z(arguments_next(&arguments, "for", &at)));
    check_text("second", "2", slice_z(arguments_next(&arguments, "for", &at)));
    check_int("no more", 1, arguments_next(&arguments, "for", &at) == NULL);
}

static void help_needs_nothing_else(void **state)
{
    static const char *const calls[] = {"--help", "-h", "help", "go --help", "help go", "go -h a"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        struct arguments arguments;

        check_int(calls[i], 0, parse(calls[i], &arguments, NULL));
        check_int(calls[i], 1, arguments.help);
        check_int("of the command", i >= 3, arguments.command == &go);
    }
}

static void durations_follow_the_table(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: it is none. */
    } cases[] = {
        {"90s", 90000}, {"6m", 360000},      {"1h30m", 5400000}, {"1h5s", 3605000},
        {"45", 45000},  {"168h", 604800000}, {"", -1},           {"0", -1},
        {"0s", -1},     {"m", -1},           {"6x", -1},         {"6m6m", -1},
        {"5s1h", -1},   {"1.5h", -1},        {"-5s", -1},        {"+5", -1},
        {" 5s", -1},    {"5 s", -1},         {"169h", -1},       {"9999999999999999999s", -1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t ms = -1;

        check_int(cases[i].text, cases[i].ms < 0 ? ERR_INVALID : 0,
                  duration_parse(cases[i].text, &ms, NULL));
        check_int(cases[i].text, cases[i].ms, ms);
    }
}

static void durations_read_well(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {-5, "0 s"},
        {999, "0 s"},
        {59999, "59 s"},
        {60000, "1 min 00 s"},
        {245000, "4 min 05 s"},
        {3600000, "1 h 00 min"},
        {5400000, "1 h 30 min"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[DURATION_TEXT_BYTES];

        duration_format(cases[i].ms, text);
        check_text(cases[i].text, cases[i].text, slice_z(text));
    }
}

static void trees_give_what_is_there(void **state)
{
    json_t *tree =
        json_loads("{\"State\":{\"Code\":\"active\"},\"Count\":\"7\",\"Real\":1.5,\"List\":"
                   "[{\"Key\":\"Name\",\"Value\":\"web\"},{\"key\":\"k\",\"value\":\"v\"}]}",
                   0, NULL);
    json_t *list = tree_list(tree, "List");

    (void)state;
    check_text("below a name", "active", slice_z(tree_text(tree, "State.Code")));
    check_text("nothing there", "", slice_z(tree_text(tree, "State.Reason.Text")));
    check_text("of nothing", "", slice_z(tree_text(NULL, "State")));
    check_int("a number in text", 7, tree_int(tree, "Count", -1));
    check_int("no number", -1, tree_int(tree, "State", -1));
    check_int("a fraction", 15, (int64_t)(tree_double(tree, "Real", 0) * 10));
    check_int("no list", 1, tree_list(tree, "Count") == NULL);
    check_int("is", 1, tree_is(tree, "State.Code", "active"));
    check_text("found", "web", slice_z(tree_text(tree_find(list, "Key", "Name"), "Value")));
    check_int("not found", 1, tree_find(list, "Key", "Nome") == NULL);
    check_text("a tag", "web", slice_z(tree_tag(list, "Name")));
    check_text("as ec2 writes it", "v", slice_z(tree_tag(list, "k")));
    check_text("no such tag", "", slice_z(tree_tag(list, "x")));
    json_decref(tree);
}

static void nothing_steers_a_terminal(void **state)
{
    static const struct {
        const char *given, *shown;
    } cases[] = {
        {"plain \xe2\x9c\x93 text\n\tand\r\n", "plain \xe2\x9c\x93 text\n\tand\r\n"},
        {"\033[0;32m  OK  \033[0m done\033[m", "  OK   done"},
        {"\033]0;title\007", "?]0;title?"},
        {"\033[2J\033[1;1H\033[12", "?[2J?[1;1H?[12"},
        {"\r\b\x7f\033", "????"},
        {"\xc2\x9b"
         "31m\xc2\xa0\xc2",
         "?31m\xc2\xa0\xc2"},
        {"", ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[64];
        size_t bytes;

        snprintf(text, sizeof(text), "%s", cases[i].given);
        bytes = terminal_tame(text, strlen(text));
        check_text(cases[i].given, cases[i].shown, slice_of(text, bytes));
        check_int(cases[i].given, strlen(text), bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_are_named),
        cmocka_unit_test(options_stand_anywhere),
        cmocka_unit_test(all_is_a_word_after_two_dashes),
        cmocka_unit_test(repeated_options_come_in_order),
        cmocka_unit_test(help_needs_nothing_else),
        cmocka_unit_test(durations_follow_the_table),
        cmocka_unit_test(durations_read_well),
        cmocka_unit_test(trees_give_what_is_there),
        cmocka_unit_test(nothing_steers_a_terminal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
