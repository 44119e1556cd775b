/* Speaking to people: lines, tables, colours, and progress in place.
 *
 * Text goes to standard output, with --json to standard error, where the result is not. Colours and
 * the moving line are for terminals only (and not with NO_COLOR or TERM=dumb); elsewhere progress
 * is plain lines for what takes longer than a second: one when it changes, one each ten seconds. */
#ifndef MUSTER_TERMINAL_H
#define MUSTER_TERMINAL_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum color { COLOR_NONE, COLOR_DIM, COLOR_BOLD, COLOR_GREEN, COLOR_YELLOW, COLOR_RED };

struct terminal {
    FILE *out;
    int fd; /* Of the stream that it had at first. */
    bool json, live, colors;
    bool timeless;       /* What is waited for has a time of its own: add none. */
    char progress[160];  /* What the moving line says; "" when there is none. */
    int64_t progress_ms; /* Since when; boot clock. */
    int64_t progress_told_ms;
    unsigned spin;
    char *screen; /* What will be shown. */
    size_t screen_bytes;
    bool on_screen;
};

void terminal_open(struct terminal *terminal, bool json);

/* What others wrote must not steer a terminal: colours go, other control characters but tabs and
 * ends of lines become '?'. @text, of @bytes and a NUL, may get shorter; how long it is then. All
 * that is said below is tamed; what is printed otherwise is not. */
size_t terminal_tame(char *text, size_t bytes);

/* A line of text; printf-like. */
void terminal_say(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);
/* "✓ text", "✗ text", "· text", and a bold heading. */
void terminal_good(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);
void terminal_bad(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);
void terminal_note(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);
void terminal_head(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);

/* Say what we wait for; call it often. The time waited is added after a second. */
void terminal_progress(struct terminal *terminal, const char *format, ...) PRINTF_LIKE(2, 3);
/* Still waiting for the same. */
void terminal_turn(struct terminal *terminal);
/* The waiting is over; what follows prints on a clean line. The others do this, too. */
void terminal_clear(struct terminal *terminal);

/* A whole screen at a time, for what is told over and over: what is said between begin and end is
 * shown at once, as far as it fits. Between the first begin and leave nothing else is on the
 * screen. Only when live. */
void terminal_screen_begin(struct terminal *terminal);
void terminal_screen_end(struct terminal *terminal);
void terminal_screen_leave(struct terminal *terminal);

/* Green for what is well ("InService", "healthy"), red for what failed, else yellow. */
enum color terminal_color_of(const char *state);

/* Tables: cells by rows, then printed with each column as wide as its widest cell. */
#define TABLE_COLUMNS_MAX 10
struct table {
    struct cell {
        char *text;
        enum color color;
    } * cells;
    size_t count, room;
    size_t columns;
};
void table_cell(struct table *table, enum color color, const char *format, ...) PRINTF_LIKE(3, 4);
/* Print with @indent blanks before each line, and free. The last column may be long. */
void table_print(struct table *table, struct terminal *terminal, int indent);
/* Free it unprinted. */
void table_free(struct table *table);

/* How many columns @text takes, as UTF-8 of narrow characters. */
size_t terminal_width(const char *text);

#endif /* MUSTER_TERMINAL_H */
