/* http_date.h - dates as RFC 9110 has them, and as servers write them. */
#ifndef MOONGATE_HTTP_DATE_H
#define MOONGATE_HTTP_DATE_H

#include <stddef.h>
#include <stdint.h>

#define MOON_HTTP_DATE_SIZE 32

/* Accepts IMF-fixdate, the obsolete RFC 850 and asctime forms, and what servers send instead: RFC 3339 in UTC, "UTC" or
 * "+0000" for "GMT". The day's name is not checked against the date. A two-digit year is taken as the one nearest to
 * now_wall_ns, a year past 2261 as 2261. Spaces around it are ignored. 0 or MOON_EPARSE. */
int moon_http_date_parse(const char *text, size_t len, int64_t now_wall_ns, int64_t *wall_ns);
/* "Sun, 06 Nov 1994 08:49:37 GMT". wall_ns is cut to the second and to the years 1970 to 9999. */
void moon_http_date_format(int64_t wall_ns, char out[MOON_HTTP_DATE_SIZE]);

#endif
