# moongate. `make help` lists the targets; docs/CONTRIBUTING.md says what goes where.
PREFIX ?= /usr/local
BUILD ?= release
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Half of the tests' time is waiting, so one more of them than there are processors runs at a time.
TEST_JOBS ?= $(shell expr $(JOBS) + 1)
VERSION := 0.1.0
B := build/$(BUILD)

# ---- flags ----
PKGS := lua5.4 libcurl libuv libmicrohttpd libssl libcrypto libpcre2-8 uuid lua5.4-cjson zlib sqlite3
# State on a server: libpq's header is all that the build needs, the library is loaded by whoever uses it.
PQ := $(shell pkg-config --exists libpq 2>/dev/null && echo libpq)
DEP_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags $(PKGS) $(PQ) 2>/dev/null))
DEP_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
# Lua and SQLite are linked in where their archives are at hand: calls into Lua take no detour, and fewer libraries are
# loaded at the start.
archive = $(filter /%,$(shell $(CC) -print-file-name=lib$(1).a 2>/dev/null))
ARCHIVES := $(call archive,lua5.4-cjson) $(call archive,lua5.4)
ifeq ($(words $(ARCHIVES)),2)
DEP_LIBS := $(if $(DEP_LIBS),$(filter-out -llua5.4 -llua5.4-cjson,$(DEP_LIBS)) $(ARCHIVES) -ldl -lm)
endif
SQLITE := $(call archive,sqlite3)
DEP_LIBS := $(if $(SQLITE),$(patsubst -lsqlite3,$(SQLITE),$(DEP_LIBS)),$(DEP_LIBS))
# The prompt edits lines where libedit is at hand.
ifeq ($(shell pkg-config --exists libedit 2>/dev/null && echo yes),yes)
DEP_CFLAGS += -DMOON_LIBEDIT
DEP_LIBS := $(if $(DEP_LIBS),$(DEP_LIBS) $(shell pkg-config --libs libedit))
endif

WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
ifeq ($(CI),true)
WARN += -Werror
endif
# A build of its own folder a BUILD: release, asan, or any other name for another compiler (BUILD=clang CC=clang).
OPT := -O2 -g
ifeq ($(BUILD),asan)
OPT := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
# The release program is optimised as a whole (make bench tells why); the tests link the same objects without that.
ifeq ($(BUILD)$(findstring clang,$(shell $(CC) --version 2>/dev/null)),release)
LTO = -flto=auto -ffat-lto-objects -frandom-seed=$(@F) -ffile-prefix-map=$(CURDIR)=.
endif
# The same sources give the same bytes wherever they lie: no time stamps, no absolute paths.
CFLAGS_ALL = -std=c11 -D_GNU_SOURCE -DMOON_VERSION='"$(VERSION)"' $(if $(PQ),-DMOON_HAVE_LIBPQ) -fPIE -fstack-protector-strong \
             -ffile-prefix-map=$(CURDIR)=. $(OPT) $(LTO) $(WARN) -Iinclude $(DEP_CFLAGS) $(CFLAGS)
LDFLAGS_ALL = -pie -Wl,--as-needed $(OPT) $(LDFLAGS)
LIBS = $(DEP_LIBS) -lm -lpthread

# One short line a command; V=1 shows it whole, -s nothing.
short := $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),,1)
q = $(if $(V),,@)$(if $(short),printf '  %-7s %s\n' $(1) $@;)

