# cmcwh. `make help` lists the targets and switches.

CIVETWEB_SRC ?= build/deps/civetweb
PREFIX ?= /usr/local
SMALL ?= 0
# For little flash: slower CRC, no tables for unwinding, no gaps between segments.
ifeq ($(SMALL),1)
CFLAGS ?= -Os -DCMCWH_CRC_SLICES=1 -fno-asynchronous-unwind-tables
LDFLAGS += -Wl,-z,noseparate-code
endif
CFLAGS ?= -O2 -g
TEST_OPTIONS ?=
RUN_OPTIONS ?=

# A cross build is for a small device: one static file without OpenSSL, unless told otherwise.
ifdef CROSS_COMPILE
CC = $(CROSS_COMPILE)gcc
AR = $(CROSS_COMPILE)ar
STATIC ?= 1
TLS ?= 0
JSMN_INCLUDE ?= build/deps/include
endif
STATIC ?= 0
TLS ?= 1
WERROR ?= 0
SANITIZE ?=
V ?= 0

WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

# What is not called is left out.
FLAGS := $(CFLAGS) -pthread -ffunction-sections -fdata-sections
ifneq ($(SANITIZE),)
ifeq ($(SANITIZE),address)
FLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else ifeq ($(SANITIZE),fuzzer)
FLAGS += -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
else
FLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer
endif
endif
LINK := $(LDFLAGS) -Wl,--gc-sections
ifeq ($(STATIC),1)
LINK += -static
endif

# civetweb with what we need only. It adds up chunk sizes without looking for overflow: -fwrapv says
# what happens then (a negative length, which never completes). It has races of its own when it stops, so ThreadSanitizer does not
# look at it. Its worker threads use some 17 KiB of stack and OpenSSL more; a
# sanitizer needs far more.
STACK ?= $(if $(SANITIZE),1048576,131072)
CIVETWEB_FLAGS := -DNO_FILES -DNO_FILESYSTEMS -DNO_CGI -DNO_CACHING -DNO_POPEN -DNO_ALTERNATIVE_QUEUE -DUSE_IPV6 \
	-DUSE_STACK_SIZE=$(STACK) -DSOCKET_TIMEOUT_QUANTUM=200 -DMAX_WORKER_THREADS=1024
ifeq ($(TLS),1)
CIVETWEB_FLAGS += -DNO_SSL_DL -DOPENSSL_API_3_0
LIBRARIES := -lssl -lcrypto
else
CIVETWEB_FLAGS += -DNO_SSL
endif

# Objects of different settings never meet: each setting has a directory.
CIVETWEB_C := -w -fno-strict-aliasing -fwrapv
SETTINGS := $(CIVETWEB_C) $(CC) $(CPPFLAGS) $(FLAGS) $(LINK) $(CIVETWEB_FLAGS) $(CIVETWEB_SRC) $(WARNINGS)
OUT := build/$(shell printf '%s' '$(subst ','\'',$(SETTINGS))' | cksum | cut -d' ' -f1)

JSMN := $(addprefix -isystem ,$(JSMN_INCLUDE))
PORTABLE_C := $(CC) -std=c99 $(CPPFLAGS) $(FLAGS) $(WARNINGS) -I. $(JSMN) -MMD -MP
# On 32-bit processors too, files may be large and the year 2038 may come.
WIDE := -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
PORT_C := $(CC) -std=c99 -D_GNU_SOURCE $(WIDE) -DCMCWH_TLS=$(TLS) $(CPPFLAGS) $(FLAGS) $(WARNINGS) -I. $(JSMN) \
	-isystem $(CIVETWEB_SRC)/include -MMD -MP

