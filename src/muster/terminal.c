#include "muster/terminal.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "muster/duration.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define AGAIN_MS 10000  /* On a non-terminal, how often the same progress is told. */
#define ELAPSED_MS 1000 /* From when on the time waited is shown. */
#define COLUMNS_DEFAULT 100

static const char *const sequences[] = {
    [COLOR_NONE] = "",          [COLOR_DIM] = "\033[2m",     [COLOR_BOLD] = "\033[1m",
    [COLOR_GREEN] = "\033[32m", [COLOR_YELLOW] = "\033[33m", [COLOR_RED] = "\033[31m",
};

void terminal_open(struct terminal *terminal, bool json)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool dumb = term == NULL || strcmp(term, "dumb") == 0;

    *terminal = (struct terminal){.out = json ? stderr : stdout, .json = json};
    terminal->fd = fileno(terminal->out);
    terminal->live = isatty(terminal->fd) == 1 && !dumb;
    terminal->colors = terminal->live && (no_color == NULL || no_color[0] == '\0');
}

/* How long the sequence "ESC [ 1 ; 31 m" at @text is; 0 when it is none. */
static size_t color_bytes(const char *text, size_t bytes)
{
    size_t i = 2;

    if (bytes < 3 || text[0] != '\033' || text[1] != '[') {
        return 0;
    }
    while (i < bytes && strchr("0123456789;", text[i]) != NULL && text[i] != '\0') {
        i++;
    }
    return i < bytes && text[i] == 'm' ? i + 1 : 0;
}

size_t terminal_tame(char *text, size_t bytes)
{
    size_t to = 0;

    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte = (unsigned char)text[i];
        size_t color = color_bytes(text + i, bytes - i);

        if (color > 0) {
            i += color - 1;
        } else if (byte == 0xc2 && i + 1 < bytes && ((unsigned char)text[i + 1] & 0xe0) == 0x80) {
            text[to++] = '?'; /* U+0080 to U+009F steer as well. */
            i++;
        } else if ((byte < ' ' && byte != '\n' && byte != '\t' &&
                    !(byte == '\r' && i + 1 < bytes && text[i + 1] == '\n')) ||
                   byte == 0x7f) {
            text[to++] = '?';
        } else {
            text[to++] = text[i];
        }
    }
    text[to] = '\0';
    return to;
}

static void paint(const struct terminal *terminal, enum color color)
{
    if (terminal->colors) {
        fputs(sequences[color], terminal->out);
    }
}

static void unpaint(const struct terminal *terminal, enum color color)
{
    if (terminal->colors && color != COLOR_NONE) {
        fputs("\033[0m", terminal->out);
    }
}

