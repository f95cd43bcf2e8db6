# Unit tests, integration tests, and what runs them in other ways.

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

UNIT_SOURCES := $(wildcard tests/unit/test_*.c)
# Counts what civetweb allocates, in place of the C library: a static one cannot be replaced.
SERVER_SOURCES := $(if $(filter 1,$(STATIC)),,$(wildcard tests/unit/server_*.c))
# Certificates are made, and peers played, by OpenSSL, whatever library the port has.
CERTIFICATES := $(if $(filter none,$(TLS_LIBRARY)),0,$(shell $(call includes,openssl/ssl.h) && echo 1 || echo 0))
CERTIFICATES_C := $(if $(filter 1,$(CERTIFICATES)),tests/unit/certificate.c)
CERTIFICATES_LIBRARIES := $(if $(filter 1,$(CERTIFICATES)),$(filter-out $(LIBRARIES),-lssl -lcrypto))
# Without an admin port nothing is said in Japanese.
PORT_TESTS := $(filter-out $(if $(filter 0,$(MQTT)),tests/unit/port_mqtt%) $(if $(filter 0,$(CERTIFICATES)),tests/unit/port_tls%) \
	$(if $(filter 0,$(ADMIN)),$(patsubst %,tests/unit/port_%.c,day page verdict words)),$(wildcard tests/unit/port_*.c))
