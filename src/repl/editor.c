/* editor.c - the line editor: libedit's, with keys, completion and output of our own. See editor.h. */
#include "editor.h"

#include "moongate/lines.h"

#include <stdlib.h>

#ifndef MOON_LIBEDIT

int moon_editor_new(struct moon_editor **out, const struct moon_clock *clock, void (*wanted)(void *ud), void *ud,
                    struct moon_err *err) {
    (void)clock;
    (void)wanted;
    (void)ud;
    *out = NULL;
    return moon_err_set(err, MOON_ENOENT, "built without libedit");
}
void moon_editor_free(struct moon_editor *e) {
    (void)e;
}
enum moon_editor_result moon_editor_read(struct moon_editor *e, const char *prompt, struct moon_buf *line) {
    (void)e;
    (void)prompt;
    (void)line;
    return MOON_EDITOR_END;
}
void moon_editor_interrupt(struct moon_editor *e) {
    (void)e;
}
void moon_editor_stop(struct moon_editor *e) {
    (void)e;
}
void moon_editor_remember(struct moon_editor *e, const char *line) {
    (void)e;
    (void)line;
}
bool moon_editor_wanted(struct moon_editor *e, struct moon_buf *text, size_t *cursor) {
    (void)e;
    (void)text;
    (void)cursor;
    return false;
}
void moon_editor_offer(struct moon_editor *e, int erase, const char *insert, const char *list) {
    (void)e;
    (void)erase;
    (void)insert;
    (void)list;
}
void moon_editor_hide(void *editor) {
    (void)editor;
}
void moon_editor_show(void *editor) {
    (void)editor;
}

#else

#include <errno.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_MAX   1000
#define ANSWER_WITHIN 3 /* seconds that Tab waits for a loop that is busy */
#define CTRL_C        3
#define CTRL_Z        26

struct moon_editor {
    EditLine *el;
    History *history;
    locale_t locale; /* of the reading thread, and of who draws: libedit turns characters to bytes by it */
    const struct moon_clock *clock;
    int stop; /* an eventfd */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char *prompt;
    bool reading;     /* a line stands on the terminal, and its thread waits */
    bool active;      /* moon_editor_read is under way */
    bool interrupted; /* by Ctrl-C */
    bool stopped;
    enum { NOTHING, ASKED, TAKEN, ANSWERED } completion;
    struct moon_buf text; /* to be completed */
    size_t cursor;
    int erase; /* the answer */
    struct moon_buf insert, list;
    void (*wanted)(void *ud);
    void *ud;
};

static struct moon_editor *editor_of(EditLine *el) {
    void *e = NULL;
    el_get(el, EL_CLIENTDATA, &e);
    return e;
}

static char *prompt_of(EditLine *el) {
    return editor_of(el)->prompt;
}

static void write_out(const char *s, size_t len) {
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, s, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        s += n;
        len -= (size_t)n;
    }
}

/* ---- the line on the terminal; with the lock ---- */

static int columns(void) {
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col ? w.ws_col : 80;
}

static int text_width(const wchar_t *s, const wchar_t *end) {
    int n = 0;
    for (; s < end; s++) {
        int w = wcwidth(*s);
        n += w > 0 ? w : w == 0 ? 0 : 2; /* a control character is drawn as ^X */
    }
    return n;
}

/* Moves to the line's first row and clears from there on. */
static void erase_line(struct moon_editor *e) {
    const LineInfoW *info = el_wline(e->el);
    int rows = ((int)strlen(e->prompt) + text_width(info->buffer, info->cursor)) / columns();
    char sequence[40];
    int n = rows ? snprintf(sequence, sizeof sequence, "\r\033[%dA\033[J", rows)
                 : snprintf(sequence, sizeof sequence, "\r\033[J");
    fflush(stdout);
    write_out(sequence, (size_t)n);
}

static void draw_line(struct moon_editor *e) {
    locale_t before = uselocale(e->locale);
    el_set(e->el, EL_REFRESH);
    uselocale(before);
}

void moon_editor_hide(void *editor) {
    struct moon_editor *e = editor;
    pthread_mutex_lock(&e->lock);
    if (e->reading)
        erase_line(e);
}

void moon_editor_show(void *editor) {
    struct moon_editor *e = editor;
    if (e->reading)
        draw_line(e);
    pthread_mutex_unlock(&e->lock);
}

/* ---- keys ---- */

/* Ctrl-Z: as a program that is in cooked mode would be stopped. */
static void suspend(struct moon_editor *e) {
    el_set(e->el, EL_PREP_TERM, 0);
    raise(SIGTSTP); /* to this thread, so that it is over when this returns */
    el_set(e->el, EL_PREP_TERM, 1);
    el_resize(e->el);
    el_set(e->el, EL_REFRESH);
}

