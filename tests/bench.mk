# Measurements; beside other receivers: see tests/bench/peers/README.md.

BENCH_C := $(PORTABLE_C) -D_GNU_SOURCE -DCMCWH_NO_SERVER $(LINK)

# With all that is fast, as the daemon.
$(OUT)/bench/cmcwh.o: cmcwh.c | $(OUT)/checked
	$(call say,CC $<)$(PORTABLE_C) $(FASTER) -DCMCWH_NO_SERVER -c $< -o $@

$(OUT)/bench/bench $(OUT)/bench/profile: $(OUT)/bench/cmcwh.o $(OUT)/posix/platform/crc.o
$(OUT)/bench/repeat: $(OUT)/cmcwh-embedded.o
$(OUT)/bench/bench $(OUT)/bench/profile $(OUT)/bench/repeat: $(OUT)/bench/%: tests/bench/%.c tests/bench/bodies.c
	$(call say,CC $<)$(BENCH_C) $(filter-out %.h,$^) -o $@

$(OUT)/bench/hash.o: tests/bench/hash.c | $(OUT)/checked
	$(call say,CC $<)$(PORTABLE_C) $(FASTER) -DCMCWH_NO_SERVER -c $< -o $@

$(OUT)/bench/json: tests/bench/json.c tests/bench/bodies.c $(OUT)/bench/hash.o $(OUT)/posix/platform/crc.o
	$(call say,CC $<)$(BENCH_C) $(filter-out %.h,$^) -ldl -o $@

$(OUT)/bench/bare: tests/bench/bare.c $(OUT)/civetweb-whole.o
	$(call say,CC $<)$(PORT_C) $(LINK) $(filter-out %.h,$^) $(LIBRARIES) -o $@

# Other libraries, each in a shared object of its own. Their functions may be inlined, as in a program. Debian has
# no yyjson: a copy is named with YYJSON_SRC=PATH.
CXXFLAGS ?= -O2 -g
BENCH_SHARED := $(CPPFLAGS) $(WARNINGS) -I. -MMD -MP -fPIC -fno-semantic-interposition -shared
JSON_LIBRARIES := $(patsubst %,$(OUT)/bench/json_%.so,cjson jansson jsonc simdjson $(if $(YYJSON_SRC),yyjson))
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

PAYLOADS := $(wildcard tests/payloads/deliveries-*.json)
no_yyjson = $(if $(YYJSON_SRC),,@echo 'yyjson is left out: name a copy of its source with YYJSON_SRC=PATH (src/yyjson.c in it)')

.PHONY: bench bench-cat bench-door bench-tls bench-readers bench-start bench-durable bench-onward bench-syncs bench-wear bench-json bench-instructions bench-profile bench-check bench-check-update bench-processors bench-curves bench-peers

#: make bench        measure the portable part and the server
bench: $(OUT)/cmcwh $(OUT)/bench/bench $(OUT)/bench/bare
	@sh tests/bench/run.sh $(OUT)/bench/bench $(OUT)/bench/bare $(OUT)/cmcwh

#: make bench-door   requests, handshakes and connections that rest, beside nginx; some 5 minutes, or CELLS="tls-json"
bench-door: $(OUT)/cmcwh
	@for program in wrk nginx openssl; do PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || { \
		echo "$$program is missing: run 'make bench-deps'" >&2; exit 1; }; done
	@python3 tests/bench/door.py $<

#: make bench-readers    what readers at the admin port cost webhooks, and what memory they take; some 3 minutes
bench-readers: $(OUT)/cmcwh
	@command -v wrk >/dev/null || { echo "wrk is missing: run 'make bench-deps'" >&2; exit 1; }
	@python3 tests/bench/readers.py $<

#: make bench-onward what it costs to send events on over HTTP and MQTT, beside a log file; some 5 minutes, or CELLS="http mqtt"
bench-onward: $(OUT)/cmcwh
	@for program in wrk nginx openssl mosquitto mosquitto_sub; do PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || { \
		echo "$$program is missing: run 'make bench-deps'" >&2; exit 1; }; done
	@python3 tests/bench/onward.py $<

#: make bench-start  from the start to the first 200, with rings of RECORDS="1000 100000"; a minute
bench-start: $(OUT)/cmcwh
	@python3 tests/bench/start.py $<

#: make bench-durable  events a second that are safe on the disk, beside the disk alone, SQLite and rsyslog; some 2 minutes
bench-durable: $(OUT)/cmcwh
	@for program in wrk rsyslogd; do PATH="$$PATH:/usr/sbin" command -v $$program >/dev/null || { \
		echo "$$program is missing: run 'make bench-deps'" >&2; exit 1; }; done
	@python3 tests/bench/durable.py $<

#: make bench-syncs  what --sync TIME spares, and how long senders wait for it; some 5 minutes
bench-syncs: $(OUT)/cmcwh
	@command -v strace >/dev/null || { echo "strace is missing: install it" >&2; exit 1; }
	@python3 tests/bench/syncs.py $<

