/* schema_evaluated.c - a set of places in an array or object. Larger ones grow in the report's arena. */
#include "schema_check.h"

#include "../arena.h"

#include <string.h>

void schema_evaluated_init(struct schema_evaluated *ev) {
    ev->all = false;
    ev->first = 0;
    ev->inline_bits[0] = ev->inline_bits[1] = 0;
    ev->bits = ev->inline_bits;
    ev->words = 2;
}

static bool grow(struct schema_checker *c, struct schema_evaluated *ev, size_t words) {
    size_t n = ev->words * 2 > words ? ev->words * 2 : words;
    uint64_t *bits = moon_arena_zalloc(&c->report->arena, n, sizeof *bits);
    if (bits == NULL)
        return schema_give_up(c, MOON_ENOMEM, NULL);
    memcpy(bits, ev->bits, ev->words * sizeof *bits);
    ev->bits = bits;
    ev->words = n;
    return true;
}

void schema_evaluated_mark(struct schema_checker *c, struct schema_evaluated *ev, size_t at) {
    if (ev->all || at < ev->first || (at / 64 >= ev->words && !grow(c, ev, at / 64 + 1)))
        return;
    ev->bits[at / 64] |= UINT64_C(1) << at % 64;
}

bool schema_evaluated_has(const struct schema_evaluated *ev, size_t at) {
    if (ev->all || at < ev->first)
        return true;
    return at / 64 < ev->words && (ev->bits[at / 64] >> at % 64 & 1) != 0;
}

void schema_evaluated_merge(struct schema_checker *c, struct schema_evaluated *into,
                            const struct schema_evaluated *from) {
    into->all |= from->all;
    if (from->first > into->first)
        into->first = from->first;
    if (into->words < from->words && !grow(c, into, from->words))
        return;
    for (size_t i = 0; i < from->words; i++)
        into->bits[i] |= from->bits[i];
}
