# What other programs say of the sources.

SOURCES := cmcwh.c cmcwh.h $(wildcard port/posix/*.[ch] port/posix/*/*.[ch] port/posix/*/*/*.[ch] port/musl/*.c tests/*/*.[ch])
TIDY := $(addprefix tidy-,$(filter-out %.h %/civetweb.c tests/bench/json_yyjson.c,$(SOURCES)))

.PHONY: lint lint-order lint-format lint-tidy lint-cppcheck $(TIDY)

#: make lint         all of make lint-order lint-format lint-tidy lint-cppcheck (first: is cmcwh.c leaf first?)
lint: lint-order lint-format lint-tidy lint-cppcheck

# Each function calls only what stands above it.
lint-order: | $(OUT)/checked
	@python3 tests/order.py cmcwh.c

lint-format: | $(OUT)/checked
	clang-format --dry-run -Werror $(SOURCES) $(wildcard tests/firmware/lwip/*.[ch] tests/firmware/lwip/arch/*.h tests/machine/modules/*.c port/baremetal/*.[ch] port/embed/*.[ch] port/esp-idf/*.[ch] port/zephyr/*.[ch] tests/bench/*.cpp)

lint-tidy: $(TIDY)

# The tables of the CRC take minutes: one of eight is looked at, and none by those who take in cmcwh.c. Tests run with
# AddressSanitizer too: the analyzer follows fewer of their calls, for a quarter of the time.
TIDY_SHALLOW := -Xclang -analyzer-config -Xclang mode=shallow
$(TIDY): tidy-%: % | $(OUT)/checked-server $(TEXTS)
	@clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c99 -D_GNU_SOURCE $(SWITCHES) \
		-DCMCWH_CRC_SLICES=$(if $(filter cmcwh.c,$<),1,0) $(if $(filter tests/%,$<),$(TIDY_SHALLOW)) -I. -Iport/posix -I$(OUT) -Itests/stubs $(JSMN) \
		$(if $(findstring mbedtls,$<),$(MBEDTLS_C)) -isystem $(CIVETWEB_SRC)/include

lint-cppcheck: | $(OUT)/checked $(TEXTS)
	cppcheck --quiet --error-exitcode=1 --std=c99 --inline-suppr --enable=warning,performance,portability \
		--suppress=missingIncludeSystem $(SWITCHES) -I. -Iport/posix -I$(OUT) cmcwh.c $(PORT_SOURCES)
