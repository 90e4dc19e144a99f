/* child.c - a process of ours on libuv. Its handles outlive moon_child_free until libuv has closed them. */
#include "moongate/child.h"

#include "moongate/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define PIECE ((size_t)32 << 10)

struct moon_child {
    uv_process_t process;
    uv_pipe_t pipe;
    int handles; /* of the two, not yet closed by libuv */
    bool exited, drained, freed;
    int64_t status;
    int signal;
    struct moon_buf output;
    void (*changed)(void *ud);
    void *ud;
    char piece[PIECE];
};

static void release(struct moon_child *c) {
    if (c->handles || !c->freed)
        return;
    moon_buf_release(&c->output);
    free(c);
}

static void on_closed(uv_handle_t *h) {
    struct moon_child *c = h->data;
    c->handles--;
    release(c);
}

static void close_handle(void *handle) {
    uv_handle_t *h = handle;
    if (h->type != UV_UNKNOWN_HANDLE && !uv_is_closing(h))
        uv_close(h, on_closed);
}

static void tell(struct moon_child *c) {
    if (!c->freed && c->changed)
        c->changed(c->ud);
}

static void on_ended(uv_process_t *process, int64_t status, int signal) {
    struct moon_child *c = process->data;
    c->exited = true;
    c->status = status;
    c->signal = signal;
    close_handle(&c->process);
    tell(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf) {
    struct moon_child *c = h->data;
    (void)suggested;
    *buf = uv_buf_init(c->piece, PIECE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf) {
    struct moon_child *c = stream->data;
    if (n > 0 && moon_buf_append(&c->output, buf->base, (size_t)n) != 0)
        n = UV_ENOMEM;
    if (n < 0) {
        c->drained = true;
        close_handle(&c->pipe);
    }
    if (n != 0)
        tell(c);
}

/* The child's ends of the pipe are its standard output and error. 0 or libuv's code. */
static int start(struct moon_child *c, uv_loop_t *loop, const struct moon_child_opts *opts) {
    uv_file ends[2];
    int rc = uv_pipe(ends, UV_NONBLOCK_PIPE, 0);
    if (rc != 0)
        return rc;
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE},
                                     {.flags = UV_INHERIT_FD, .data.fd = ends[1]},
                                     {.flags = UV_INHERIT_FD, .data.fd = ends[1]}};
    uv_process_options_t o = {.exit_cb = on_ended,
                              .file = opts->file,
                              .args = (char **)opts->argv,
                              .env = (char **)opts->env,
                              .cwd = opts->folder,
                              .stdio = stdio,
                              .stdio_count = 3};
    rc = uv_pipe_init(loop, &c->pipe, 0);
    if (rc == 0) {
        c->handles++;
        rc = uv_pipe_open(&c->pipe, ends[0]);
    }
    if (rc != 0) {
        close(ends[0]);
    } else {
        c->handles++;
        rc = uv_spawn(loop, &c->process, &o);
    }
    close(ends[1]);
    return rc == 0 ? uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) : rc;
}

int moon_child_start(struct moon_child **out, struct moon_loop *loop, const struct moon_child_opts *opts,
                     struct moon_err *err) {
    struct moon_child *c = calloc(1, sizeof *c);
    int rc;
    *out = NULL;
    if (!c)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    c->process.data = c->pipe.data = c;
    rc = start(c, moon_loop_uv(loop), opts);
    if (rc != 0) {
        c->freed = true;
        close_handle(&c->process);
        close_handle(&c->pipe);
        release(c);
        return moon_err_errno(err, MOON_EIO, -rc, "can't start %s", opts->file);
    }
    c->changed = opts->changed;
    c->ud = opts->ud;
    *out = c;
    return 0;
}

struct moon_buf *moon_child_output(struct moon_child *c) {
    return &c->output;
}

bool moon_child_ended(const struct moon_child *c) {
    return c->exited && c->drained;
}

int moon_child_status(const struct moon_child *c, int *signal) {
    *signal = c->signal;
    return (int)c->status;
}

void moon_child_kill(struct moon_child *c, int signal) {
    if (!c->exited)
        uv_process_kill(&c->process, signal);
}

void moon_child_free(struct moon_child *c) {
    if (!c || c->freed)
        return;
    c->freed = true;
    moon_child_kill(c, SIGKILL);
    close_handle(&c->process);
    close_handle(&c->pipe);
    release(c);
}

int moon_child_self(char *path, size_t size, struct moon_err *err) {
    int rc = uv_exepath(path, &size);
    return rc == 0 ? 0 : moon_err_errno(err, MOON_EIO, -rc, "can't find this program's file");
}

unsigned moon_child_parallelism(void) {
    return uv_available_parallelism();
}
