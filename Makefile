# coir: stackful fibers.  `make help` lists the targets.

VERSION := 0.1.0
SOMAJOR := 0

PREFIX     ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
LIBDIR     ?= $(PREFIX)/lib
MANDIR     ?= $(PREFIX)/share/man

BUILD        ?= build
OBJCOPY      ?= objcopy
MANDOC       ?= mandoc
CLANG_FORMAT ?= clang-format-14

# ---- Debian packages, by what they are for. `a|b`: either will do, a is what
# ---- gets installed. Nothing is asked of apt-get when all are there.
DEPS_build := gcc libc6-dev binutils libboost-context-dev|libboost-context1.81-dev
DEPS_test  := $(DEPS_build) check pkg-config
DEPS_ci    := $(DEPS_test) mandoc clang-format-14 clang libclang-rt-14-dev \
              valgrind spin shellcheck g++ gdb \
              curl netcat-openbsd wrk apache2-utils nginx-light

# ---- Layers, lowest first. A layer sees only the public headers of itself and
# ---- of those before it: an upward #include does not compile.
LAYERS   := fiber sched io pools
I_fiber  := -Ifiber
I_sched  := $(I_fiber) -Isched
I_io     := $(I_sched) -Iio
I_pools  := $(I_io) -Ipools
I_user   := $(I_pools)

# ---- Flags: ours first, then the user's CFLAGS, CPPFLAGS, LDFLAGS and LDLIBS.
# ----   WERROR=1  warnings are errors          DEBUG=1  assertions of coir's own
# ----   SANITIZE=address,undefined             V=1      show the commands
STD   := -std=c17 -D_GNU_SOURCE
WARN  := -Wall -Wextra -Wpedantic -Wshadow -Wvla -Wstrict-prototypes \
         -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef \
         -Wimplicit-fallthrough $(if $(WERROR),-Werror)
SAN   := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
         -fno-omit-frame-pointer)
NO_LINUX := -DCOIR_I_NO_LINUX -Itest/portable
WITHOUT  := $(if $(PORTABLE),-include test/portable/without.h)
OWN   := $(STD) $(WARN) -O2 -g $(SAN) $(if $(DEBUG),-DCOIR_I_DEBUG) -pthread \
         $(if $(PORTABLE),$(NO_LINUX)) \
         -iquote .
LIB_CFLAGS = $(OWN) $(WITHOUT) -fPIC -fvisibility=hidden -fno-plt -fno-strict-aliasing \
         -fstack-clash-protection $(I_$(1)) $(CPPFLAGS) $(CFLAGS)
USER_CFLAGS = $(OWN) $(I_user) $(CPPFLAGS) $(CFLAGS)
LINK  = $(CC) -O2 -g $(SAN) $(CFLAGS) $(LDFLAGS) -pthread

# Elsewhere (or PORTABLE=1) there are no process pools.
LINUX_ONLY := $(patsubst %,pools/%.c,process processes jobs places zygote \
         worker_process origin interrupt)
