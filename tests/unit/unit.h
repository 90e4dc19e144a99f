/* unit.h - what every C unit test includes, in the order cmocka needs. */
#ifndef MOONGATE_TESTS_UNIT_H
#define MOONGATE_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