PORT_OBJECTS := $(patsubst port/posix/%.c,$(OUT)/%.o,\
	$(filter-out port/posix/civetweb.c,$(wildcard port/posix/*.c)))
UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
# Counts what civetweb allocates, in place of the C library: a static one cannot be replaced.
SERVER_SOURCES := $(if $(filter 1,$(STATIC)),,$(wildcard tests/unit/server_*.c))
EMBED_SOURCES := $(wildcard tests/embed/*.c)
UNIT_PROGRAMS := $(UNIT_SOURCES:tests/%.c=$(OUT)/%) $(EMBED_SOURCES:tests/%.c=$(OUT)/%) \
	$(SERVER_SOURCES:tests/%.c=$(OUT)/%)

ifeq ($(V),1)
say =
else
say = @echo '  $(1)';
endif

.PHONY: all deps test-deps run test test-long unit unit-test bench bench-deps bench-json bench-instructions bench-profile bench-curves bench-peers fuzz fuzzers cross-test cross-deps openwrt-test least-test size soak coverage show-out lint lint-format lint-tidy lint-cppcheck install uninstall clean distclean help always \
	firmware firmware-test firmware-check
.DELETE_ON_ERROR:

all: cmcwh libcmcwh.a

help:
	@echo 'make              ./cmcwh and ./libcmcwh.a'
	@echo 'make deps         install what is missing (Debian, Ubuntu), or say what is'
	@echo 'make run          start it on 127.0.0.1:8080; RUN_OPTIONS="..." for cmcwh serve'
	@echo 'make test         all tests; TEST_OPTIONS="--only NAME" for some integration tests'
	@echo 'make test-deps    install the real clients (Java, Go, Node.js, Python) that some tests need'
	@echo 'make test-long    power cuts and kills for some minutes'
	@echo 'make cross-deps cross-test   builds and tests for other processors, under qemu'
	@echo 'make scale-deps scale-test   three of them behind HAProxy and nginx, into rsyslog and Redis'
	@echo 'make fuzz         run each fuzzer for FUZZ_SECONDS (60)'
	@echo 'make bench        measure the portable part and the server'
	@echo 'make bench-deps   install what the following need'
	@echo 'make bench-peers  beside other receivers of webhooks; BENCH_QUICK=1 in two minutes'
	@echo 'make bench-json   beside other JSON libraries; YYJSON_SRC=PATH adds yyjson'
	@echo 'make bench-instructions bench-profile   instructions of each library; where those of cmcwh go'
	@echo 'make bench-curves how the cost grows with events, connections, records and sinks, into tests/bench/curves'
	@echo 'make lint         clang-format, clang-tidy, cppcheck, leaf first'
	@echo 'make size         bytes of text, data and memory, for each target'
	@echo 'make firmware     an example without an operating system, for Cortex-M3; make firmware-test: in qemu'
	@echo 'make firmware-check  sizes, stack and symbols of the portable part on small processors'
	@echo 'make install      to DESTDIR, PREFIX=$(PREFIX), LIBDIR; make uninstall'
	@echo 'make install-test use what make install installs, in each way'
	@echo 'make deb          Debian packages, in build/deb'
	@echo 'make clean        remove what was built; make distclean: dependencies too'
	@echo 'CC CFLAGS CPPFLAGS LDFLAGS CROSS_COMPILE=PREFIX-   as usual'
	@echo 'SMALL=1           for little flash; with CROSS_COMPILE, or STATIC=1 TLS=0'
	@echo 'CIVETWEB_SRC=PATH civetweb, 1.15 or 1.16 (default: from make deps)'
	@echo 'TLS=0 STATIC=1 WERROR=1 V=1 SANITIZE=address|thread'

# What a build needs and who can bring it: said in one line, before the compiler says it in many.
need_civetweb = test -f '$(CIVETWEB_SRC)/src/civetweb.c' || { echo "civetweb's source is not at\
	'$(CIVETWEB_SRC)': run 'make deps', or name a copy with CIVETWEB_SRC=PATH" >&2; exit 1; }
need_header = echo '\#include <$(1)>' | $(CC) $(CPPFLAGS) $(JSMN) -E -x c - >/dev/null 2>&1 || { \
	echo "the header $(1) is missing: run 'make deps', or install $(2)" >&2; exit 1; }

# `make deps test-deps test` in parallel: one after the other.
DEPS_GOALS := $(filter deps test-deps,$(MAKECMDGOALS))
$(OUT)/checked $(OUT)/checked-server: | $(DEPS_GOALS)
test-deps: | $(filter deps,$(DEPS_GOALS))

$(OUT)/checked:
	@mkdir -p $(OUT)/unit $(OUT)/embed $(OUT)/bench
	@command -v $(firstword $(CC)) >/dev/null || { \
		echo "the compiler '$(firstword $(CC))' is missing: run 'make deps', or name one with CC" >&2; exit 1; }
	@$(call need_header,jsmn.h,jsmn (libjsmn-dev))
	@touch $@

$(OUT)/checked-server: | $(OUT)/checked
	@$(need_civetweb)
ifeq ($(TLS),1)
	@$(call need_header,openssl/ssl.h,OpenSSL (libssl-dev) or build with TLS=0)
endif
	@touch $@

$(OUT)/cmcwh.o: cmcwh.c | $(OUT)/checked-server
	$(call say,CC $<)$(PORTABLE_C) -isystem $(CIVETWEB_SRC)/include -c $< -o $@

$(OUT)/cmcwh-embedded.o: cmcwh.c | $(OUT)/checked
	$(call say,CC $< (without server))$(PORTABLE_C) -DCMCWH_NO_SERVER -c $< -o $@

$(OUT)/civetweb.o: port/posix/civetweb.c port/posix/civetweb_extra.h | $(OUT)/checked-server
	$(call say,CC civetweb)$(CC) -std=gnu99 $(WIDE) $(CPPFLAGS) $(filter-out -fsanitize=thread,$(FLAGS)) $(CIVETWEB_C) \
		$(CIVETWEB_FLAGS) -I$(CIVETWEB_SRC)/include -I$(CIVETWEB_SRC)/src -Iport/posix -c $< -o $@

$(OUT)/%.o: port/posix/%.c | $(OUT)/checked-server
	$(call say,CC $<)$(PORT_C) -c $< -o $@

$(OUT)/cmcwh: $(PORT_OBJECTS) $(OUT)/cmcwh.o $(OUT)/civetweb.o
	$(call say,LD cmcwh)$(CC) $(FLAGS) $(LINK) $^ $(LIBRARIES) -o $@

# The settings may have changed since ./cmcwh was made: always look, copy when it differs.
cmcwh: $(OUT)/cmcwh always
	@cmp -s $< $@ || cp $< $@

# The library is for those who bring their own HTTP: it needs no civetweb.
$(OUT)/libcmcwh.a: $(OUT)/cmcwh-embedded.o
	$(call say,AR libcmcwh.a)rm -f $@ && $(AR) rcs $@ $^

libcmcwh.a: $(OUT)/libcmcwh.a always
	@cmp -s $< $@ || cp $< $@

deps:
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' sh port/debian/deps.sh

# What only the tests with real clients need; without it they are skipped.
test-deps:
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' sh port/debian/deps.sh test

run: cmcwh
	@echo 'Try, in another terminal:'
	@echo "  curl -i -H 'Content-Type: application/json' --data-binary" \
		'@tests/payloads/deliveries-queued.json http://127.0.0.1:8080/mails'
	@./cmcwh serve $(RUN_OPTIONS)

# The system's cmocka is for the system's processor: for another one it is compiled from its source.
CMOCKA_SRC ?= $(if $(CROSS_COMPILE),build/deps/cmocka)
ifneq ($(CMOCKA_SRC),)
CMOCKA := $(OUT)/unit/cmocka.o
CMOCKA_H := -isystem $(CMOCKA_SRC)/include
CMOCKA_C := -std=gnu99 -w -DHAVE_CLOCK_GETTIME -DHAVE_INTTYPES_H -DHAVE_MALLOC_H -DHAVE_SIGNAL_H -DHAVE_SNPRINTF \
	-DHAVE_STDLIB_H -DHAVE_STRSIGNAL -DHAVE_STRUCT_TIMESPEC -DHAVE_UNISTD_H -DHAVE_VSNPRINTF
else
CMOCKA := -lcmocka
endif

$(OUT)/unit/cmocka.o: | $(OUT)/checked
	$(call say,CC cmocka)$(CC) $(FLAGS) $(CMOCKA_C) $(CMOCKA_H) -c $(CMOCKA_SRC)/src/cmocka.c -o $@

UNIT_SHARED := $(OUT)/unit/support.o $(OUT)/unit/disk.o
UNIT_C := $(PORTABLE_C) $(CMOCKA_H) -D_POSIX_C_SOURCE=200809L -DCMCWH_NO_SERVER
UNIT_LINKED := $(UNIT_SHARED) $(filter %.o,$(CMOCKA))

$(UNIT_SHARED): $(OUT)/unit/%.o: tests/unit/%.c | $(OUT)/checked
	$(call say,CC $<)$(UNIT_C) -c $< -o $@

$(OUT)/unit/test_%: tests/unit/test_%.c $(UNIT_LINKED) $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(UNIT_C) $(LINK) $< $(UNIT_SHARED) $(OUT)/cmcwh-embedded.o $(CMOCKA) -o $@

$(OUT)/unit/server_%: tests/unit/server_%.c $(UNIT_LINKED) $(OUT)/cmcwh.o $(OUT)/civetweb.o
	$(call say,CC $<)$(PORT_C) $(CMOCKA_H) $(if $(SANITIZE),-DSANITIZED) $(LINK) $< $(OUT)/unit/support.o \
		$(OUT)/cmcwh.o $(OUT)/civetweb.o $(CMOCKA) $(LIBRARIES) -o $@

$(OUT)/embed/%: tests/embed/%.c $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER $(LINK) $< $(OUT)/cmcwh-embedded.o -o $@

$(OUT)/golden/make: tests/golden/make.c $(OUT)/cmcwh-embedded.o
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER $(LINK) $(filter-out %.h,$^) -o $@

unit: $(UNIT_PROGRAMS)
	@echo $^

unit-test: $(UNIT_PROGRAMS) $(OUT)/golden/make
	@INTEGRATION=0 OBJECT=$(OUT)/cmcwh-embedded.o GOLDEN=$(OUT)/golden/make SANITIZE='$(SANITIZE)' \
		sh tests/run.sh '$(UNIT_PROGRAMS)' none

test: cmcwh $(UNIT_PROGRAMS) $(OUT)/cmcwh-embedded.o $(OUT)/golden/make
	@OBJECT=$(OUT)/cmcwh-embedded.o GOLDEN=$(OUT)/golden/make SANITIZE='$(SANITIZE)' sh tests/run.sh '$(UNIT_PROGRAMS)' \
		$(OUT)/cmcwh $(TEST_OPTIONS)

# Ten times as many power cuts and five times as many kills.
test-long: cmcwh $(UNIT_PROGRAMS)
	CMCWH_SEEDS=320 $(OUT)/unit/test_power
	CMCWH_KILLS=1000 python3 tests/integration/run.py --cmcwh $(OUT)/cmcwh --only killed

BENCH_C := $(PORTABLE_C) -D_GNU_SOURCE -DCMCWH_NO_SERVER $(LINK)

$(OUT)/bench/bench $(OUT)/bench/profile: $(OUT)/bench/%: tests/bench/%.c tests/bench/bodies.c $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(BENCH_C) $(filter-out %.h,$^) -o $@

$(OUT)/bench/json: tests/bench/json.c tests/bench/bodies.c $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(BENCH_C) $(filter-out %.h,$^) -ldl -o $@

# Other libraries, each in a shared object of its own. Their functions may be inlined, as in a program.
BENCH_SHARED := $(CPPFLAGS) $(WARNINGS) -I. -MMD -MP -fPIC -fno-semantic-interposition -shared
JSON_cjson := -lcjson
JSON_jansson := -ljansson
JSON_jsonc := -ljson-c
JSON_yyjson = -isystem $(YYJSON_SRC)/src -x none $(OUT)/bench/yyjson.o

$(OUT)/bench/json_%.so: tests/bench/json_%.c | $(OUT)/checked
	$(call say,CC $<)$(CC) -std=c99 $(FLAGS) $(BENCH_SHARED) $< $(JSON_$*) -o $@

$(OUT)/bench/json_simdjson.so: tests/bench/json_simdjson.cpp | $(OUT)/checked
	$(call say,CXX $<)$(CXX) -std=c++17 $(CXXFLAGS) -DNDEBUG $(filter-out -Wstrict-prototypes -Wmissing-prototypes -Wshadow,$(BENCH_SHARED)) \
		$< -lsimdjson -o $@

$(OUT)/bench/json_yyjson.so: $(OUT)/bench/yyjson.o

$(OUT)/bench/yyjson.o: $(YYJSON_SRC)/src/yyjson.c | $(OUT)/checked
	$(call say,CC yyjson)$(CC) -std=c99 $(FLAGS) -w -fPIC -fno-semantic-interposition -c $(YYJSON_SRC)/src/yyjson.c -o $@

$(OUT)/bench/bare: tests/bench/bare.c $(OUT)/civetweb.o
	$(call say,CC $<)$(PORT_C) $(LINK) $(filter-out %.h,$^) $(LIBRARIES) -o $@

# Fuzzers: `make fuzz` builds them with clang and libFuzzer, and runs each for FUZZ_SECONDS.
FUZZERS := json form multipart differential frame ring request
FUZZ_SECONDS ?= 60
FUZZ_C = $(PORTABLE_C) -DCMCWH_NO_SERVER -fsanitize=fuzzer

$(OUT)/fuzz/fuzz.o: tests/fuzz/fuzz.c | $(OUT)/checked
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER -c $< -o $@

$(addprefix $(OUT)/fuzz/,json form multipart): $(OUT)/fuzz/%: tests/fuzz/body.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $< ($*))$(FUZZ_C) -DFUZZ_FORMAT=CMCWH_$(shell echo $* | tr a-z A-Z) $(filter-out %.h,$^) -o $@

$(OUT)/fuzz/differential: tests/fuzz/differential.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(FUZZ_C) $(filter-out %.h,$^) -ljansson -o $@

$(OUT)/fuzz/frame $(OUT)/fuzz/ring: $(OUT)/fuzz/%: tests/fuzz/%.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(FUZZ_C) $(filter-out %.h,$^) -o $@

$(OUT)/fuzz/request: tests/fuzz/request.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh.o $(OUT)/civetweb.o
	$(call say,CC $<)$(PORT_C) -fsanitize=fuzzer $(filter-out %.h,$^) $(LIBRARIES) -o $@

fuzzers: $(addprefix $(OUT)/fuzz/,$(FUZZERS))
	@echo $(OUT)/fuzz

fuzz:
	@$(MAKE) CC=clang SANITIZE=fuzzer fuzzers
	@sh tests/fuzz/run.sh "$$($(MAKE) -s CC=clang SANITIZE=fuzzer fuzzers)" $(FUZZ_SECONDS) $(FUZZERS)

# Beside other JSON libraries. Debian has no yyjson: a copy is named with YYJSON_SRC=PATH.
CXXFLAGS ?= -O2 -g
JSON_LIBRARIES := $(patsubst %,$(OUT)/bench/json_%.so,cjson jansson jsonc simdjson $(if $(YYJSON_SRC),yyjson))
PAYLOADS := $(wildcard tests/payloads/deliveries-*.json)
no_yyjson = $(if $(YYJSON_SRC),,@echo 'yyjson is left out: name a copy of its source with YYJSON_SRC=PATH (src/yyjson.c in it)')

bench-json: $(OUT)/bench/json $(JSON_LIBRARIES)
	$(no_yyjson)
	@$< $(JSON_LIBRARIES) $(PAYLOADS)

# Instructions, counted by valgrind: they do not depend on what else the machine does.
bench-instructions: $(OUT)/bench/json $(JSON_LIBRARIES)
	$(no_yyjson)
	@python3 tests/bench/callgrind.py instructions $< $(JSON_LIBRARIES) $(PAYLOADS)

# Where they go, in cmcwh.
bench-profile: $(OUT)/bench/profile
	@python3 tests/bench/callgrind.py profile $< $(PAYLOADS)

# How the cost grows with the work.
bench-curves: cmcwh
	@python3 tests/bench/curves.py ./cmcwh

bench: cmcwh $(OUT)/bench/bench $(OUT)/bench/bare
	@sh tests/bench/run.sh $(OUT)/bench/bench $(OUT)/bench/bare ./cmcwh

# Beside other receivers of webhooks: see tests/bench/peers/README.md.
bench-deps:
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' sh port/debian/deps.sh bench

# Beside it, for its size, the smallest cmcwh that can be made here.
bench-peers: OF_SIZE := SMALL=1 STATIC=1 TLS=0 \
	$(if $(and $(shell command -v musl-gcc),$(wildcard build/deps/include)),CC=musl-gcc JSMN_INCLUDE=build/deps/include)
bench-peers: cmcwh $(OUT)/bench/bare
	@for program in wrk node webhook; do command -v $$program >/dev/null || { \
		echo "$$program is missing: run 'make bench-deps'" >&2; exit 1; }; done
	@small=$$($(MAKE) -s $(OF_SIZE) show-out)/cmcwh; $(MAKE) -s $(OF_SIZE) "$$small" >/dev/null && \
		python3 tests/bench/peers/run.py $(BENCH_OPTIONS) $(OUT)/bench/bare "$$small"

# The same for other processors, under qemu: see tests/cross/run.sh.
cross-test: cmcwh
	@sh tests/cross/run.sh $(CROSS_TARGETS)

openwrt-test: cmcwh
	@sh tests/openwrt/run.sh ./cmcwh

# Without the parts that a small firmware may leave out.
LEAST := -DCMCWH_NO_FORMS -DCMCWH_NO_STORAGE -DCMCWH_NO_LOGFMT -DCMCWH_NO_SHORTCUTS -DCMCWH_CRC_SLICES=0
least-test: tests/size/least.c cmcwh.c cmcwh.h
	@mkdir -p build/least
	@$(PORTABLE_C) -Werror -DCMCWH_NO_SERVER $(LEAST) -MF build/least/least.d tests/size/least.c cmcwh.c -o build/least/least
	@build/least/least

.PHONY: scale-deps scale-test scale-bench

# Several cmcwh with the engines of port/scale around them.
scale-deps:
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' sh port/debian/deps.sh scale

scale-test: cmcwh
	@python3 tests/scale/run.py --cmcwh ./cmcwh

scale-bench: cmcwh
	@python3 tests/scale/rates.py ./cmcwh

size: cmcwh
	@sh tests/size/run.sh

cross-deps:
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' sh port/debian/deps.sh cross

# Good, bad and slow clients for SOAK_SECONDS.
soak: cmcwh
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),900) python3 tests/integration/soak.py $(OUT)/cmcwh

# Which lines and branches of cmcwh.c the tests reach.
coverage:
	@sh tests/coverage.sh

show-out:
	@echo $(OUT)

# Firmware: compilers of its own, so a Makefile of its own.
firmware firmware-test firmware-check:
	@$(MAKE) --no-print-directory -f port/baremetal/Makefile $@

firmware-test: cmcwh

SOURCES := cmcwh.c cmcwh.h $(wildcard port/posix/*.[ch] tests/*/*.[ch])
TIDY := $(addprefix tidy-,$(filter-out %.h port/posix/civetweb.c tests/bench/json_yyjson.c,$(SOURCES)))

lint: lint-order lint-format lint-tidy lint-cppcheck

# Each function calls only what stands above it.
.PHONY: lint-order
lint-order:
	@python3 tests/order.py cmcwh.c

lint-format:
	clang-format --dry-run -Werror $(SOURCES) $(wildcard port/baremetal/*.[ch] tests/bench/*.cpp)

lint-tidy: $(TIDY)

$(TIDY): tidy-%: % | $(OUT)/checked-server
	@clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c99 -D_GNU_SOURCE -DCMCWH_TLS=$(TLS) -I. \
		-isystem $(CIVETWEB_SRC)/include

lint-cppcheck:
	cppcheck --quiet --error-exitcode=1 --std=c99 --inline-suppr --enable=warning,performance,portability \
		--suppress=missingIncludeSystem -DCMCWH_TLS=$(TLS) -I. cmcwh.c \
		$(filter-out port/posix/civetweb.c,$(wildcard port/posix/*.c))

# What is installed, and by which numbers it is known: cmcwh.h has them. The number of the shared
# library is the major one of the API.
LIBDIR ?= $(PREFIX)/lib
VERSION := $(shell sed -n 's/^.define CMCWH_VERSION "\(.*\)"/\1/p' cmcwh.h)
ABI := $(shell printf %d $$(sed -n 's/^.define CMCWH_API_VERSION \(0x....\).*/\1/p' cmcwh.h))
SHARED := $(if $(filter 1,$(STATIC)),,$(OUT)/libcmcwh.so.$(ABI))
PACKAGED := $(addprefix $(OUT)/,cmcwh.pc cmcwhConfigVersion.cmake)
MAN := $(DESTDIR)$(PREFIX)/share/man
LIB := $(DESTDIR)$(LIBDIR)

.PHONY: install-test deb

$(OUT)/cmcwh-shared.o: cmcwh.c | $(OUT)/checked
	$(call say,CC $< (shared))$(PORTABLE_C) -fPIC -DCMCWH_NO_SERVER -c $< -o $@

$(OUT)/libcmcwh.so.$(ABI): $(OUT)/cmcwh-shared.o port/library/cmcwh.map
	$(call say,LD $(@F))$(CC) $(FLAGS) $(LINK) -shared -Wl,-soname,$(@F) \
		-Wl,--version-script=port/library/cmcwh.map $< -o $@

# PREFIX may differ from one `make install` to the next.
$(PACKAGED): $(OUT)/%: port/library/%.in always | $(OUT)/checked
	@sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' $< >$@

install: all $(SHARED) $(PACKAGED)
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/include' \
		'$(DESTDIR)$(PREFIX)/share/doc/cmcwh' '$(MAN)/man8' '$(MAN)/ja/man8' \
		'$(LIB)/pkgconfig' '$(LIB)/cmake/cmcwh'
	install -m 755 cmcwh '$(DESTDIR)$(PREFIX)/bin/'
	install -m 644 cmcwh.h '$(DESTDIR)$(PREFIX)/include/'
	install -m 644 libcmcwh.a $(SHARED) '$(LIB)/'
	$(if $(SHARED),ln -sf libcmcwh.so.$(ABI) '$(LIB)/libcmcwh.so')
	install -m 644 $(OUT)/cmcwh.pc '$(LIB)/pkgconfig/'
	install -m 644 port/library/cmcwhConfig.cmake $(OUT)/cmcwhConfigVersion.cmake '$(LIB)/cmake/cmcwh/'
	install -m 644 port/man/cmcwh.8 '$(MAN)/man8/'
	install -m 644 port/man/cmcwh.ja.8 '$(MAN)/ja/man8/cmcwh.8'
	install -m 644 README.md README.ja.md LICENSE '$(DESTDIR)$(PREFIX)/share/doc/cmcwh/'

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/cmcwh' '$(DESTDIR)$(PREFIX)/include/cmcwh.h' \
		'$(LIB)/libcmcwh.a' '$(LIB)/libcmcwh.so' '$(LIB)/libcmcwh.so.$(ABI)' \
		'$(LIB)/pkgconfig/cmcwh.pc' '$(MAN)/man8/cmcwh.8' '$(MAN)/ja/man8/cmcwh.8'
	rm -rf '$(DESTDIR)$(PREFIX)/share/doc/cmcwh' '$(LIB)/cmake/cmcwh'

# Programs outside the tree use what was installed, in each way.
install-test: all $(SHARED)
	@MAKE='$(MAKE)' CC='$(CC)' CIVETWEB_SRC='$(abspath $(CIVETWEB_SRC))' sh tests/install/run.sh

deb:
	@CIVETWEB_SRC='$(abspath $(CIVETWEB_SRC))' sh port/debian/package.sh

# Dependencies took a while to fetch: only distclean removes them.
clean:
	rm -f cmcwh libcmcwh.a
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +; fi

distclean: clean
	rm -rf build

-include $(wildcard $(OUT)/*.d $(OUT)/*/*.d)
