#!/bin/sh
# A run of tests has one clock: files that want different ones are refused, not left to wait for real hours.
echo 1..1
timeout 60 "${MOONGATE:-build/moongate}" test tests/lua/test_hash.lua tests/lua/test_time.lua >/dev/null 2>&1
status=$?
[ $status -eq 2 ] || printf 'not '
echo "ok 1 - exit 2 for a mix of clocks (was $status)"
