/* fuzz_retry_after.c - Retry-After and HTTP dates: a wait lies within a year, a date survives being written and read.
 */
#include "moongate/clock.h"
#include "moongate/err.h"
#include "moongate/http_date.h"
#include "moongate/retry.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const int64_t now = INT64_C(1795159897) * MOON_NS_PER_S;
    int64_t wait, date, again;
    char text[MOON_HTTP_DATE_SIZE];
    int rc = moon_retry_after_parse((const char *)data, size, now, &wait);
    if (rc == 0 ? wait < 0 || wait > 365 * 86400 * MOON_NS_PER_S : wait != -1)
        abort();
    if (moon_http_date_parse((const char *)data, size, now, &date) != 0 || date < 0)
        return 0;
    moon_http_date_format(date, text);
    if (moon_http_date_parse(text, strlen(text), now, &again) != 0 || again != date)
        abort();
    return 0;
}
