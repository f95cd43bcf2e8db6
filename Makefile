# cmcwh. `make help` lists the targets and switches; it reads the lines that begin with `#:`.

#: make              ./cmcwh and ./libcmcwh.a
#: make WERROR=1 V=1 with warnings as errors; with each command
#: make TLS=0 STATIC=1       without TLS (TLS=1, TLS=openssl: OpenSSL; TLS=mbedtls); one static file
#: make ADMIN=0      without the admin port: status page, health, metrics, events
#: make TOOLS=0      without the commands check, summary and test; with ADMIN=0 also without status
#: make HTTP=0 MQTT=0        without sinks for http: and https:, mqtt: and mqtts: (MQTT needs libmosquitto)
#: make SMALL=1      for little flash, with HTTP=0 TOOLS=0; with CROSS_COMPILE, or STATIC=1 TLS=0
#: make musl TARGET=NAME      musl for the processor of the compiler NAME-gcc, or for all: cross builds take it; MUSL=0: not
#: make SANITIZE=address|thread      into a folder of its own below build; so too make test
#: CC CFLAGS CPPFLAGS LDFLAGS CROSS_COMPILE=PREFIX-  as usual
#: CIVETWEB_SRC=PATH JSMN_INCLUDE=PATH   civetweb 1.15 or 1.16, jsmn.h's directory (default: from make deps)
#: MBEDTLS_SRC=PATH  with TLS=mbedtls: the source of Mbed TLS, 2.28 or 3.6, which is compiled in
CIVETWEB_SRC ?= build/deps/civetweb
MBEDTLS_SRC ?= build/deps/mbedtls
JSMN_INCLUDE ?= build/deps/include
WERROR ?= 0
SANITIZE ?=
V ?= 0
SMALL ?= 0

# A cross build is for a small device: one static file without OpenSSL, unless told otherwise; with musl if that is here.
MUSL ?= 1
MUSL_SRC ?= build/deps/musl
ifdef CROSS_COMPILE
STATIC ?= 1
TLS ?= 0
MUSL_CC := $(if $(filter 11,$(MUSL)$(STATIC)),$(wildcard build/deps/musl-$(notdir $(CROSS_COMPILE:-=))/bin/musl-gcc))
CC = $(or $(MUSL_CC),$(CROSS_COMPILE)gcc)
AR = $(CROSS_COMPILE)ar
endif

# For little flash: slower CRC; of MIPS the short instructions, where musl is for a processor that has them.
ifeq ($(SMALL),1)
CFLAGS ?= -Os -DCMCWH_CRC_SLICES=1 $(if $(MUSL_CC),$(if $(filter mips-% mipsel-%,$(CROSS_COMPILE)),-mips16))
endif
CFLAGS ?= -O2 -g
STATIC ?= 0
TLS ?= 1
# A static program with musl, ours or the system's, gets a printf without floating point.
STATIC_MUSL := $(if $(filter 1,$(STATIC)),$(filter %musl-gcc,$(firstword $(CC))))
PRINTF := $(if $(STATIC_MUSL),port/musl/printf.c)
# What does it, a folder of port/posix/tls.
TLS_LIBRARY := $(or $(filter openssl mbedtls,$(TLS)),$(if $(filter 0,$(TLS)),none,$(if $(filter 1,$(TLS)),openssl)))
$(if $(TLS_LIBRARY),,$(error there is no TLS=$(TLS): TLS=0, TLS=1, TLS=openssl or TLS=mbedtls))
ADMIN ?= 1
HTTP ?= $(if $(filter 1,$(SMALL)),0,1)
TOOLS ?= $(if $(filter 1,$(SMALL)),0,1)

includes = echo '\#include <$(1)>' | $(CC) $(CPPFLAGS) $(JSMN) -E -x c - >/dev/null 2>&1

# Its library is shared and brings OpenSSL: unless asked for, MQTT is only there where it costs nothing more. What
# `make deps` is about to install counts as there.
ifndef MQTT
MQTT_FITS := $(if $(CROSS_COMPILE)$(filter 1,$(SMALL) $(STATIC))$(filter-out openssl,$(TLS_LIBRARY)),0,1)
have_mosquitto = $(shell { $(call includes,mosquitto.h) || \
	{ test -n '$(filter deps %-deps,$(MAKECMDGOALS))' && command -v apt-get >/dev/null; }; } && echo 1)
