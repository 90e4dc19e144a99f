/* curl_trust.c - which CAs are trusted: the system's or those of SSL_CERT_FILE and SSL_CERT_DIR, and --cacert beside
 * them. libcurl takes one file, so where there are two they are put together in memory. */
#include "curl_pool.h"

#include "moongate/file.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((size_t)16 << 20)

static int no_memory(struct moon_err *err) {
    return moon_err_set(err, MOON_ENOMEM, "out of memory");
}

/* Every certificate in it can be read: else libcurl would refuse the file as a whole, and say less. *found: how many.
 */
static int check_certificates(const char *path, const struct moon_buf *text, int *found, struct moon_err *err) {
    BIO *in = text->len ? BIO_new_mem_buf(text->data, (int)text->len) : NULL;
    int n = 0;
    X509 *x;
    if (text->len && !in)
        return no_memory(err);
    while (in && (x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL))) {
        X509_free(x);
        n++;
    }
    unsigned long why = ERR_peek_last_error();
    bool at_end = why == 0 || (ERR_GET_LIB(why) == ERR_LIB_PEM && ERR_GET_REASON(why) == PEM_R_NO_START_LINE);
    ERR_clear_error();
    BIO_free(in);
    *found = n;
    return at_end ? 0 : moon_err_set(err, MOON_ETLS, "--cacert %s: certificate %d can't be read", path, n + 1);
}

/* The certificates of one file, if it has any, appended to text. */
static int read_file(struct moon_buf *text, const char *path, int *found, struct moon_err *err) {
    struct moon_buf one = MOON_BUF_INIT;
    struct moon_err why;
    *found = 0;
    int rc = moon_file_read(path, FILE_MAX, NULL, &one, &why);
    if (rc != 0)
        moon_err_set(err, rc == MOON_ENOMEM ? rc : MOON_ETLS, "--cacert: %s", why.message);
    if (rc == 0)
        rc = check_certificates(path, &one, found, err);
    if (rc == 0 && *found > 0 && text->len + one.len > FILE_MAX)
        rc = moon_err_set(err, MOON_ETLS, "--cacert %s: the certificates together have more than 16 MiB", path);
    if (rc == 0 && *found > 0 && (moon_buf_append(text, one.data, one.len) != 0 || moon_buf_putc(text, '\n') != 0))
        rc = no_memory(err);
    moon_buf_release(&one);
    return rc;
}

static int is_visible(const struct dirent *e) {
    return e->d_name[0] != '.'; /* a mounted ConfigMap has its files twice, once below "..data" */
}

/* Every file of the folder that has certificates; the others are passed over. */
static int read_folder(struct moon_buf *text, const char *folder, int *found, struct moon_err *err) {
    struct dirent **list;
    int n = scandir(folder, &list, is_visible, alphasort), rc = 0;
    if (n < 0)
        return moon_err_set(err, MOON_ETLS, "--cacert: %s: %s", folder, strerror(errno));
    for (int i = 0; i < n; i++) {
        struct moon_buf path = MOON_BUF_INIT;
        struct stat st;
        int some = 0;
        if (rc == 0 && moon_buf_printf(&path, "%s/%s", folder, list[i]->d_name) != 0)
            rc = no_memory(err);
        if (rc == 0 && stat(path.data, &st) == 0 && S_ISREG(st.st_mode))
            rc = read_file(text, path.data, &some, err);
        *found += some;
        moon_buf_release(&path);
        free(list[i]);
    }
    free(list);
    return rc;
}

/* What --cacert names: a file, or a folder of them. */
static int read_own(struct moon_buf *text, const char *path, struct moon_err *err) {
    struct stat st;
    int found = 0;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    int rc = folder ? read_folder(text, path, &found, err) : read_file(text, path, &found, err);
    if (rc == 0 && found == 0)
        rc = moon_err_set(err, MOON_ETLS,
                          folder ? "--cacert %s: the folder has no file of certificates (PEM)"
                                 : "--cacert %s: not a file of certificates (PEM)",
                          path);
    return rc;
}

static int write_all(int fd, const struct moon_buf *text) {
    size_t done = 0;
    while (done < text->len) {
        ssize_t n = write(fd, text->data + done, text->len - done);
        if (n <= 0)
            return -1;
        done += (size_t)n;
    }
    return 0;
}

/* base and own as one file, which has no name but that of its descriptor. */
static int join(struct moon_curl_env *env, const struct moon_buf *text, struct moon_err *err) {
    char path[32];
    env->ca_fd = memfd_create("certificates", MFD_CLOEXEC);
    if (env->ca_fd < 0 || write_all(env->ca_fd, text) != 0)
        return moon_err_set(err, MOON_EIO, "the trusted certificates can't be put together in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", env->ca_fd);
    env->ca_file = strdup(path);
    return env->ca_file ? 0 : no_memory(err);
}

