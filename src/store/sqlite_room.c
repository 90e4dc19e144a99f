/* sqlite_room.c - room in the log before it is needed.
 *
 * A commit that makes the log longer makes its sync write the file's size and place, too, which takes three times as
 * long as the frames alone. So a process that commits again and again makes it longer by many frames at a time. It
 * does so while it holds the lock to write, and behind the end of the file, where no frame can be; SQLite reads the
 * zeros as the end of the log. */
#include "sqlite_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT 1000 /* frames, after which the log restarts: SQLite's own default */
#define FRAME      ((int64_t)4096 + 24)
#define FEW        4  /* commits of a process that is done soon */
#define AHEAD      16 /* frames of the next commit, perhaps */
#define STEP       ((int64_t)1 << 20)
#define MOST       (CHECKPOINT * FRAME) /* no longer than it would be anyway */

/* After each commit; frames: in the log. */
static int on_commit(void *ud, sqlite3 *db, const char *name, int frames) {
    struct sqlite_store *s = ud;
    s->commits++;
    s->frames = frames;
    if (frames >= CHECKPOINT)
        sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL,
                                  NULL); /* can't be now: the next one will */
    return SQLITE_OK;
}

void sqlite_room_init(struct sqlite_store *s) {
    sqlite3_wal_hook(s->db, on_commit, s);
}

/* Makes the file longer by zeros; its length then. None where there is too little room for all. */
static int64_t lengthen(int fd, int64_t size) {
    char *zeros = calloc(1, (size_t)STEP);
    ssize_t n = zeros ? pwrite(fd, zeros, (size_t)STEP, (off_t)size) : 0;
    free(zeros);
    if (n == STEP)
        return size + STEP;
    if (n > 0 && ftruncate(fd, (off_t)size) != 0) { /* zeros do no harm */
    }
    return INT64_MAX; /* not tried again */
}

void sqlite_room_make(struct sqlite_store *s) {
    int64_t need = (s->frames + AHEAD) * FRAME;
    struct stat st;
    const char *log = sqlite3_filename_wal(sqlite3_db_filename(s->db, "main"));
    if (s->commits < FEW || need <= s->room || !log || !*log)
        return;
    int fd = open(log, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size >= MOST)
        s->room = INT64_MAX;
    else if (st.st_size >= need)
        s->room = st.st_size;
    else
        s->room = lengthen(fd, st.st_size);
    if (fd >= 0)
        close(fd);
}