/* One byte, without the lock; false: the end, or stopped. */
static bool next_byte(struct moon_editor *e, unsigned char *byte) {
    struct moon_err err;
    e->reading = true;
    pthread_mutex_unlock(&e->lock);
    ssize_t n = moon_fd_read(STDIN_FILENO, e->stop, byte, 1, &err);
    pthread_mutex_lock(&e->lock);
    e->reading = false;
    return n == 1;
}

/* The rest of a character of UTF-8 that begins with `byte`; an invalid byte stands for itself. */
static wchar_t decode(struct moon_editor *e, unsigned char byte) {
    int more = byte >= 0xF0 ? 3 : byte >= 0xE0 ? 2 : byte >= 0xC2 ? 1 : 0;
    wchar_t c = more == 3 ? byte & 7 : more == 2 ? byte & 15 : more == 1 ? byte & 31 : byte;
    for (; more > 0; more--) {
        if (!next_byte(e, &byte) || (byte & 0xC0) != 0x80)
            return L'?';
        c = (wchar_t)(c << 6 | (byte & 63));
    }
    return c;
}

/* ---- completion ---- */

static bool ask(struct moon_editor *e) {
    int64_t end = moon_wall_ns(e->clock) + ANSWER_WITHIN * MOON_NS_PER_S;
    struct timespec until = {.tv_sec = (time_t)(end / MOON_NS_PER_S), .tv_nsec = (long)(end % MOON_NS_PER_S)};
    e->completion = ASKED;
    e->reading = true;
    e->wanted(e->ud);
    while (e->completion != ANSWERED && !e->interrupted)
        if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0)
            break;
    bool answered = e->completion == ANSWERED;
    e->reading = false;
    e->completion = NOTHING;
    return answered;
}

static void complete(struct moon_editor *e) {
    const LineInfo *info = el_line(e->el);
    moon_buf_clear(&e->text);
    if (moon_buf_append(&e->text, info->buffer, (size_t)(info->lastchar - info->buffer)) != 0)
        return;
    e->cursor = (size_t)(info->cursor - info->buffer);
    if (!ask(e))
        return;
    erase_line(e);
    if (e->list.len > 0)
        write_out(e->list.data, e->list.len);
    if (e->erase > 0)
        el_deletestr(e->el, e->erase);
    if (e->insert.len > 0)
        el_insertstr(e->el, e->insert.data); /* fails where the line is full */
    el_set(e->el, EL_REFRESH);
}

/* A key of the line's, but Tab, which is dealt with here, where the line is at rest. */
static int get_key(EditLine *el, wchar_t *out) {
    struct moon_editor *e = editor_of(el);
    unsigned char byte;
    for (;;) {
        if (!next_byte(e, &byte))
            return 0;
        el_resize(el);
        if (byte == CTRL_Z)
            suspend(e);
        else if (byte == '\t')
            complete(e);
        else
            break;
    }
    if (byte == CTRL_C) {
        e->interrupted = true;
        return 0;
    }
    *out = decode(e, byte);
    return 1;
}

bool moon_editor_wanted(struct moon_editor *e, struct moon_buf *text, size_t *cursor) {
    pthread_mutex_lock(&e->lock);
    bool asked = e->completion == ASKED && moon_buf_append(text, e->text.data ? e->text.data : "", e->text.len) == 0;
    if (asked) {
        *cursor = e->cursor;
        e->completion = TAKEN;
    }
    pthread_mutex_unlock(&e->lock);
    return asked;
}

void moon_editor_offer(struct moon_editor *e, int erase, const char *insert, const char *list) {
    pthread_mutex_lock(&e->lock);
    if (e->completion == TAKEN) {
        moon_buf_clear(&e->insert);
        moon_buf_clear(&e->list);
        e->erase = erase;
        e->completion = ANSWERED;
        if (moon_buf_puts(&e->insert, insert) != 0 || moon_buf_puts(&e->list, list) != 0)
            e->erase = 0;
        pthread_cond_broadcast(&e->changed);
    }
    pthread_mutex_unlock(&e->lock);
}

/* ---- reading ---- */

enum moon_editor_result moon_editor_read(struct moon_editor *e, const char *prompt, struct moon_buf *line) {
    enum moon_editor_result result = MOON_EDITOR_LINE;
    uint64_t wakes;
    int count = 0;
    pthread_mutex_lock(&e->lock);
    locale_t before = uselocale(e->locale);
    free(e->prompt);
    e->prompt = strdup(prompt);
    e->active = true;
    write_out("\r\033[K", 4); /* what was typed while nobody read was echoed here; it is drawn again in its place */
    const char *text = e->prompt && !e->stopped ? el_gets(e->el, &count) : NULL;
    if (!text || count <= 0) {
        result = e->stopped ? MOON_EDITOR_STOPPED : e->interrupted ? MOON_EDITOR_INTERRUPTED : MOON_EDITOR_END;
        fflush(stdout);
        write_out(e->interrupted && !e->stopped ? "^C\n" : "\n", e->interrupted && !e->stopped ? 3 : 1);
    } else {
        size_t len = strlen(text);
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            len--;
        if (moon_buf_append(line, text, len) != 0)
            result = MOON_EDITOR_END;
    }
    e->interrupted = false;
    e->active = false;
    pthread_cond_broadcast(&e->changed);
    if (!e->stopped && read(e->stop, &wakes, sizeof wakes) < 0) {
        /* nobody has interrupted */
    }
    uselocale(before);
    pthread_mutex_unlock(&e->lock);
    return result;
}

