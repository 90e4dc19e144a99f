/* schema_vocabulary.c - which vocabularies a resource uses: $schema names a meta-schema, whose $vocabulary lists them.
 */
#include "schema_registry.h"

#include <string.h>

#define VOCAB "https://json-schema.org/draft/2020-12/vocab/"

static bool same_uri(const char *a, const char *b, size_t n) { /* an empty fragment does not count */
    return strncmp(a, b, n) == 0 && (a[n] == '\0' || strcmp(a + n, "#") == 0);
}

static int read_vocabulary(struct schema_registry *r, struct schema_resource *res,
                           const struct moon_json_value *vocabulary, const char *meta) {
    static const char *const known[] = {"core",      "applicator",        "unevaluated",      "validation",
                                        "meta-data", "format-annotation", "format-assertion", "content",
                                        NULL};
    res->validation = false;
    for (size_t i = 0; i < vocabulary->u.object.len; i++) {
        const struct moon_json_member *m = &vocabulary->u.object.members[i];
        const char *name = NULL;
        for (int k = 0; known[k] != NULL && name == NULL; k++) {
            if (strncmp(m->key, VOCAB, strlen(VOCAB)) == 0 && strcmp(m->key + strlen(VOCAB), known[k]) == 0)
                name = known[k];
        }
        if (name == NULL && m->value.type == MOON_JSON_TRUE)
            return moon_err_set(r->err, MOON_EINVAL, "%s/$schema: %s requires the vocabulary %s, which is not known",
                                res->where, meta, m->key);
        if (name != NULL && strcmp(name, "validation") == 0)
            res->validation = true;
        if (name != NULL && strcmp(name, "format-assertion") == 0)
            res->formats = true;
    }
    return 0;
}

int schema_vocabulary(struct schema_registry *r, struct schema_resource *res) {
    int rc;
    const char *meta = moon_json_get_string(res->root, "$schema", NULL);
    if (meta == NULL)
        return 0;
    if (same_uri(meta, SCHEMA_META_URI, strlen(SCHEMA_META_URI))) {
        res->validation = true;
        return 0;
    }
    static const char *const drafts[] = {"http://json-schema.org/draft-0", "https://json-schema.org/draft/2019-09/"};
    for (size_t i = 0; i < 2; i++) {
        if (strncmp(meta, drafts[i], strlen(drafts[i])) == 0)
            return moon_err_set(r->err, MOON_EINVAL,
                                "%s/$schema: only JSON Schema 2020-12 (" SCHEMA_META_URI ") is understood", res->where);
    }
    const struct moon_json_value *document = schema_registry_document(r, meta, &rc);
    const struct moon_json_value *vocabulary = moon_json_get(document, "$vocabulary");
    if (vocabulary == NULL || vocabulary->type != MOON_JSON_OBJECT)
        return rc; /* not at hand, or silent: the standard vocabularies */
    return read_vocabulary(r, res, vocabulary, meta);
}