#: make bench-cat    cmcwh cat and summary beside wc and jq, of MIB=1024 of each kind of file in $TMPDIR; some 5 minutes
bench-cat: $(OUT)/cmcwh
	@command -v jq >/dev/null || { echo "jq is missing: run 'make bench-deps'" >&2; exit 1; }
	@python3 tests/bench/cat.py $<

#: make bench-wear   what one event a second costs flash and disks of an emulated router, and how long a NOR flash lasts
bench-wear: MACHINE_PROCESSORS := mipsel-linux-gnu
bench-wear: machine-programs
	@python3 tests/machine/wear.py build/machine/cmcwh-mipsel-linux-gnu

#: make bench-json   beside other JSON libraries; YYJSON_SRC=PATH adds yyjson
bench-json: $(OUT)/bench/json $(JSON_LIBRARIES)
	$(no_yyjson)
	@$< $(JSON_LIBRARIES) $(PAYLOADS)

#: make bench-instructions bench-profile     instructions of each library; where those of cmcwh go
# Counted by valgrind: they do not depend on what else the machine does.
bench-instructions: $(OUT)/bench/json $(JSON_LIBRARIES)
	$(no_yyjson)
	@python3 tests/bench/callgrind.py instructions $< $(JSON_LIBRARIES) $(PAYLOADS)

bench-profile: $(OUT)/bench/profile
	@python3 tests/bench/callgrind.py profile $< $(PAYLOADS)

#: make bench-check  instructions an event, beside tests/bench/instructions.txt; make bench-check-update: writes them there
bench-check bench-check-update: $(OUT)/bench/profile
	@python3 tests/bench/callgrind.py $(if $(filter %-update,$@),update,check) tests/bench/instructions.txt $< $(PAYLOADS)

# count_with QEMU: of the package qemu-user, as qemu-user-static takes no plugins
count_with = @command -v $(1) >/dev/null || { echo "$(1) is missing: run 'make bench-deps'" >&2; exit 1; }; \
	cc -std=c99 -O2 -Wall -Wextra -shared -fPIC tests/bench/count.c -o $(OUT)/bench/count.so

#: make bench-processors   instructions an event on each processor, under qemu; with the musl that is here (make musl)
# The processor of an emulator's name, or the one that routers have. At -O2: -Os leaves out what is there for speed.
EMULATORS := x86_64-linux-gnu=qemu-x86_64 mips-linux-gnu=qemu-mips,-cpu,24Kc mipsel-linux-gnu=qemu-mipsel,-cpu,24Kc \
	arm-linux-gnueabihf=qemu-arm,-cpu,cortex-a7 aarch64-linux-gnu=qemu-aarch64 i686-linux-gnu=qemu-i386 \
	riscv64-linux-gnu=qemu-riscv64
bench-processors: | $(OUT)/checked
	$(call count_with,qemu-x86_64)
	@programs=; for each in $(EMULATORS); do triplet=$${each%%=*}; \
		command -v $$triplet-gcc >/dev/null || { echo "$$triplet: skipped, no compiler: run 'make cross-deps'"; continue; }; \
		build="$(MAKE) -s CROSS_COMPILE=$$triplet- STATIC=1 TLS=0"; out=$$($$build show-out); \
		$$build $$out/bench/repeat >/dev/null || exit 1; \
		programs="$$programs $$triplet=$$out/bench/repeat,$${each#*=}"; \
	done; python3 tests/bench/processors.py $(OUT)/bench/count.so $$programs -- $(PAYLOADS)

#: make bench-tls    instructions of a webhook over TLS, full, resumed and kept, under qemu (QEMU="qemu-mipsel -cpu 24Kc")
# With CROSS_COMPILE and TLS=mbedtls for another processor.
QEMU ?= qemu-x86_64 -cpu max
bench-tls: $(OUT)/cmcwh | $(OUT)/checked
	$(call count_with,$(firstword $(QEMU)))
	@python3 tests/bench/tls.py --plugin $(OUT)/bench/count.so "$(firstword $(QEMU)), $(TLS_LIBRARY)=$<,$(QEMU)"

#: make bench-curves how the cost grows with events, connections, records and sinks, into tests/bench/curves
bench-curves: $(OUT)/cmcwh
	@python3 tests/bench/curves.py $(OUT)/cmcwh

#: make bench-peers  beside other receivers of webhooks; BENCH_QUICK=1 in two minutes
# Beside it, for its size, the smallest cmcwh that can be made here.
bench-peers: OF_SIZE := SMALL=1 STATIC=1 TLS=0 $(if $(shell command -v musl-gcc),CC=musl-gcc)
bench-peers: cmcwh $(OUT)/bench/bare
	@for program in wrk node webhook; do command -v $$program >/dev/null || { \
		echo "$$program is missing: run 'make bench-deps'" >&2; exit 1; }; done
	@small=$$($(MAKE) -s $(OF_SIZE) show-out)/cmcwh; $(MAKE) -s $(OF_SIZE) "$$small" >/dev/null && \
		python3 tests/bench/peers/run.py $(BENCH_OPTIONS) $(OUT)/bench/bare "$$small"
