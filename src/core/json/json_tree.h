/* json_tree.h - what core shares about trees beyond moongate/json_value.h. */
#ifndef MOONGATE_CORE_JSON_TREE_H
#define MOONGATE_CORE_JSON_TREE_H

#include "moongate/json_value.h"

/* As moon_json_write, but integers of 64 bits are written too: for comparing values, never for sending them. */
int json_tree_write_wide(struct moon_buf *b, const struct moon_json_value *v);

#endif