MQTT := $(or $(if $(filter 1,$(MQTT_FITS)),$(have_mosquitto)),0)
MQTT_LACKS := $(if $(filter 10,$(MQTT_FITS)$(MQTT)),1)
endif

# ---- Flags ----

comma := ,
WARNINGS := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
WARNINGS += $(if $(filter 1,$(WERROR)),-Werror)
SANITIZE_address := -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_fuzzer := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
SANITIZERS := $(if $(SANITIZE),$(or $(SANITIZE_$(SANITIZE)),-fsanitize=$(SANITIZE)) -fno-omit-frame-pointer)

# What is small is static, and what is static is kept small: no tables for unwinding (a debugger has its own,
# of -g), no gaps between segments, and the program's own code, which is at a fixed address, knows it. Nor, with musl,
# a page (some processors' are of 64 KiB) for what could be made read-only after the start: its static programs do not;
# nor what fills one up, where that would save a page of memory.
STATIC_FLAGS := $(if $(filter 1,$(SMALL) $(STATIC)),-fno-asynchronous-unwind-tables)
STATIC_LINK := $(if $(filter 1,$(SMALL) $(STATIC)),-Wl$(comma)-z$(comma)noseparate-code) $(if $(filter 1,$(STATIC)),-static) \
	$(if $(STATIC_MUSL),-Wl$(comma)-z$(comma)norelro -Wl$(comma)-z$(comma)common-page-size=16)
FIXED := $(if $(filter 1,$(STATIC)),-fno-pie)

# What is not called is left out.
FLAGS := $(STATIC_FLAGS) $(CFLAGS) -pthread -ffunction-sections -fdata-sections $(SANITIZERS)
LINK := $(LDFLAGS) -Wl,--gc-sections $(STATIC_LINK)
LIBRARIES_openssl := -lssl -lcrypto
LIBRARIES := $(if $(filter 1,$(MQTT)),-lmosquitto) $(LIBRARIES_$(TLS_LIBRARY))
SWITCHES := -DCMCWH_TLS=$(if $(filter none,$(TLS_LIBRARY)),0,1) $(foreach switch,ADMIN HTTP MQTT TOOLS,-DCMCWH_$(switch)=$($(switch)))

# What need not be small computes CRCs as its processor can, and asks for memory before it needs it. Most of its loops end after a few
# steps, as texts are short: gcc puts the first ones before the loop, which gives most of what -O3 does for a quarter of its size.
PEELED := $(if $(findstring clang,$(CC)),,$(if $(filter -O2,$(CFLAGS)),-fpeel-loops -fno-tree-vectorize))
FASTER := $(if $(filter 1,$(SMALL)),,-DCMCWH_CRC32=crc_fast -DCMCWH_PREFETCH=__builtin_prefetch $(PEELED))

CIVETWEB_FLAGS := $(shell grep '^-' port/posix/door/civetweb.flags)

# Mbed TLS, with what we need only.
MBEDTLS_C := -DMBEDTLS_CONFIG_FILE='"tls/mbedtls/config.h"' -isystem $(MBEDTLS_SRC)/include
ifeq ($(TLS_LIBRARY),mbedtls)
MBEDTLS_HEADERS := $(MBEDTLS_C)
# The parts of 2.28 and of 3.6.
MBEDTLS_PARTS := aes aesni asn1parse asn1write base64 bignum bignum_core block_cipher chacha20 chachapoly cipher \
	cipher_wrap constant_time ecdh ecdsa ecp ecp_curves gcm md oid pem pk pk_ecc pk_wrap pkparse platform platform_util \
	poly1305 rsa rsa_alt_helpers rsa_internal sha256 sha512 ssl_ciphersuites ssl_cli ssl_client ssl_msg ssl_srv ssl_ticket \
	ssl_tls ssl_tls12_client ssl_tls12_server x509 x509_crt
endif

# Objects of different settings never meet: each setting has a directory.
SETTINGS := $(CC) $(CPPFLAGS) $(FLAGS) $(FIXED) $(LINK) $(CIVETWEB_FLAGS) $(CIVETWEB_SRC) $(JSMN_INCLUDE) $(WARNINGS) $(SWITCHES) \
	$(FASTER) $(TLS_LIBRARY) $(MBEDTLS_HEADERS)
