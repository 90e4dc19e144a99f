/* schema_regex.c - `pattern` by PCRE2, hang-proof.
 *
 * Short texts run compiled (JIT where there is one) under PCRE2's match limit, which counts for each start position
 * apart; the length bounds the rest. For long texts that does not suffice, so they use a second form, with a callout at
 * every item, that counts steps and the characters passed over in all. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "schema_regex.h"

#include "moongate/json.h"
#include "schema_ecma.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define SHORT_TEXT  1024               /* bytes */
#define MATCH_LIMIT 15000              /* steps from one start position of a short text */
#define HEAP_LIMIT  16384              /* KiB, for backtracking */
#define WORK_LIMIT  UINT64_C(50000000) /* steps and characters in a long text, about a second */
#define OPTIONS                                                                                                        \
    (PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALLOW_EMPTY_CLASS | PCRE2_MATCH_UNSET_BACKREF | PCRE2_NEVER_BACKSLASH_C)
#define COUNTED (PCRE2_AUTO_CALLOUT | PCRE2_NO_AUTO_POSSESS | PCRE2_NO_DOTSTAR_ANCHOR)

struct moon_regex {
    pcre2_code *code;    /* for short texts */
    pcre2_code *counted; /* for long ones; made at the first of them */
    pcre2_general_context *memory;
    pcre2_match_context *limits;
    pcre2_match_data *match;
    struct moon_buf pattern; /* rewritten for PCRE2 */
    uint64_t work, work_limit;
    size_t last;
};

/* PCRE2's memory comes from our malloc, so that tests can make it fail. */
static void *allocate(size_t size, void *ud) {
    (void)ud;
    return malloc(size);
}

static void release(void *p, void *ud) {
    (void)ud;
    free(p);
}

static int count_work(pcre2_callout_block *at, void *ud) {
    struct moon_regex *re = ud;
    size_t here = at->current_position;
    re->work += 1 + (here > re->last ? here - re->last : re->last - here);
    re->last = here;
    return re->work > re->work_limit ? PCRE2_ERROR_MATCHLIMIT : 0;
}

static int compile(struct moon_regex *re, pcre2_code **out, uint32_t options, int *why, struct moon_err *err) {
    PCRE2_SIZE offset;
    pcre2_compile_context *context = pcre2_compile_context_create(re->memory);
    if (context == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    *out = pcre2_compile((PCRE2_SPTR)(re->pattern.data != NULL ? re->pattern.data : ""), re->pattern.len, options, why,
                         &offset, context);
    pcre2_compile_context_free(context);
    if (*out != NULL)
        return 0;
    if (*why == PCRE2_ERROR_HEAP_FAILED)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    char text[128];
    pcre2_get_error_message(*why, (PCRE2_UCHAR *)text, sizeof text);
    return moon_err_set(err, MOON_EINVAL, "%s", text);
}

static int make(struct moon_regex *re, const char *source, size_t len, int *why, struct moon_err *err) {
    int rc = moon_ecma_to_pcre(&re->pattern, source, len, err);
    if (rc == MOON_ENOMEM)
        return moon_err_set(err, rc, "out of memory");
    if (rc != 0)
        return rc;
    re->memory = pcre2_general_context_create(allocate, release, NULL);
    if (re->memory == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    if ((rc = compile(re, &re->code, OPTIONS, why, err)) != 0)
        return rc;
    re->limits = pcre2_match_context_create(re->memory);
    re->match = pcre2_match_data_create(1, re->memory);
    if (re->limits == NULL || re->match == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    pcre2_set_match_limit(re->limits, MATCH_LIMIT);
    pcre2_set_heap_limit(re->limits, HEAP_LIMIT);
    pcre2_set_callout(re->limits, count_work, re);   /* called by the counted form only */
    pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE); /* without it, matching is slower and no less right */
    return 0;
}

int moon_regex_new(struct moon_regex **out, const char *source, size_t len, struct moon_err *err) {
    int why = 0;
    struct moon_regex *re = calloc(1, sizeof *re);
    if (re == NULL)
        return moon_err_set(err, MOON_ENOMEM, "out of memory");
    int rc = make(re, source, len, &why, err);
    if (rc != 0) {
        moon_regex_free(re);
        return rc;
    }
    *out = re;
    return 0;
}

void moon_regex_free(struct moon_regex *re) {
    if (re == NULL)
        return;
    pcre2_match_data_free(re->match);
    pcre2_match_context_free(re->limits);
    pcre2_code_free(re->code);
    pcre2_code_free(re->counted);
    pcre2_general_context_free(re->memory);
    moon_buf_release(&re->pattern);
    free(re);
}

int moon_regex_match(struct moon_regex *re, const char *text, size_t len) {
    bool is_long = len > SHORT_TEXT;
    int rc, why;
    if (is_long && re->counted == NULL && (rc = compile(re, &re->counted, OPTIONS | COUNTED, &why, NULL)) != 0)
        return rc;
    re->work = re->last = 0;
    re->work_limit = WORK_LIMIT + 16 * (uint64_t)len;
    pcre2_set_match_limit(re->limits, is_long ? UINT32_MAX : MATCH_LIMIT);
    const pcre2_code *code = is_long ? re->counted : re->code;
    rc = pcre2_match(code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK, re->match, re->limits);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(code, (PCRE2_SPTR)text, len, 0, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, re->match, re->limits);
    if (rc >= 0)
        return 1;
    if (rc == PCRE2_ERROR_NOMATCH)
        return 0;
    return rc == PCRE2_ERROR_NOMEMORY || rc == PCRE2_ERROR_HEAP_FAILED ? MOON_ENOMEM : MOON_ERANGE;
}

/* PCRE2 wants lookbehinds of bounded length, ECMA-262 does not: such a pattern is one, although it can't be run. */
bool moon_regex_check(const char *source, size_t len) {
    int why = 0;
    struct moon_regex *re = calloc(1, sizeof *re);
    if (re == NULL)
        return true; /* nothing is known against it */
    int rc = make(re, source, len, &why, NULL);
    moon_regex_free(re);
    return rc == 0 || rc == MOON_ENOMEM || why == PCRE2_ERROR_LOOKBEHIND_NOT_FIXED_LENGTH;
}
