/* curl_memory.h - libcurl's allocations, from lists of free blocks. Private to src/net; used by curl_pool.c only.
 *
 * A request makes libcurl allocate some sixty small blocks and free them again, always the same sizes. Taking them from
 * lists by size takes a fifth of malloc's time. The one state without an owner in this program, since libcurl's
 * callbacks have no argument for one: it belongs to the thread that first used it. */
#ifndef MOON_NET_CURL_MEMORY_H
#define MOON_NET_CURL_MEMORY_H

#include <curl/curl.h>

/* curl_global_init_mem with these; the caller's thread becomes the owner. Balanced by curl_global_cleanup. */
CURLcode moon_curl_memory_init(void);
/* How many of libcurl's allocations have failed: it reports its own limits as CURLE_OUT_OF_MEMORY, too. */
size_t moon_curl_memory_failed(void);

#endif