static size_t columns_of(const struct terminal *terminal)
{
    struct winsize size;

    if (terminal->live && ioctl(terminal->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) {
        return size.ws_col;
    }
    return terminal->live ? COLUMNS_DEFAULT : SIZE_MAX;
}

static void PRINTF_LIKE(4, 0) marked(struct terminal *terminal, enum color color, const char *mark,
                                     const char *format, va_list arguments)
{
    char *text = NULL;
    int bytes = vasprintf(&text, format, arguments);

    ASSERT(bytes >= 0);
    terminal_tame(text, (size_t)bytes);
    terminal_clear(terminal);
    paint(terminal, color);
    fputs(mark, terminal->out);
    unpaint(terminal, color);
    fprintf(terminal->out, "%s\n", text);
    fflush(terminal->out);
    free(text);
}

#define SAY(color, mark)                                                                           \
    va_list arguments;                                                                             \
    va_start(arguments, format);                                                                   \
    marked(terminal, color, mark, format, arguments);                                              \
    va_end(arguments)

void terminal_say(struct terminal *terminal, const char *format, ...)
{
    SAY(COLOR_NONE, "");
}

void terminal_good(struct terminal *terminal, const char *format, ...)
{
    SAY(COLOR_GREEN, "✓ ");
}

void terminal_bad(struct terminal *terminal, const char *format, ...)
{
    SAY(COLOR_RED, "✗ ");
}

void terminal_note(struct terminal *terminal, const char *format, ...)
{
    SAY(COLOR_DIM, "· ");
}

void terminal_head(struct terminal *terminal, const char *format, ...)
{
    char text[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    terminal_tame(text, strlen(text));
    terminal_clear(terminal);
    paint(terminal, COLOR_BOLD);
    fputs(text, terminal->out);
    unpaint(terminal, COLOR_BOLD);
    fputc('\n', terminal->out);
    fflush(terminal->out);
}

/* The moving line. */

static void draw(struct terminal *terminal, int64_t waited_ms)
{
    static const char *const spinner[] = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
    char waited[DURATION_TEXT_BYTES] = "";
    size_t room = columns_of(terminal) - 20, shown = strlen(terminal->progress);

    shown = shown > room ? room : shown;
    if (waited_ms >= ELAPSED_MS && !terminal->timeless) {
        duration_format(waited_ms, waited);
    }
    fprintf(terminal->out, "\r\033[K%s %.*s", spinner[terminal->spin++ % COUNT_OF(spinner)],
            (int)shown, terminal->progress);
    paint(terminal, COLOR_DIM);
    fprintf(terminal->out, "  %s", waited);
    unpaint(terminal, COLOR_DIM);
    fflush(terminal->out);
}

void terminal_progress(struct terminal *terminal, const char *format, ...)
{
    char text[sizeof(terminal->progress)];
    int64_t now_ms = time_boot_ms();
    bool same;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    terminal_tame(text, strlen(text));
    same = strcmp(text, terminal->progress) == 0 && terminal->progress_told_ms != 0;
    if (terminal->progress[0] == '\0') {
        terminal->progress_ms = now_ms;
    }
    memcpy(terminal->progress, text, sizeof(text));
    if (terminal->live) {
        draw(terminal, now_ms - terminal->progress_ms);
    } else if (now_ms - terminal->progress_ms >= ELAPSED_MS &&
               (!same || now_ms - terminal->progress_told_ms >= AGAIN_MS)) {
        char waited[DURATION_TEXT_BYTES];

        duration_format(now_ms - terminal->progress_ms, waited);
        fprintf(terminal->out, "  %s ... %s\n", text, waited);
        fflush(terminal->out);
        terminal->progress_told_ms = now_ms;
    }
}

void terminal_turn(struct terminal *terminal)
{
    if (terminal->progress[0] != '\0') {
        char text[sizeof(terminal->progress)];

        memcpy(text, terminal->progress, sizeof(text));
        terminal_progress(terminal, "%s", text);
    }
}

void terminal_clear(struct terminal *terminal)
{
    if (terminal->progress[0] != '\0' && terminal->live) {
        fputs("\r\033[K", terminal->out);
        fflush(terminal->out);
    }
    terminal->progress[0] = '\0';
    terminal->progress_told_ms = 0;
}

/* The screen. */

void terminal_screen_begin(struct terminal *terminal)
{
    if (!terminal->on_screen) {
        fputs("\033[?1049h\033[?25l", terminal->out); /* The other screen, without a cursor. */
        fflush(terminal->out);
    }
    terminal->on_screen = true;
    terminal->out = open_memstream(&terminal->screen, &terminal->screen_bytes);
}

void terminal_screen_end(struct terminal *terminal)
{
    struct winsize size = {.ws_row = 25};
    struct slice rest, line;
    int row = 0;

    fclose(terminal->out);
    terminal->out = terminal->json ? stderr : stdout;
    (void)ioctl(terminal->fd, TIOCGWINSZ, &size);
    rest = slice_of(terminal->screen, terminal->screen_bytes);
    fputs("\033[H", terminal->out);
    while (slice_next(&rest, '\n', &line) && row < size.ws_row) {
        fprintf(terminal->out, "%s%.*s\033[K", row++ == 0 ? "" : "\r\n", SLICE_ARG(line));
    }
    fputs("\033[J", terminal->out);
    fflush(terminal->out);
    free(terminal->screen);
    terminal->screen = NULL;
}

void terminal_screen_leave(struct terminal *terminal)
{
    if (terminal->on_screen) {
        fputs("\033[?25h\033[?1049l", terminal->out);
        fflush(terminal->out);
        terminal->on_screen = false;
    }
}

enum color terminal_color_of(const char *state)
{
    static const char *const good[] = {"InService", "Healthy",         "healthy",
                                       "OK",        "Successful",      "running",
                                       "active",    "CREATE_COMPLETE", "UPDATE_COMPLETE",
                                       "Success",   "available",       "DELETE_COMPLETE"};
    static const char *const bad[] = {"Unhealthy", "unhealthy", "ALARM", "Failed", "failed"};

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        if (strcmp(state, good[i]) == 0) {
            return COLOR_GREEN;
        }
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        if (strcmp(state, bad[i]) == 0) {
            return COLOR_RED;
        }
    }
    return strstr(state, "FAILED") != NULL || strstr(state, "ROLLBACK") != NULL ? COLOR_RED
                                                                                : COLOR_YELLOW;
}

/* Tables. */

size_t terminal_width(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xc0) != 0x80; /* Not a continuation byte. */
    }
    return width;
}

void table_cell(struct table *table, enum color color, const char *format, ...)
{
    struct buf text = {0};
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    terminal_tame(line, strlen(line));
    buf_add_z(&text, line);
    table->cells = mem_grow(table->cells, table->count, &table->room, sizeof(*table->cells));
    table->cells[table->count++] = (struct cell){.text = buf_take(&text), .color = color};
}

/* The bytes of @text that fit into @columns. */
static int fitting(const char *text, size_t columns)
{
    size_t width = 0, at = 0;

    for (; text[at] != '\0'; at++) {
        width += ((unsigned char)text[at] & 0xc0) != 0x80;
        if (width > columns) {
            break;
        }
    }
    return (int)at;
}

void table_print(struct table *table, struct terminal *terminal, int indent)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0}, columns = columns_of(terminal);

    ASSERT(table->columns > 0 && table->columns <= TABLE_COLUMNS_MAX);
    ASSERT(table->count % table->columns == 0);
    for (size_t i = 0; i < table->count; i++) {
        size_t width = terminal_width(table->cells[i].text), column = i % table->columns;

        widths[column] = width > widths[column] ? width : widths[column];
    }
    terminal_clear(terminal);
    for (size_t i = 0; i < table->count; i++) {
        const struct cell *cell = &table->cells[i];
        size_t column = i % table->columns, used = (size_t)indent;
        bool last = column + 1 == table->columns;

        if (column == 0) {
            fprintf(terminal->out, "%*s", indent, "");
        }
        for (size_t c = 0; c < column; c++) {
            used += widths[c] + 2;
        }
        paint(terminal, cell->color);
        fprintf(terminal->out, "%.*s",
                last ? fitting(cell->text, columns > used ? columns - used : 1)
                     : (int)strlen(cell->text),
                cell->text);
        unpaint(terminal, cell->color);
        if (last) {
            fputc('\n', terminal->out);
        } else {
            fprintf(terminal->out, "%*s", (int)(widths[column] + 2 - terminal_width(cell->text)),
                    "");
        }
    }
    table_free(table);
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i].text);
    }
    free(table->cells);
    *table = (struct table){0};
}