/* The file of others that --cacert is added to; *text stays empty where the system has none. */
static int read_base(struct moon_buf *text, const char *from_env, struct moon_err *err) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    const char *path = from_env ? from_env : info->age >= CURLVERSION_SEVENTH ? info->cainfo : NULL;
    struct moon_err why;
    int rc = path ? moon_file_read(path, FILE_MAX, NULL, text, &why) : 0;
    if (rc == MOON_ENOMEM)
        return no_memory(err);
    if (rc != 0 && from_env)
        return moon_err_set(err, MOON_ETLS, "SSL_CERT_FILE: %s", why.message);
    return rc != 0 || text->len == 0 || moon_buf_putc(text, '\n') == 0 ? 0 : no_memory(err);
}

static int copy(char **to, const char *from, struct moon_err *err) {
    *to = from ? strdup(from) : NULL;
    return from && !*to ? no_memory(err) : 0;
}

static int show(struct moon_curl_env *env, const struct moon_curl_opts *o, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT;
    int rc = o->cacert ? moon_buf_puts(&text, o->cacert) : 0;
    if (rc == 0 && o->cert_file)
        rc = moon_buf_printf(&text, "%sSSL_CERT_FILE=%s", text.len ? ", " : "", o->cert_file);
    if (rc == 0 && o->cert_dir)
        rc = moon_buf_printf(&text, "%sSSL_CERT_DIR=%s", text.len ? ", " : "", o->cert_dir);
    env->ca_shown = text.data;
    return rc == 0 ? 0 : no_memory(err);
}

int moon_curl_trust_open(struct moon_curl_env *env, const struct moon_curl_opts *o, struct moon_err *err) {
    struct moon_buf text = MOON_BUF_INIT, own = MOON_BUF_INIT;
    int rc = show(env, o, err);
    if (rc == 0)
        rc = copy(&env->ca_path, o->cert_dir, err);
    if (rc != 0)
        return rc;
    if (o->cert_file && access(o->cert_file, R_OK) != 0)
        return moon_err_set(err, MOON_ETLS, "SSL_CERT_FILE: %s: %s", o->cert_file, strerror(errno));
    if (!o->cacert)
        return copy(&env->ca_file, o->cert_file, err);
    rc = read_own(&own, o->cacert, err);
    if (rc == 0)
        rc = read_base(&text, o->cert_file, err);
    if (rc == 0 && moon_buf_append(&text, own.data, own.len) != 0)
        rc = no_memory(err);
    if (rc == 0)
        rc = join(env, &text, err);
    moon_buf_release(&text);
    moon_buf_release(&own);
    return rc;
}

static bool load(X509_STORE *store, const char *file, const char *path, bool must) {
    bool ok = (!file || X509_STORE_load_file(store, file) == 1) && (!path || X509_STORE_load_path(store, path) == 1);
    ERR_clear_error();
    return ok || !must;
}

/* With the flags that libcurl sets. */
static X509_STORE *read_store(const struct moon_curl_env *env) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    bool known = info->age >= CURLVERSION_SEVENTH;
    X509_STORE *store = X509_STORE_new();
    if (store && load(store, env->ca_file, env->ca_path, true) &&
        load(store, env->ca_file || !known ? NULL : info->cainfo, NULL, false) &&
        load(store, NULL, env->ca_path || !known ? NULL : info->capath, false) &&
        X509_STORE_set_flags(store, X509_V_FLAG_TRUSTED_FIRST | X509_V_FLAG_PARTIAL_CHAIN) == 1)
        return store;
    X509_STORE_free(store);
    return NULL;
}

/* https://curl.se/libcurl/c/CURLOPT_SSL_CTX_FUNCTION.html */
CURLcode moon_curl_trust_on_ctx(CURL *easy, void *ctx, void *ud) {
    struct moon_curl_env *env = ud;
    (void)easy;
    if (!env->ca_store)
        env->ca_store = read_store(env);
    if (!env->ca_store || X509_STORE_up_ref(env->ca_store) != 1)
        return CURLE_SSL_CACERT_BADFILE;
    SSL_CTX_set_cert_store(ctx, env->ca_store);
    return CURLE_OK;
}

void moon_curl_trust_close(struct moon_curl_env *env) {
    X509_STORE_free(env->ca_store);
    env->ca_store = NULL;
    if (env->ca_fd > 0)
        close(env->ca_fd);
    free(env->ca_file);
    free(env->ca_path);
    free(env->ca_shown);
    env->ca_file = env->ca_path = env->ca_shown = NULL;
    env->ca_fd = 0;
}