ON_LINUX := $(if $(PORTABLE),,$(filter Linux,$(shell uname)))
SRC   := $(filter-out $(if $(ON_LINUX),pools/elsewhere.c,$(LINUX_ONLY)), \
         $(foreach l,$(LAYERS),$(wildcard $(l)/*.c)))
OBJ := $(SRC:%.c=$(BUILD)/%.o)
PUB := $(wildcard $(LAYERS:%=%/coir/*.h))
MAN := $(sort $(wildcard man/*.3 man/*.7))
LIB := $(BUILD)/libcoir.a
SO  := $(BUILD)/libcoir.so.$(SOMAJOR)

# ---- Output: quiet by default.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)
sub  = $(MAKE) --no-print-directory

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

all: $(LIB) $(if $(SANITIZE),,$(SO)) ## build the library
.PHONY: all

# Other flags, other objects: this file changes when they do.
$(BUILD)/flags: Makefile FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(call LIB_CFLAGS,pools) $(LINK)' | cmp -s - $@ || \
	  echo '$(CC) $(call LIB_CFLAGS,pools) $(LINK)' > $@
.PHONY: FORCE

define layer_rule
$(BUILD)/$(1)/%.o: $(1)/%.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$$(CC) $$(call LIB_CFLAGS,$(1)) -MMD -MP -c -o $$@ $$<
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rule,$(l))))

# The three assembly routines of Boost.Context become coir's own: the linker
# takes just them from the archive, and with their new names no other Boost in
# the process can be mixed with them (frames differ between versions).
FCONTEXT := make_fcontext jump_fcontext ontop_fcontext
$(BUILD)/fiber/boost.o: Makefile
	@mkdir -p $(@D)
	$(call say,LD,$@)archive=$$($(CC) -print-file-name=libboost_context.a) && \
	  { [ -e "$$archive" ] || { echo "libboost_context.a is missing: make deps" >&2; exit 1; }; } && \
	  $(CC) -nostdlib -r -o $@ $(FCONTEXT:%=-Wl,-u,%) "$$archive" && \
	  $(OBJCOPY) $(foreach s,$(FCONTEXT),--redefine-sym $(s)=coir_i_$(s)) $@ && \
	  { readelf -SW $@ | grep -q '\.note\.GNU-stack' || \
	    $(OBJCOPY) --add-section .note.GNU-stack=/dev/null $@; }

# One member: whoever needs io's way to run what may block gets the threads that
# do it. They are made known by a constructor, which no symbol asks for.
OFFLOAD := $(BUILD)/io/offload.o $(addprefix $(BUILD)/pools/, threads.o \
           thread_pool.o thread_pool_life.o call.o names.o \
           $(if $(ON_LINUX),interrupt.o,elsewhere.o))
$(BUILD)/offload_threads.o: $(OFFLOAD)
	$(call say,LD,$@)$(LD) -r -o $@ $^
$(LIB): $(filter-out $(OFFLOAD),$(OBJ)) $(BUILD)/offload_threads.o \
        $(BUILD)/fiber/boost.o
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^

$(SO): $(OBJ) $(BUILD)/fiber/boost.o pools/coir.map
	$(call say,LD,$@)$(LINK) -shared -Wl,-soname,$(@F) \
	  -Wl,--version-script,pools/coir.map -Wl,-z,text -Wl,-z,defs -Wl,-z,now \
	  -Wl,-z,relro -o $@ $(filter %.o,$^) $(LDLIBS)
	@ln -sf $(@F) $(BUILD)/libcoir.so

# ---- Packages

deps: ; $(Q).ci/deps $(DEPS_build:%='%') ## install what building takes (Debian)
deps-test: ; $(Q).ci/deps $(DEPS_test:%='%') ## install what `make test` takes
deps-ci: ; $(Q).ci/deps $(DEPS_ci:%='%') ## install what all the checks take
.PHONY: deps deps-test deps-ci

# ---- Tests: each suite is a program of its own. What else there is in test/
# ---- helps them all.
SUITES  := $(sort $(wildcard test/test_*.c test/stress_*.c test/death_*.c))
# Elsewhere: what tests the parts that are others there, and takes no calls of
# Linux itself.
PORTED  := $(addprefix test/,test_poller% test_read% test_descriptor% test_net \
           test_message test_stream% test_signals% test_waitpid test_lock \
           test_sleep test_scope% test_nursery% test_task% stress_descriptor \
           stress_signals stress_park stress_timer stress_cancel)
HELPERS := $(filter-out $(SUITES),$(wildcard test/*.c))
RUN     := $(patsubst %.c,$(BUILD)/%,$(if $(ON_LINUX),$(SUITES), \
           $(filter $(PORTED:=.c),$(SUITES))))

$(BUILD)/test/%.o: test/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) $$(pkg-config --cflags check) \
	  -MMD -MP -c -o $@ $<
$(RUN): %: %.o $(HELPERS:%.c=$(BUILD)/%.o) $(LIB)
	$(call say,LD,$@)$(LINK) -o $@ $(filter %.o,$^) $(LIB) \
	  $$(pkg-config --libs check) $(LDLIBS)

# What is not for Linux, tested on Linux: over a kevent of our own, in the place
# of what is. test_poller_kqueue does so always, PORTABLE=1 for all suites.
KQUEUE := $(addprefix $(BUILD)/kqueue/,io/poller_kqueue.o io/sys_kqueue.o \
          io/sys_process.o test/portable/kevent_shim.o)
$(KQUEUE): $(BUILD)/kqueue/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(call LIB_CFLAGS,io) $(NO_LINUX) -MMD -MP -c -o $@ $<
$(if $(PORTABLE),$(RUN),$(BUILD)/test/test_poller_kqueue): $(KQUEUE)

test: deps-test ## all suites, the manual's examples, an installed copy
	$(Q)$(sub) suites examples installed servers debugger
	@echo 'make test: all passed'
suites: $(RUN) ## the suites alone
	$(Q)test/run.sh $^
stress: deps-test ## the random ones, each test MINUTES=1 long
	$(Q)MINUTES=$(or $(MINUTES),1) $(sub) RUN='$(filter $(BUILD)/test/stress_%,$(RUN))' suites
seeds: deps-test ## the suites that hold in any order, with SEEDS=100 seeds each
	$(Q)TEST_SEEDS=$(or $(SEEDS),100) COIR_WORKERS= $(sub) suites \
	  RUN="$$(grep -l 'COIR_SUITE(.*TEST_SEEDED' test/*_*.c | sed 's|\(.*\)\.c|$(BUILD)/\1|' | tr '\n' ' ')"
servers: $(addprefix $(BUILD)/bench/,echo_lines http_server fetch) ## those of bench/, under curl, nc, wrk, ab
	$(Q)NEED_ALL='$(NEED_ALL)' test/servers.sh $(BUILD)/bench
installed: all ## an installed copy, used from outside
	$(Q)CC='$(CC)' MAKE='$(MAKE)' BUILD='$(BUILD)' test/installed.sh
debugger: $(LIB) ## gdb's view of fibers, where there is a gdb
	$(Q)CC='$(CC)' BUILD='$(BUILD)' test/gdb_fibers.sh
.PHONY: test suites stress seeds servers installed debugger

# ---- The same under other eyes. A sanitizer is another build folder.
SANITIZED = CK_TIMEOUT_MULTIPLIER=2 $(sub) BUILD=$(BUILD)/$@ DEBUG=1
asan: deps-ci ## suites and examples under ASan and UBSan (gcc)
	$(Q)$(SANITIZED) SANITIZE=address,undefined suites examples
tsan: deps-ci ## suites and examples under TSan (clang)
	$(Q)TSAN_OPTIONS='die_after_fork=0 halt_on_error=1' \
	  $(SANITIZED) CC=clang SANITIZE=thread suites examples
VALGRIND := valgrind -q --error-exitcode=9 --leak-check=full \
            --show-leak-kinds=definite --errors-for-leak-kinds=definite
valgrind: deps-ci ## test_* with two workers under Valgrind
	$(Q)CK_TIMEOUT_MULTIPLIER=4 TEST_SLOWNESS=50 COIR_WORKERS=2 \
	  CK_EXCLUDE_TAGS=limits TEST_UNDER='$(VALGRIND)' \
	  $(sub) RUN='$(filter $(BUILD)/test/test_%,$(RUN))' suites
portable: deps-test ## what is not for Linux builds, and runs on Linux
	$(Q)$(sub) PORTABLE=1 BUILD=$(BUILD)/portable portable-lint suites
portable-lint: $(LIB)
	$(Q)$(CC) $(call LIB_CFLAGS,pools) -M $(SRC) > $(BUILD)/headers
	$(Q)test/lint/portable.sh $(LIB) $(BUILD)/headers
models: deps-ci ## the lock-free protocols in SPIN
	$(Q)test/models/run
coverage: deps-test ## which lines of the library the suites run
	$(Q)find $(BUILD)/coverage -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(sub) BUILD=$(BUILD)/coverage CFLAGS='$(CFLAGS) -O0 --coverage' suites
	$(Q)COVERAGE_MIN=80 test/coverage.sh $(BUILD)/coverage $(LAYERS)
.PHONY: asan tsan valgrind portable portable-lint models coverage

# ---- The manual is tested: each SYNOPSIS is compiled against the headers, each
# ---- EXAMPLE is compiled, run, and its output compared.
EXAMPLES := $(shell sed -n 's/^\.\\" EXAMPLE BEGIN //p' $(MAN) /dev/null)
page_of   = $(shell grep -l 'EXAMPLE BEGIN $(1)$$' $(MAN))

$(BUILD)/man/%.c: $(MAN) man/extract.awk
	@mkdir -p $(@D)
	$(Q)awk -v want=$(@F) -f man/extract.awk $(call page_of,$(@F)) > $@
$(BUILD)/man/%: $(BUILD)/man/%.c $(LIB) $(BUILD)/flags
	$(call say,CC,$(@F).c)$(CC) $(USER_CFLAGS) -Werror -o $@ $< $(LIB) $(LDLIBS)
examples: $(EXAMPLES:%.c=$(BUILD)/man/%) ## the examples in the manual
	$(Q)man/examples.sh $^
.PHONY: examples

# ---- Lint: what runs none of our code
C_FILES := $(wildcard $(LAYERS:%=%/*.[ch]) $(LAYERS:%=%/coir/*.h) test/*.[ch] \
           test/portable/*.[ch] \
           bench/*.[ch])
SCRIPTS := .ci/run .ci/deps $(wildcard test/*.sh test/lint/*.sh man/*.sh \
           bench/*.sh test/models/run)
LINTS   := lint-layers lint-edges lint-style lint-format lint-man lint-symbols \
           lint-scripts

check: deps-ci ## what must pass before a commit: lint and test
	$(Q)$(sub) lint test
lint: $(LINTS) ## every check that runs none of our code
	@echo 'make lint: all passed'
lint-layers: $(LIB) ## nothing runs upward
	$(Q)BUILD='$(BUILD)' test/lint/layers.sh $(LAYERS)
lint-edges: ## every ordered atomic is labeled, every label has two ends
	$(Q)awk -f test/lint/edges.awk $(filter $(LAYERS:%=%/%),$(C_FILES))
lint-style: ## columns, lengths, comments, errno
	$(Q)awk -f test/lint/style.awk $(C_FILES)
lint-format: ## clang-format 14 would change nothing
	$(Q)$(CLANG_FORMAT) --dry-run -Werror $(C_FILES)
lint-man: ## mandoc is silent, each SYNOPSIS is what the headers say
	$(Q)$(MANDOC) -T lint -W warning $(MAN)
	$(Q)for page in $(MAN); do awk -f man/synopsis.awk $$page | \
	  $(CC) $(STD) -Werror $(I_user) -fsyntax-only -xc - || exit 1; done
lint-symbols: $(LIB) $(SO) ## exported is documented
	$(Q)test/lint/symbols.sh $(LIB) $(SO) $(filter %.3,$(MAN))
lint-scripts: ## shellcheck is silent
	$(Q)shellcheck -e SC3045 $(SCRIPTS) # dash has ulimit -v
.PHONY: check lint $(LINTS)

# ---- Measuring: files with a main are programs, the others help them.
MAINS := $(shell grep -lsw '^int main' bench/*.c)
TOOLS := $(filter-out $(MAINS),$(wildcard bench/*.c))
BENCH := $(filter $(BUILD)/bench/bench_%,$(MAINS:%.c=$(BUILD)/%))

$(BUILD)/bench/%.o: bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(USER_CFLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/bench/tools.a: $(TOOLS:%.c=$(BUILD)/%.o)
	$(call say,AR,$@)rm -f $@ && $(AR) rcs $@ $^
$(MAINS:%.c=$(BUILD)/%): %: %.o $(BUILD)/bench/tools.a $(LIB)
	$(call say,LD,$@)$(LINK) -o $@ $^ -lm $(LDLIBS)

timings: deps ## the main job, done in several ways: N=... TSV=1
	$(Q)$(sub) $(BUILD)/bench/timings $(BUILD)/bench/httpd >&2 # TSV is pure
	$(Q)N='$(N)' TSV='$(TSV)' $(BUILD)/bench/timings
bench: deps ## every figure beside its target
	$(Q)$(sub) bench-programs >&2
	$(Q)BUILD='$(BUILD)' bench/run.sh $(BENCH)
bench-programs: $(MAINS:%.c=$(BUILD)/%)
.PHONY: timings bench bench-programs

# ---- Installing. Each name that a page documents is a page, too.
names_of = sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_0-9]*\).*/\1/p'

EXAMPLE_PROGRAMS := serve.h serve.c echo_lines.c http_server.c fetch.c
install: all ## headers, libraries, coir.pc and manual: DESTDIR= PREFIX=
	install -d $(DESTDIR)$(INCLUDEDIR)/coir $(DESTDIR)$(LIBDIR)/pkgconfig \
	  $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man7 \
	  $(DESTDIR)$(PREFIX)/share/coir/examples
	install -m 644 $(PUB) $(DESTDIR)$(INCLUDEDIR)/coir
	install -m 644 pools/coir.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(LIB) $(DESTDIR)$(LIBDIR)
	install -m 755 $(SO) $(DESTDIR)$(LIBDIR)/libcoir.so.$(VERSION)
	ln -sf libcoir.so.$(VERSION) $(DESTDIR)$(LIBDIR)/$(notdir $(SO))
	ln -sf $(notdir $(SO)) $(DESTDIR)$(LIBDIR)/libcoir.so
	printf '%s\n' 'prefix=$(PREFIX)' 'includedir=$(INCLUDEDIR)' \
	  'libdir=$(LIBDIR)' '' 'Name: coir' \
	  'Description: stackful fibers on all cores' 'Version: $(VERSION)' \
	  'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lcoir' \
	  'Libs.private: -pthread' > $(DESTDIR)$(LIBDIR)/pkgconfig/coir.pc
	install -m 644 sched/coir-gdb.py $(DESTDIR)$(PREFIX)/share/coir
	install -m 644 $(EXAMPLE_PROGRAMS:%=bench/%) \
	  $(DESTDIR)$(PREFIX)/share/coir/examples
	install -m 644 $(filter %.7,$(MAN)) $(DESTDIR)$(MANDIR)/man7
	for page in $(filter %.3,$(MAN)); do \
	  for name in $$($(names_of) $$page); do \
	    echo ".so man3/$${page##*/}" > $(DESTDIR)$(MANDIR)/man3/$$name.3; \
	  done; \
	  install -m 644 $$page $(DESTDIR)$(MANDIR)/man3; done
	-@[ -n '$(DESTDIR)' ] || [ "$$(id -u)" != 0 ] || \
	  ! command -v ldconfig >/dev/null || ldconfig
uninstall: ## what install put there
	rm -rf $(DESTDIR)$(INCLUDEDIR)/coir $(DESTDIR)$(PREFIX)/share/coir
	rm -f $(DESTDIR)$(INCLUDEDIR)/coir.h \
	  $(DESTDIR)$(LIBDIR)/pkgconfig/coir.pc $(DESTDIR)$(LIBDIR)/libcoir.a \
	  $(DESTDIR)$(LIBDIR)/libcoir.so $(DESTDIR)$(LIBDIR)/$(notdir $(SO)) \
	  $(DESTDIR)$(LIBDIR)/libcoir.so.$(VERSION) \
	  $(patsubst man/%,$(DESTDIR)$(MANDIR)/man7/%,$(filter %.7,$(MAN))) \
	  $(patsubst man/%,$(DESTDIR)$(MANDIR)/man3/%,$(filter %.3,$(MAN)))
	for page in $(filter %.3,$(MAN)); do \
	  for name in $$($(names_of) $$page); do \
	    rm -f $(DESTDIR)$(MANDIR)/man3/$$name.3; done; done
clean: ## remove what was built
	$(Q)rm -rf $(BUILD)
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14
.PHONY: install uninstall clean help

-include $(patsubst %.c,$(BUILD)/%.d,$(SRC) $(SUITES) $(HELPERS) $(MAINS) $(TOOLS)) \
         $(KQUEUE:.o=.d)