OUT := build/$(addsuffix -,$(SANITIZE))$(shell printf '%s' '$(subst ','\'',$(SETTINGS))' | cksum | cut -d' ' -f1)

JSMN := -isystem $(JSMN_INCLUDE)
PORTABLE_C := $(CC) -std=c99 $(CPPFLAGS) $(FLAGS) $(WARNINGS) -I. $(JSMN) -MMD -MP
# On 32-bit processors too, files may be large and the year 2038 may come.
WIDE := -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64
PORT_C := $(CC) -std=c99 -D_GNU_SOURCE $(WIDE) $(SWITCHES) $(if $(SANITIZE),-DDOOR_STACK_SIZE=1048576) $(CPPFLAGS) $(FLAGS) $(FIXED) $(WARNINGS) -I. -Iport/posix $(JSMN) \
	-isystem $(CIVETWEB_SRC)/include $(MBEDTLS_HEADERS) -MMD -MP

ifeq ($(V),1)
say =
else
say = @echo '  $(1)';
endif

# ---- What is built ----

# With a sanitizer, ./cmcwh and ./libcmcwh.a stay as they are.
DAEMON := $(if $(SANITIZE),$(OUT)/cmcwh,cmcwh)
LIBRARY := $(if $(SANITIZE),$(OUT)/libcmcwh.a,libcmcwh.a)

.PHONY: all show-out always
.DELETE_ON_ERROR:

all: $(DAEMON) $(LIBRARY)
	$(if $(SANITIZE),@echo '  $^')

#: make show-out     where the objects of these settings are
show-out:
	@echo $(OUT)

# What a build needs and who can bring it: said in one line, before the compiler says it in many.
need_civetweb = test -f '$(CIVETWEB_SRC)/src/civetweb.c' || { echo "civetweb's source is not at\
	'$(CIVETWEB_SRC)': run 'make deps', or name a copy with CIVETWEB_SRC=PATH" >&2; exit 1; }
need_mbedtls = test -f '$(MBEDTLS_SRC)/library/ssl_tls.c' || { echo "the source of Mbed TLS is not at\
	'$(MBEDTLS_SRC)': run 'make deps TLS=mbedtls', or name a copy with MBEDTLS_SRC=PATH" >&2; exit 1; }
need_header = $(call includes,$(1)) || { \
	echo "the header $(1) is missing: run 'make $(3)', or install $(2)" >&2; exit 1; }

$(OUT)/checked:
	@mkdir -p $(OUT)/unit $(OUT)/embed $(OUT)/bench
	@command -v $(firstword $(CC)) >/dev/null || { \
		echo "the compiler '$(firstword $(CC))' is missing: run 'make $(if $(CROSS_COMPILE),cross-)deps', or name one with CC" >&2; exit 1; }
	@$(call need_header,jsmn.h,jsmn (libjsmn-dev),deps)
	@touch $@

$(OUT)/checked-server: | $(OUT)/checked
	@$(need_civetweb)
ifeq ($(TLS_LIBRARY),openssl)
	@$(call need_header,openssl/ssl.h,OpenSSL (libssl-dev) or build with TLS=0,deps)
endif
ifeq ($(TLS_LIBRARY),mbedtls)
	@$(need_mbedtls)
endif
ifeq ($(MQTT),1)
	@$(call need_header,mosquitto.h,libmosquitto (libmosquitto-dev) or build with MQTT=0,deps)
endif
	$(if $(MQTT_LACKS),@echo "  no sinks for MQTT: the header mosquitto.h is missing: run 'make deps'$(comma) or install libmosquitto-dev")
	@touch $@

$(OUT)/cmcwh.o: cmcwh.c | $(OUT)/checked-server
	$(call say,CC $<)$(PORTABLE_C) $(FIXED) $(FASTER) -isystem $(CIVETWEB_SRC)/include -c $< -o $@

$(OUT)/cmcwh-embedded.o: cmcwh.c | $(OUT)/checked
	$(call say,CC $< (without server))$(PORTABLE_C) -DCMCWH_NO_SERVER -c $< -o $@