EMBED_SOURCES := $(wildcard tests/embed/*.c)
# In this order: what waits comes first.
UNIT_PROGRAMS := $(patsubst tests/%.c,$(OUT)/%,$(PORT_TESTS) $(SERVER_SOURCES) $(UNIT_SOURCES) $(EMBED_SOURCES))
# ThreadSanitizer has nothing to look at in the others, and takes minutes for it.
THREADED := test_threads port_auth port_door port_exchange port_serial port_sink_thread port_storing port_timing
ifeq ($(SANITIZE),thread)
UNIT_PROGRAMS := $(addprefix $(OUT)/unit/,$(THREADED))
endif
UNIT_SHARED := $(OUT)/unit/support.o $(OUT)/unit/disk.o
UNIT_C := $(PORTABLE_C) $(CMOCKA_H) -Itests/stubs -D_POSIX_C_SOURCE=200809L -DCMCWH_NO_SERVER
UNIT_LINKED := $(UNIT_SHARED) $(filter %.o,$(CMOCKA))

$(OUT)/checked-unit: | $(OUT)/checked
	@echo '#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <stdint.h>\n#include <cmocka.h>' | \
		$(CC) $(CPPFLAGS) $(CMOCKA_H) -E -x c - >/dev/null 2>&1 || { \
		echo "the header cmocka.h is missing: run 'make test-deps', or install cmocka (libcmocka-dev)" >&2; exit 1; }
	@touch $@

$(OUT)/unit/cmocka.o: | $(OUT)/checked-unit
	$(call say,CC cmocka)$(CC) $(FLAGS) $(CMOCKA_C) $(CMOCKA_H) -c $(CMOCKA_SRC)/src/cmocka.c -o $@

$(UNIT_SHARED): $(OUT)/unit/%.o: tests/unit/%.c | $(OUT)/checked-unit
	$(call say,CC $<)$(UNIT_C) -c $< -o $@

# A test that takes in cmcwh.c, to see its insides, needs nothing of the library.
$(OUT)/unit/test_%: tests/unit/test_%.c $(UNIT_LINKED) $(OUT)/libcmcwh.a
	$(call say,CC $<)$(UNIT_C) $(LINK) $< $(UNIT_SHARED) $(OUT)/libcmcwh.a $(CMOCKA) -o $@

$(OUT)/unit/server_%: tests/unit/server_%.c $(UNIT_LINKED) $(OUT)/cmcwh.o $(OUT)/posix/platform/crc.o $(OUT)/civetweb-whole.o
	$(call say,CC $<)$(PORT_C) $(CMOCKA_H) $(if $(SANITIZE),-DSANITIZED) $(LINK) $< $(OUT)/unit/support.o \
		$(OUT)/cmcwh.o $(OUT)/posix/platform/crc.o $(OUT)/civetweb-whole.o $(CMOCKA) $(LIBRARIES) -o $@

# The port as an archive: what a test brings itself (its own log, or a file of the port with its statics)
# takes the place of the port's.
$(OUT)/port.a: $(filter-out %/main.o,$(PORT_OBJECTS)) $(OUT)/cmcwh.o $(OUT)/civetweb.o
	$(call say,AR port.a)rm -f $@ && $(AR) qcs $@ $^

$(OUT)/unit/port_%: tests/unit/port_%.c tests/unit/said.c $(CERTIFICATES_C) $(UNIT_LINKED) $(OUT)/port.a $(MBEDTLS)
	$(call say,CC $<)$(PORT_C) -DCERTIFICATES=$(CERTIFICATES) $(CMOCKA_H) $(LINK) $< tests/unit/said.c $(CERTIFICATES_C) \
		$(OUT)/unit/support.o $(OUT)/port.a $(MBEDTLS) $(CMOCKA) $(LIBRARIES) $(CERTIFICATES_LIBRARIES) -o $@

$(OUT)/embed/%: tests/embed/%.c $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER $(LINK) $< $(OUT)/cmcwh-embedded.o -o $@

$(OUT)/golden/make: tests/golden/make.c $(OUT)/cmcwh-embedded.o
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER $(LINK) $(filter-out %.h,$^) -o $@

$(OUT)/page/past: tests/page/past.c $(OUT)/cmcwh-embedded.o
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER $(LINK) $(filter-out %.h,$^) -o $@

# What has one call of many fail; a static program does not load it.
FAULTS := $(if $(STATIC:0=)$(SANITIZE)$(CROSS_COMPILE),,$(OUT)/faults.so)
$(OUT)/faults.so: tests/stubs/faults.c | $(OUT)/checked
	$(call say,CC $<)$(CC) -std=c99 -D_GNU_SOURCE $(CPPFLAGS) $(CFLAGS) $(WARNINGS) -fPIC -shared $< -o $@ -ldl

RUN_TESTS = CMCWH_FAULTS=$(FAULTS) OBJECT=$(OUT)/cmcwh-embedded.o GOLDEN=$(OUT)/golden/make SANITIZE='$(SANITIZE)' \
	sh tests/run.sh '$(UNIT_PROGRAMS)'

.PHONY: page-pictures test unit-test unit test-long onward-test-long hostile hostile-long install-test least-test soak coverage

#: make test         all tests; TEST_OPTIONS="--only NAME" or "--without NAME" for some integration tests
test: all $(UNIT_PROGRAMS) $(FAULTS) $(OUT)/cmcwh-embedded.o $(OUT)/golden/make
	@$(RUN_TESTS) $(OUT)/cmcwh $(TEST_OPTIONS)

#: make unit-test    without the server; make unit: only builds them, and says where they are
unit-test: $(UNIT_PROGRAMS) $(OUT)/golden/make
	@INTEGRATION=0 $(RUN_TESTS) none

unit: $(UNIT_PROGRAMS)
	@echo $^

#: make test-long    power cuts, kills and handshakes for some minutes
# Ten times as many power cuts, five times as many kills, sixteen times as many handshakes.
test-long: $(OUT)/cmcwh $(UNIT_PROGRAMS)
	CMCWH_SEEDS=320 $(OUT)/unit/test_power
	$(if $(filter 1,$(CERTIFICATES)),CMCWH_HANDSHAKES=20000 $(OUT)/unit/port_tls_server)
	CMCWH_KILLS=1000 python3 tests/integration/run.py --cmcwh $(OUT)/cmcwh --only killed

#: make onward-test-long  200 kills of cmcwh and of each kind of peer that a sink delivers to
onward-test-long: $(OUT)/cmcwh
	@python3 tests/integration/kills.py --cmcwh $(OUT)/cmcwh

#: make hostile      attacks beside good senders, some seconds each; make hostile-long: a minute each
hostile hostile-long: $(OUT)/cmcwh $(FAULTS)
	@CMCWH_FAULTS=$(FAULTS) CMCWH_HOSTILE_SECONDS=$(if $(filter %-long,$@),60,4) SANITIZE='$(SANITIZE)' \
		python3 tests/integration/run.py --hostile --cmcwh $(OUT)/cmcwh -v $(TEST_OPTIONS)

#: make page-pictures the README's pictures of the status page, anew
page-pictures: $(OUT)/cmcwh $(OUT)/page/past
	@python3 tests/page/pictures.py $^ port/admin

#: make install-test programs outside the tree use what make install installs, in each way
install-test: all $(SHARED)
	@MAKE='$(MAKE)' CC='$(CC)' CIVETWEB_SRC='$(abspath $(CIVETWEB_SRC))' sh tests/install/run.sh

#: make least-test   without the parts that a small firmware may leave out
LEAST := -DCMCWH_NO_FORMS -DCMCWH_NO_STORAGE -DCMCWH_NO_LOGFMT -DCMCWH_NO_FRAMES -DCMCWH_NO_COUNTERS -DCMCWH_NO_GATHER -DCMCWH_NO_THREADS -DCMCWH_NO_SHORTCUTS -DCMCWH_CRC_SLICES=0
least-test: tests/size/least.c cmcwh.c cmcwh.h | $(OUT)/checked
	@mkdir -p build/least
	@$(PORTABLE_C) -Werror -DCMCWH_NO_SERVER $(LEAST) -MF build/least/least.d tests/size/least.c cmcwh.c -o build/least/least
	@build/least/least

#: make soak         good, bad and slow clients for SOAK_SECONDS (900)
soak: $(OUT)/cmcwh
	@SOAK_SECONDS=$(or $(SOAK_SECONDS),900) python3 tests/integration/soak.py $(OUT)/cmcwh

#: make coverage     which lines and branches of cmcwh.c the tests reach
coverage:
	@sh tests/coverage.sh
