/* signed_note.h - C2SP signed notes (https://c2sp.org/signed-note) with Ed25519 keys: a text of whole lines, an empty
 * line, and a line "— NAME BASE64" for each signature, where BASE64 is the key's 4-byte id and the signature.
 *
 * Texts and names are UTF-8; a text ends with a line break and holds no control byte besides those. A name has no white
 * space and no '+'. */
#ifndef MOONGATE_SIGNED_NOTE_H
#define MOONGATE_SIGNED_NOTE_H

#include "moongate/buf.h"
#include "moongate/ed25519.h"
#include "moongate/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MOON_NOTE_NAME_MAX       200
#define MOON_NOTE_VKEYS_MAX      64
#define MOON_NOTE_SIGNATURES_MAX 100

/* Whose signature counts: what a line "NAME+ID+KEY" (a vkey) says. */
struct moon_note_verifier {
    char name[MOON_NOTE_NAME_MAX + 1];
    uint32_t id;
    unsigned char key[MOON_ED25519_PUBLIC];
};

/* What moon_note_open found. */
struct moon_note {
    size_t text_len;                     /* the text is the note's first text_len bytes */
    bool signed_by[MOON_NOTE_VKEYS_MAX]; /* by the verifier of that place */
    unsigned signatures;                 /* of different verifiers */
};

bool moon_note_name_valid(const char *name, size_t len);

/* The verifier of a private key. MOON_EINVAL: the name is not valid. */
int moon_note_verifier_of(const struct moon_ed25519 *key, const char *name, struct moon_note_verifier *out,
                          struct moon_err *err);
/* Reads a vkey: 0, or MOON_EPARSE with the reason (also when the id is not the key's). */
int moon_note_verifier_read(const char *vkey, size_t len, struct moon_note_verifier *out, struct moon_err *err);
/* Appends the vkey. 0 or MOON_ENOMEM. */
int moon_note_verifier_write(const struct moon_note_verifier *v, struct moon_buf *out);

/* Appends a note: text, the empty line, one signature. MOON_EINVAL: text or name are not valid. */
int moon_note_sign(const struct moon_ed25519 *key, const char *name, const char *text, size_t len, struct moon_buf *out,
                   struct moon_err *err);
/* Takes a note apart. Signatures of unknown keys are passed over. MOON_EPARSE: not a note; MOON_EVERIFY: a signature
 * that claims to be of one of the verifiers is not, or none is of any of them. At most MOON_NOTE_VKEYS_MAX verifiers.
 */
int moon_note_open(const char *note, size_t len, const struct moon_note_verifier *verifiers, size_t n,
                   struct moon_note *out, struct moon_err *err);

#endif