# The second is the whole of it, for tests.
$(OUT)/civetweb.o $(OUT)/civetweb-whole.o: port/posix/door/civetweb.c port/posix/door/civetweb_extra.h | $(OUT)/checked-server
	$(call say,CC civetweb)$(CC) $(WIDE) $(CPPFLAGS) $(FLAGS) $(FIXED) $(CIVETWEB_FLAGS) $(if $(filter %-whole.o,$@),-DCIVETWEB_API=) \
		-I$(CIVETWEB_SRC)/include -I$(CIVETWEB_SRC)/src -Iport/posix/door -c $< -o $@

# What it has of its parts is known once it is there.
MBEDTLS_OBJECTS := $(patsubst $(MBEDTLS_SRC)/library/%.c,$(OUT)/mbedtls/%.o,$(wildcard $(MBEDTLS_PARTS:%=$(MBEDTLS_SRC)/library/%.c)))
# What computes must be fast, and has instructions of its own that MIPS16 lacks.
MBEDTLS_FLAGS = $(FLAGS)
$(patsubst %,$(OUT)/mbedtls/%.o,aes bignum bignum_core chacha20 constant_time ecp ecp_curves ecp_curves_new gcm poly1305 sha256 sha512): \
	MBEDTLS_FLAGS = $(filter-out -mips16,$(FLAGS))
$(MBEDTLS_OBJECTS): $(OUT)/mbedtls/%.o: $(MBEDTLS_SRC)/library/%.c port/posix/tls/mbedtls/config.h | $(OUT)/checked-server
	@mkdir -p $(@D)
	$(call say,CC mbedtls/$(<F))$(CC) -std=c99 -D_GNU_SOURCE $(WIDE) $(CPPFLAGS) $(MBEDTLS_FLAGS) $(FIXED) -w -Iport/posix \
		$(MBEDTLS_HEADERS) -c $< -o $@

ifeq ($(TLS_LIBRARY),mbedtls)
MBEDTLS := $(OUT)/mbedtls.a
$(MBEDTLS): $(MBEDTLS_OBJECTS) | $(OUT)/checked-server
ifneq ($(MBEDTLS_OBJECTS),)
	$(call say,AR mbedtls.a)rm -f $@ && $(AR) qcs $@ $^
else
# `make deps all`: the next make finds the source that this one has fetched.
	@$(MAKE) $@
endif
endif

# The status page, as C.
$(OUT)/page.inc: port/posix/admin/page.html port/posix/admin/page.awk | $(OUT)/checked
	$(call say,AWK $<)LC_ALL=C awk -f port/posix/admin/page.awk $< >$@

# The texts of the admin port, packed.
TEXTS := $(addprefix $(OUT)/,page.inc page.packed metrics.packed words.packed)
$(OUT)/page.packed: $(OUT)/page.inc
$(OUT)/metrics.packed $(OUT)/words.packed: $(OUT)/%.packed: port/posix/admin/%.def
$(filter %.packed,$(TEXTS)): port/posix/admin/packed.awk | $(OUT)/checked
	$(call say,AWK $(filter-out %.awk,$^))LC_ALL=C awk -f port/posix/admin/packed.awk $(filter-out %.awk,$^) >$@
PACKED := $(addprefix $(OUT)/posix/admin/,page_html.o metrics.o words.o)
$(PACKED): $(TEXTS)
$(PACKED): PORT_C += -I$(OUT)