# ---- what there is ----
SRC := $(filter-out src/tools/% $(if $(PQ),,src/store/postgres%),$(sort $(wildcard src/*/*.c src/*/*/*.c)))
OBJ := $(SRC:src/%.c=$(B)/obj/%.o) $(B)/obj/embedded.o $(B)/obj/option_table.o
LIBOBJ := $(filter-out $(B)/obj/cli/main.o,$(OBJ))
LUA := $(shell find lua/moongate lua/meta scripts -type f \( -name '*.lua' -o -name '*.json' \) 2>/dev/null | LC_ALL=C sort)
UNIT := $(patsubst tests/unit/%.c,$(B)/%,$(sort $(wildcard tests/unit/test_*.c)))
LUATEST := $(sort $(wildcard tests/lua/test_*.lua tests/regress/test_*.lua))
E2E := $(sort $(wildcard tests/e2e/*.t tests/regress/*.t))

all: build/moongate ## build build/moongate (the default)

# ---- the program ----
ifeq ($(BUILD),release)
build/moongate: $(B)/moongate
	@ln -sf $(BUILD)/moongate $@
else
build/moongate: $(B)/moongate
endif

$(B)/moongate: $(OBJ)
	$(call q,LINK)$(CC) $(LDFLAGS_ALL) $(LTO) -o $@ $^ $(LIBS)

$(B)/obj/%.o: src/%.c $(B)/flags | need-deps
	@mkdir -p $(@D)
	$(call q,CC)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/embed: src/tools/embed.c $(B)/flags | need-deps
	@mkdir -p $(@D)
	$(call q,CC)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARN) -Iinclude $(DEP_CFLAGS) -o $@ $< $(DEP_LIBS)

$(B)/embedded.c: $(B)/embed $(LUA) $(B)/lua.list
	$(call q,EMBED)$(B)/embed $@ $(LUA)

$(B)/obj/embedded.o: $(B)/embedded.c
	@mkdir -p $(@D)
	$(call q,CC)$(CC) $(CFLAGS_ALL) -MMD -MP -c -o $@ $<

$(B)/options: src/tools/options.c $(B)/flags | need-deps
	@mkdir -p $(@D)
	$(call q,CC)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g $(WARN) $(DEP_CFLAGS) -o $@ $< $(DEP_LIBS)

$(B)/option_table.c: $(B)/options lua/moongate/global_flags.lua
	$(call q,OPTIONS)$(B)/options $@ lua/moongate/global_flags.lua

$(B)/obj/option_table.o: $(B)/option_table.c
	@mkdir -p $(@D)
	$(call q,CC)$(CC) $(CFLAGS_ALL) -Isrc -MMD -MP -c -o $@ $<

# These two change when their content does: the embedded set follows a Lua file that comes or goes, the objects follow the flags.
$(B)/lua.list: FORCE
	@mkdir -p $(@D); echo '$(LUA)' | cmp -s - $@ || echo '$(LUA)' >$@
$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(CFLAGS_ALL))' >$@

need-deps:
	@[ -n '$(DEP_LIBS)' ] || { echo 'Some libraries are missing: run "make deps".' >&2; exit 1; }

$(B)/completion/%: $(B)/moongate
	@mkdir -p $(@D)
	$(B)/moongate completion $* >$@.tmp && mv $@.tmp $@

$(B)/moongate.1: $(B)/moongate
	$(B)/moongate help --man >$@.tmp && mv $@.tmp $@

# ---- tests ----
$(B)/libmoongate.a: $(LIBOBJ)
	$(call q,AR)rm -f $@; $(AR) rcs $@ $^

$(B)/obj/tests/%.o: tests/unit/%.c $(B)/flags | need-deps
	@mkdir -p $(@D)
	$(call q,CC)$(CC) $(CFLAGS_ALL) -Itests/unit -MMD -MP -c -o $@ $<

# A test named *_oom makes allocations fail, so it gets between us and the allocator.
$(B)/test_%_oom: TEST_LDFLAGS = -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc
$(B)/test_%: $(B)/obj/tests/test_%.o $(B)/libmoongate.a
	$(call q,LINK)$(CC) $(LDFLAGS_ALL) $(if $(LTO),-fno-lto) $(TEST_LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

unit: $(UNIT) ## the C unit tests alone
	@[ -z "$(UNIT)" ] || MOONGATE=$(B)/moongate prove -j $(TEST_JOBS) -e tests/run $(UNIT)

luatest: all ## the Lua tests alone
	@[ -z "$(LUATEST)" ] || $(B)/moongate test $(LUATEST)

e2e: all ## the end-to-end tests alone
	@[ -z "$(E2E)" ] || MOONGATE=$(B)/moongate prove -j $(TEST_JOBS) -e tests/run $(E2E)

test: ## install what is missing, build, run every test
	@.ci/deps build test
	@.ci/deps --peers
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=$(BUILD) check-build
	@$(MAKE) --no-print-directory BUILD=$(BUILD) check

# What `make install` adds is built first: the tests run side by side, and two of them install.
check-build: all $(UNIT) $(B)/moongate.1 $(B)/reference/README.md $(addprefix $(B)/completion/,bash zsh fish)
check: check-build
	@MOONGATE=$(B)/moongate prove -j $(TEST_JOBS) -e tests/run $(E2E) $(UNIT) $(LUATEST)

asan: ## unit and Lua tests under AddressSanitizer and UBSan
	@.ci/deps build test
	@$(MAKE) --no-print-directory -j$(JOBS) BUILD=asan check-build
	@ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 LSAN_OPTIONS=suppressions=tests/lint/lsan.supp:print_suppressions=0 \
	 UBSAN_OPTIONS=print_stacktrace=1 $(MAKE) --no-print-directory BUILD=asan check E2E=

lint: ## formatting, static analysis and the project's own rules
	@.ci/deps build lint
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@JOBS=$(JOBS) tests/lint/run

bench: ## the speed table of docs/design.md on this machine
	@.ci/deps build test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@tests/bench/run
	@tests/bench/route
	@tests/bench/store

crash: all ## kill each bundled workflow at each write, sync, send and answer, and take it up again (takes a quarter of an hour)
	@CRASH_EVERY=$${CRASH_EVERY:-1} MOONGATE=$(B)/moongate prove -ve tests/run tests/e2e/crash.t tests/e2e/crash_postgres.t

soak: all ## the long forms of end-to-end tests: route-prompts (100,000 prompts), queues (20,000), odd answers (20,000 to each job), forged audit logs (20,000)
	@PROMPTS=$${PROMPTS:-100000} MOONGATE=$(B)/moongate prove -ve tests/run tests/e2e/route.t
	@PROMPTS=$${QUEUED:-20000} MOONGATE=$(B)/moongate prove -ve tests/run tests/e2e/work.t
	@MOONGATE_SOAK=1 MOONGATE=$(B)/moongate prove -ve tests/run tests/e2e/answers.t tests/e2e/audit_proof.t
	@MOONGATE_SOAK=1 MOONGATE=$(B)/moongate prove -ve tests/run tests/lua/test_checkpoint.lua tests/lua/test_approvals.lua
	@POSTS=$${POSTS:-20000} INDEXES=$${INDEXES:-600} MOONGATE=$(B)/moongate prove -ve tests/run tests/e2e/network.t

demo: ## build, run all five workflows against the simulated gateway, show what each did
	@.ci/deps build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@rm -rf build/demo
	@export MOONGATE_STATE=build/demo; set -e; \
	 show() { printf '\n$$ moongate %s\n' "$$*"; build/moongate "$$@"; }; \
	 show --sim promote-template scripts/examples/support_answer.txt --split 20% --variant concise; \
	 show --sim register-model scripts/examples/model.json; \
	 show --sim configure-model scripts/examples/model_configuration.json; \
	 show --sim route-prompts --model sim-small --fallback sim-large scripts/examples/prompts.jsonl; \
	 show --sim deploy-index scripts/examples/index.json; \
	 printf '\nWhat each did, from the audit log:\n'; \
	 show --sim audit show --action VERSION_PROMOTION --action model_registration --action configuration_update \
	  --action prompt_route --action index_update; \
	 show --sim audit verify

reference: $(B)/reference/README.md ## the reference of all modules, in the build's folder

$(B)/reference/README.md: $(B)/moongate
	@rm -rf $(B)/reference
	@$(B)/moongate help --reference $(B)/reference

# ---- the rest ----
deps: ## install what building and testing needs (apt; names the brew packages on macOS)
	@.ci/deps build test

install: all $(B)/moongate.1 $(B)/reference/README.md $(addprefix $(B)/completion/,bash zsh fish) ## install into $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/moongate/meta \
	        $(DESTDIR)$(PREFIX)/share/moongate/examples
	install -m 755 $(B)/moongate $(DESTDIR)$(PREFIX)/bin/moongate
	install -m 644 $(B)/moongate.1 $(DESTDIR)$(PREFIX)/share/man/man1/moongate.1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
	        $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 $(B)/completion/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/moongate
	install -m 644 $(B)/completion/zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_moongate
	install -m 644 $(B)/completion/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/moongate.fish
	install -m 644 lua/meta/*.lua $(DESTDIR)$(PREFIX)/share/moongate/meta
	install -d $(DESTDIR)$(PREFIX)/share/doc/moongate/reference
	install -m 644 README.md LICENSE docs/*.md docs/openapi.yaml $(DESTDIR)$(PREFIX)/share/doc/moongate
	install -m 644 $(B)/reference/*.md $(DESTDIR)$(PREFIX)/share/doc/moongate/reference
	install -m 644 scripts/examples/*.json scripts/examples/*.jsonl scripts/examples/*.lua $(DESTDIR)$(PREFIX)/share/moongate/examples

deb: all ## build a Debian package in build/
	@MAKE='$(MAKE)' packaging/debian/build $(VERSION)

dist: ## build the source archive of the last commit in build/; the same commit gives the same bytes
	@mkdir -p build
	@git archive --format=tar --prefix=moongate-$(VERSION)/ HEAD | gzip -9n >build/moongate-$(VERSION).tar.gz
	@echo build/moongate-$(VERSION).tar.gz

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9_-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile
	@echo '  Variables: PREFIX=$(PREFIX) DESTDIR= BUILD=$(BUILD) CC=$(CC) CFLAGS= LDFLAGS= V=1 CI=true (warnings are errors)'

FORCE:
.PHONY: all need-deps unit luatest e2e reference test check-build check asan lint bench crash soak demo deps install deb dist clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