static void end_read(struct moon_editor *e, bool for_good) {
    uint64_t one = 1;
    pthread_mutex_lock(&e->lock);
    e->interrupted = true;
    e->stopped = e->stopped || for_good;
    if (write(e->stop, &one, sizeof one) < 0) {
        /* it is full of them already */
    }
    pthread_cond_broadcast(&e->changed);
    while (for_good && e->active) /* what is printed from here on stands below the line */
        pthread_cond_wait(&e->changed, &e->lock);
    pthread_mutex_unlock(&e->lock);
}

void moon_editor_interrupt(struct moon_editor *e) {
    end_read(e, false);
}

void moon_editor_stop(struct moon_editor *e) {
    end_read(e, true);
}

void moon_editor_remember(struct moon_editor *e, const char *line) {
    HistEvent event;
    pthread_mutex_lock(&e->lock);
    locale_t before = uselocale(e->locale);
    history(e->history, &event, H_ENTER, line);
    uselocale(before);
    pthread_mutex_unlock(&e->lock);
}

/* ---- life ---- */

/* The user's, if that is UTF-8, so that width and drawing of characters are right; else one that is. */
static locale_t utf8_locale(void) {
    locale_t own = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    if (own && strcmp(nl_langinfo_l(CODESET, own), "UTF-8") == 0)
        return own;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8)
        return own;
    if (own)
        freelocale(own);
    return utf8;
}

static void bind_keys(EditLine *el) {
    static const char *const keys[][2] = {
        {"^R", "em-inc-search-prev"}, {"\\e[3~", "ed-delete-next-char"}, {"\\e[1~", "ed-move-to-beg"},
        {"\\e[4~", "ed-move-to-end"}, {"\\e[H", "ed-move-to-beg"},       {"\\e[F", "ed-move-to-end"},
        {"\\e[1;5C", "em-next-word"}, {"\\e[1;5D", "ed-prev-word"},      {"^W", "ed-delete-prev-word"},
        {"^U", "vi-kill-line-prev"},
    };
    el_set(el, EL_EDITOR, "emacs");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        el_set(el, EL_BIND, keys[i][0], keys[i][1], NULL);
    /* Ctrl-C and Ctrl-Z come as keys: what they mean is decided here. */
    el_set(el, EL_SETTY, "-d", "-isig", NULL);
    el_source(el, NULL); /* ~/.editrc */
}

static bool open_editor(struct moon_editor *e) {
    HistEvent event;
    e->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    e->prompt = strdup("");
    e->locale = utf8_locale();
    e->history = history_init();
    if (e->stop < 0 || !e->prompt || !e->locale || !e->history)
        return false;
    locale_t before = uselocale(e->locale);
    history(e->history, &event, H_SETSIZE, HISTORY_MAX);
    history(e->history, &event, H_SETUNIQUE, 1);
    e->el = el_init("moongate", stdin, stdout, stderr);
    if (e->el) {
        el_set(e->el, EL_CLIENTDATA, e);
        el_set(e->el, EL_PROMPT, prompt_of);
        el_set(e->el, EL_GETCFN, get_key);
        el_set(e->el, EL_HIST, history, e->history);
        bind_keys(e->el);
    }
    uselocale(before);
    return e->el != NULL;
}

int moon_editor_new(struct moon_editor **out, const struct moon_clock *clock, void (*wanted)(void *ud), void *ud,
                    struct moon_err *err) {
    const char *term = getenv("TERM");
    *out = NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !term || strcmp(term, "dumb") == 0)
        return moon_err_set(err, MOON_ENOENT, "no terminal");
    struct moon_editor *e = calloc(1, sizeof *e);
    if (!e)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
    e->clock = clock;
    e->wanted = wanted;
    e->ud = ud;
    if (!open_editor(e)) {
        moon_editor_free(e);
        return moon_err_set(err, MOON_ENOENT, "this terminal can't be used for editing");
    }
    *out = e;
    return 0;
}

void moon_editor_free(struct moon_editor *e) {
    if (!e)
        return;
    pthread_mutex_lock(&e->lock); /* the thread that has taken the line away puts it back first */
    pthread_mutex_unlock(&e->lock);
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_end(e->history);
    if (e->locale)
        freelocale(e->locale);
    if (e->stop >= 0)
        close(e->stop);
    free(e->prompt);
    moon_buf_release(&e->text);
    moon_buf_release(&e->insert);
    moon_buf_release(&e->list);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

#endif