# What is not built need not have its headers here.
PORT_SOURCES := $(filter-out %/civetweb.c $(if $(filter 0,$(MQTT)),port/posix/sink/mqtt%),$(wildcard port/posix/*.c port/posix/*/*.c port/posix/tls/$(TLS_LIBRARY)/*.c))
PORT_OBJECTS := $(PORT_SOURCES:port/%.c=$(OUT)/%.o)
$(PORT_OBJECTS): $(OUT)/%.o: port/%.c | $(OUT)/checked-server
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORT_C) -c $< -o $@

$(OUT)/posix/platform/crc.o: PORT_C += $(FASTER)

# What runs at the start, or when an operator asks for it, need not be fast; but for what reads a large log.
HOT := command/plain
COLD := main admin/% command/% $(addprefix platform/,client credentials csv given number only outcome place reply url when writer)
$(filter-out $(HOT:%=$(OUT)/posix/%.o),$(filter $(COLD:%=$(OUT)/posix/%.o),$(PORT_OBJECTS))): PORT_C += $(if $(filter -O2 -O3,$(CFLAGS)),-Os)

$(OUT)/printf.o: port/musl/printf.c | $(OUT)/checked
	$(call say,CC $<)$(PORT_C) -c $< -o $@

$(OUT)/cmcwh: $(PORT_OBJECTS) $(OUT)/cmcwh.o $(OUT)/civetweb.o $(if $(PRINTF),$(OUT)/printf.o) $(MBEDTLS)
	$(call say,LD cmcwh)$(CC) $(FLAGS) $(LINK) $^ $(LIBRARIES) -o $@

# The library is for those who bring their own HTTP: it needs no civetweb.
$(OUT)/libcmcwh.a: $(OUT)/cmcwh-embedded.o
	$(call say,AR libcmcwh.a)rm -f $@ && $(AR) rcs $@ $^

# The settings may have changed since it was made: always look, copy when it differs.
cmcwh libcmcwh.a: %: $(OUT)/% always
	@cmp -s $< $@ || cp -f $< $@

# ---- What must be there, and running it ----

# Each installs, as root, what is missing (Debian, Ubuntu), or says what is.
DEPS := test-deps clients-deps page-deps check-deps cross-deps bench-deps scale-deps machine-deps dist-deps
.PHONY: deps $(DEPS)
#: make deps         install what building and running needs, as root (Debian, Ubuntu), or say what is missing
#: make test-deps    what make test needs; make clients-deps: for tests that it skips without Java, Go, Node.js;
#: make page-deps    for those that it skips without Chromium
#: make check-deps   what is needed for make lint, fuzz, coverage, install-test, deb, openwrt-test
#: make cross-deps bench-deps scale-deps machine-deps dist-deps     what the other targets with these names need
deps $(DEPS):
	@CIVETWEB_SRC='$(CIVETWEB_SRC)' TLS='$(TLS_LIBRARY)' sh port/debian/deps.sh $(filter-out deps,$(@:%-deps=%))

# `make deps test-deps test` in parallel: first the one, then the other.
$(OUT)/checked: | $(filter deps $(DEPS),$(MAKECMDGOALS))

# By the names of their compilers.
TARGETS := mips-linux-gnu mipsel-linux-gnu mips64el-linux-gnuabi64 arm-linux-gnueabi arm-linux-gnueabihf \
	aarch64-linux-gnu riscv64-linux-gnu powerpc-linux-gnu i686-linux-gnu x86_64-linux-gnu

.PHONY: musl
musl: | $(filter deps $(DEPS),$(MAKECMDGOALS))
	@MUSL_SRC='$(MUSL_SRC)' sh port/musl/build.sh $(or $(TARGET),$(TARGETS))

.PHONY: run
#: make run          start it on 127.0.0.1:8080; RUN_OPTIONS="..." for cmcwh serve
run: $(DAEMON)
	@echo 'Try, in another terminal:'
	@echo "  curl -i -H 'Content-Type: application/json' --data-binary" \
		'@tests/payloads/deliveries-queued.json http://127.0.0.1:8080/mails'
	@./$(DAEMON) serve $(RUN_OPTIONS)

# ---- Tests and measurements: a file for each in tests, which a package may leave out ----

include $(wildcard tests/*.mk)

# ---- Installation ----

# The numbers are in cmcwh.h; that of the shared library is the major one of the API.
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
VERSION := $(shell sed -n 's/^.define CMCWH_VERSION "\(.*\)"/\1/p' cmcwh.h)
ABI := $(shell printf %d $$(sed -n 's/^.define CMCWH_API_VERSION \(0x....\).*/\1/p' cmcwh.h))
SHARED := $(if $(filter 1,$(STATIC)),,$(OUT)/libcmcwh.so.$(ABI))
PACKAGED := $(addprefix $(OUT)/,cmcwh.pc cmcwhConfigVersion.cmake)
MAN := $(DESTDIR)$(PREFIX)/share/man
COMPLETIONS := $(DESTDIR)$(PREFIX)/share/bash-completion/completions
LIB := $(DESTDIR)$(LIBDIR)

$(OUT)/cmcwh-shared.o: cmcwh.c | $(OUT)/checked
	$(call say,CC $< (shared))$(PORTABLE_C) -fPIC -DCMCWH_NO_SERVER -c $< -o $@

$(OUT)/libcmcwh.so.$(ABI): $(OUT)/cmcwh-shared.o port/library/cmcwh.map
	$(call say,LD $(@F))$(CC) $(FLAGS) $(LINK) -shared -Wl,-soname,$(@F) \
		-Wl,--version-script=port/library/cmcwh.map $< -o $@

# PREFIX may differ from one `make install` to the next.
$(PACKAGED): $(OUT)/%: port/library/%.in always | $(OUT)/checked
	@sed 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(VERSION)|' $< >$@

.PHONY: install uninstall deb dist
#: make install      to DESTDIR, PREFIX (/usr/local), LIBDIR; make uninstall
install: all $(SHARED) $(PACKAGED)
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/include' \
		'$(DESTDIR)$(PREFIX)/share/doc/cmcwh/examples' '$(MAN)/man8' '$(MAN)/ja/man8' \
		'$(LIB)/pkgconfig' '$(LIB)/cmake/cmcwh' '$(COMPLETIONS)'
	install -m 755 $(DAEMON) '$(DESTDIR)$(PREFIX)/bin/'
	install -m 644 cmcwh.h '$(DESTDIR)$(PREFIX)/include/'
	install -m 644 $(LIBRARY) $(SHARED) '$(LIB)/'
	$(if $(SHARED),ln -sf libcmcwh.so.$(ABI) '$(LIB)/libcmcwh.so')
	install -m 644 $(OUT)/cmcwh.pc '$(LIB)/pkgconfig/'
	install -m 644 port/library/cmcwhConfig.cmake $(OUT)/cmcwhConfigVersion.cmake '$(LIB)/cmake/cmcwh/'
	install -m 644 port/man/cmcwh.8 '$(MAN)/man8/'
	install -m 644 port/man/cmcwh.ja.8 '$(MAN)/ja/man8/cmcwh.8'
	install -m 644 port/bash/cmcwh '$(COMPLETIONS)/'
	install -m 644 README.md README.ja.md LICENSE '$(DESTDIR)$(PREFIX)/share/doc/cmcwh/'
	for folder in onward prometheus; do examples='$(DESTDIR)$(PREFIX)/share/doc/cmcwh/examples'/$$folder && \
		install -d "$$examples" && install -m 644 port/$$folder/* "$$examples" || exit 1; done

uninstall:
	rm -f '$(DESTDIR)$(PREFIX)/bin/cmcwh' '$(DESTDIR)$(PREFIX)/include/cmcwh.h' \
		'$(LIB)/libcmcwh.a' '$(LIB)/libcmcwh.so' '$(LIB)/libcmcwh.so.$(ABI)' \
		'$(LIB)/pkgconfig/cmcwh.pc' '$(MAN)/man8/cmcwh.8' '$(MAN)/ja/man8/cmcwh.8' \
		'$(COMPLETIONS)/cmcwh'
	rm -rf '$(DESTDIR)$(PREFIX)/share/doc/cmcwh' '$(LIB)/cmake/cmcwh'

RELEASE_SOURCES = CIVETWEB_SRC='$(abspath $(CIVETWEB_SRC))' JSMN_INCLUDE='$(abspath $(JSMN_INCLUDE))'

#: make deb          Debian packages, in build/deb
deb:
	@$(RELEASE_SOURCES) sh port/debian/package.sh

#: make dist         a release, in build/dist; DIST_TARGETS="..." for some of it: port/dist/README.md
dist: | $(OUT)/checked
	@$(RELEASE_SOURCES) sh port/dist/dist.sh $(DIST_TARGETS)

# ---- And back ----

.PHONY: help clean distclean
#: make clean        remove what was built; make distclean: dependencies too
help:
	@sed -n 's/^#: //p' Makefile tests/test.mk $(filter-out tests/test.mk,$(wildcard tests/*.mk))

# Dependencies took a while to fetch: only distclean removes them.
clean:
	rm -f cmcwh libcmcwh.a
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name deps -exec rm -rf {} +; fi

distclean: clean
	rm -rf build

-include $(wildcard $(OUT)/*.d $(OUT)/*/*.d $(OUT)/*/*/*.d $(OUT)/*/*/*/*.d)
