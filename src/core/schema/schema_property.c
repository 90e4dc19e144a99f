/* schema_property.c - \p{Letter}, \p{Script=Greek} and their like as PCRE2 spells them: general categories by their
 * short names. */
#include "schema_property.h"

#include <stdio.h>
#include <string.h>

static const char *const categories[][2] = {
    {"Cased_Letter", "L&"},
    {"Close_Punctuation", "Pe"},
    {"Combining_Mark", "M"},
    {"Connector_Punctuation", "Pc"},
    {"Control", "Cc"},
    {"Currency_Symbol", "Sc"},
    {"Dash_Punctuation", "Pd"},
    {"Decimal_Number", "Nd"},
    {"Enclosing_Mark", "Me"},
    {"Final_Punctuation", "Pf"},
    {"Format", "Cf"},
    {"Initial_Punctuation", "Pi"},
    {"LC", "L&"},
    {"Letter", "L"},
    {"Letter_Number", "Nl"},
    {"Line_Separator", "Zl"},
    {"Lowercase_Letter", "Ll"},
    {"Mark", "M"},
    {"Math_Symbol", "Sm"},
    {"Modifier_Letter", "Lm"},
    {"Modifier_Symbol", "Sk"},
    {"Nonspacing_Mark", "Mn"},
    {"Number", "N"},
    {"Open_Punctuation", "Ps"},
    {"Other", "C"},
    {"Other_Letter", "Lo"},
    {"Other_Number", "No"},
    {"Other_Punctuation", "Po"},
    {"Other_Symbol", "So"},
    {"Paragraph_Separator", "Zp"},
    {"Private_Use", "Co"},
    {"Punctuation", "P"},
    {"Separator", "Z"},
    {"Space_Separator", "Zs"},
    {"Spacing_Mark", "Mc"},
    {"Surrogate", "Cs"},
    {"Symbol", "S"},
    {"Titlecase_Letter", "Lt"},
    {"Unassigned", "Cn"},
    {"Uppercase_Letter", "Lu"},
    {"cntrl", "Cc"},
    {"digit", "Nd"},
    {"punct", "P"},
};

bool moon_property_name(char *out, size_t size, const char *name, size_t len) {
    static const char *const prefixes[][2] = {
        {"General_Category=", ""},      {"gc=", ""},      {"Script=", "sc:"}, {"sc=", "sc:"},
        {"Script_Extensions=", "scx:"}, {"scx=", "scx:"},
    };
    const char *prefix = "";
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t n = strlen(prefixes[i][0]);
        if (len > n && memcmp(name, prefixes[i][0], n) == 0) {
            prefix = prefixes[i][1];
            name += n;
            len -= n;
            break;
        }
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    if (len == 0 || len + strlen(prefix) + 1 > size)
        return false;
    for (size_t i = 0; i < sizeof categories / sizeof categories[0] && prefix[0] == '\0'; i++) {
        if (strlen(categories[i][0]) == len && memcmp(categories[i][0], name, len) == 0)
            return snprintf(out, size, "%s", categories[i][1]) > 0;
    }
    return snprintf(out, size, "%s%.*s", prefix, (int)len, name) > 0;
}
