# moongate. `make help` lists the targets.
PREFIX ?= /usr/local
BUILD ?= release
VERSION := 0.1.0
B := build/$(BUILD)

PKGS := lua5.4 libcurl libuv libmicrohttpd libcrypto libpcre2-8 uuid lua5.4-cjson
DEP_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) 2>/dev/null))
DEP_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
ifeq ($(CI),true)
WARN += -Werror
endif
OPT_release := -O2 -g
OPT_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -DMOON_VERSION='"$(VERSION)"' -fPIE -fstack-protector-strong $(OPT_$(BUILD)) $(WARN) -Iinclude $(DEP_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,--as-needed $(OPT_$(BUILD)) $(LDFLAGS)
LIBS = $(DEP_LIBS) -lm -lpthread

SRC := $(filter-out src/tools/%,$(wildcard src/*/*.c))
OBJ := $(SRC:src/%.c=$(B)/obj/%.o) $(B)/obj/embedded.o
LIBOBJ := $(filter-out $(B)/obj/cli/main.o,$(OBJ))
LUA := $(shell find lua/moongate scripts -type f \( -name '*.lua' -o -name '*.json' \) 2>/dev/null | sort)
UNIT := $(patsubst tests/unit/%.c,$(B)/%,$(wildcard tests/unit/test_*.c))

all: build/moongate

build/moongate: $(B)/moongate
	@ln -sf $(BUILD)/moongate $@

$(B)/moongate: $(OBJ)
	$(CC) $(LDFLAGS_ALL) -o $@ $^ $(LIBS)

$(B)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/embed: src/tools/embed.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $< $(DEP_LIBS)

$(B)/embedded.c: $(B)/embed $(LUA) $(B)/lua.list
	$(B)/embed $@ $(LUA)

# Changes when a Lua file comes or goes, so that the embedded set follows.
$(B)/lua.list: FORCE
	@mkdir -p $(@D); echo '$(LUA)' | cmp -s - $@ || echo '$(LUA)' >$@

$(B)/obj/embedded.o: $(B)/embedded.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/libmoongate.a: $(LIBOBJ)
	@rm -f $@; $(AR) rcs $@ $^

$(B)/test_%: tests/unit/test_%.c $(B)/libmoongate.a
	$(CC) $(CFLAGS_ALL) -Itests/unit $(LDFLAGS_ALL) -o $@ $< $(B)/libmoongate.a -lcmocka $(LIBS)

unit: $(UNIT)
	@if [ -n "$(UNIT)" ]; then CMOCKA_MESSAGE_OUTPUT=TAP prove -e '' $(UNIT); fi

luatest: build/moongate
	@ls tests/lua/test_*.lua >/dev/null 2>&1 && prove -e 'build/moongate test' tests/lua/test_*.lua || true

test: unit luatest

clean:
	rm -rf build

FORCE:
.PHONY: all unit luatest test clean FORCE
.SECONDARY:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
