#include "muster/process.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 100
#define OUTPUT_BYTES_MAX (1024 * 1024) /* What is beyond is read and dropped. */

struct run {
    uv_process_t process;
    uv_pipe_t pipe;
    uv_timer_t tick;
    struct cli *cli;
    struct buf *output;
    char room[4096];
    int64_t end_ms, status;
    int open; /* Handles not closed yet. */
    bool ended, late;
};

static void on_closed(uv_handle_t *handle)
{
    struct run *run = handle->data;

    run->open--;
}

static void close_handle(struct run *run, void *handle)
{
    uv_handle_t *any = handle;

    if (!uv_is_closing(any)) {
        any->data = run;
        run->open++;
        uv_close(any, on_closed);
    }
}

static void on_exit_status(uv_process_t *process, int64_t status, int number)
{
    struct run *run = process->data;

    run->ended = true;
    run->status = number != 0 ? 128 + number : status;
    close_handle(run, process);
    close_handle(run, &run->tick);
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct run *run = handle->data;

    (void)wanted;
    *room = uv_buf_init(run->room, sizeof(run->room));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *room)
{
    struct run *run = stream->data;

    if (got < 0) {
        close_handle(run, stream);
    } else if (run->output->bytes < OUTPUT_BYTES_MAX) {
        buf_add(run->output, slice_of(room->base, (size_t)got));
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;

    terminal_turn(&run->cli->terminal);
    run->late |= time_boot_ms() > run->end_ms;
    if (run->late || run->cli->interrupted) {
        uv_process_kill(&run->process, SIGTERM);
    }
}

static int start(struct run *run, const char *const *argv, struct error *err)
{
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}};
    uv_process_options_t options = {.exit_cb = on_exit_status,
                                    .file = argv[0],
                                    .args = (char **)(uintptr_t)argv,
                                    /* Its own session: Ctrl-C is ours, and asks no terminal. */
                                    .flags = UV_PROCESS_DETACHED,
                                    .stdio_count = COUNT_OF(stdio),
                                    .stdio = stdio};
    uv_pipe_t *pipe = &run->pipe;
    int fds[2], rc;

    if (uv_pipe(fds, UV_NONBLOCK_PIPE, 0) != 0) {
        return error_errno(err, "pipe");
    }
    uv_pipe_init(&run->cli->loop, pipe, 0);
    uv_pipe_open(pipe, fds[0]);
    uv_timer_init(&run->cli->loop, &run->tick);
    /* Both into one pipe, so that the order stays. */
    stdio[1] = stdio[2] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = fds[1]};
    rc = uv_spawn(&run->cli->loop, &run->process, &options);
    close(fds[1]);
    run->pipe.data = run->tick.data = run->process.data = run;
    if (rc != 0) {
        close_handle(run, &run->pipe);
        close_handle(run, &run->tick);
        close_handle(run, &run->process);
        run->ended = true;
        return error_set(err, ERR_SYSTEM, "%s cannot be run: %s", argv[0], uv_strerror(rc));
    }
    uv_read_start((uv_stream_t *)pipe, on_room, on_read);
    uv_timer_start(&run->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

/* The last line that is not blank. */
static struct slice last_line(struct slice text)
{
    struct slice line = SLICE_EMPTY, part;

    while (slice_next(&text, '\n', &part)) {
        part = slice_trim(part);
        line = part.bytes > 0 ? part : line;
    }
    return line;
}

int process_run(struct cli *cli, const char *const *argv, int64_t timeout_ms, struct buf *output,
                struct error *err)
{
    struct run run = {
        .cli = cli, .output = output, .end_ms = time_boot_ms() + timeout_ms, .status = -1};
    int rc = start(&run, argv, err);

    while (!run.ended || run.open > 0 || uv_is_active((uv_handle_t *)&run.pipe)) {
        uv_run(&cli->loop, UV_RUN_ONCE);
    }
    if (rc != 0) {
        return rc;
    }
    if (cli->interrupted) {
        return error_set(err, ERR_TIMEOUT, "interrupted");
    }
    if (run.late) {
        return error_set(err, ERR_TIMEOUT, "%s took longer than %lld s", argv[0],
                         (long long)(timeout_ms / 1000));
    }
    if (run.status != 0) {
        struct slice said = last_line(buf_slice(output));

        return error_set(err, ERR_SYSTEM, "%s ended with %lld: %.*s", argv[0],
                         (long long)run.status, SLICE_ARG(said));
    }
    return 0;
}

int process_become(const char *const *argv, struct error *err)
{
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    return error_errno(err, "%s", argv[0]);
}
