# Fuzzers: built with clang and libFuzzer.

FUZZERS := json form multipart chain differential frame ring request port
FUZZ_SECONDS ?= 60
FUZZ_C = $(PORTABLE_C) -DCMCWH_NO_SERVER -fsanitize=fuzzer

$(OUT)/fuzz/fuzz.o: tests/fuzz/fuzz.c | $(OUT)/checked
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORTABLE_C) -DCMCWH_NO_SERVER -c $< -o $@

$(addprefix $(OUT)/fuzz/,json form multipart): $(OUT)/fuzz/%: tests/fuzz/body.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $< ($*))$(FUZZ_C) -DFUZZ_FORMAT=CMCWH_$(shell echo $* | tr a-z A-Z) $(filter-out %.h,$^) -o $@

$(OUT)/fuzz/chain: tests/fuzz/chain.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(FUZZ_C) $(filter-out %.h,$^) -o $@

$(OUT)/fuzz/differential: tests/fuzz/differential.c $(OUT)/fuzz/fuzz.o $(OUT)/cmcwh-embedded.o
	$(call say,CC $<)$(FUZZ_C) $(filter-out %.h,$^) -ljansson -o $@

$(OUT)/fuzz/frame $(OUT)/fuzz/ring: $(OUT)/fuzz/%: tests/fuzz/%.c $(OUT)/fuzz/fuzz.o $(OUT)/libcmcwh.a
	$(call say,CC $<)$(FUZZ_C) $(filter-out %.h cmcwh.c,$^) -o $@

$(OUT)/fuzz/request: tests/fuzz/request.c $(OUT)/fuzz/fuzz.o $(OUT)/port.a $(MBEDTLS)
	$(call say,CC $<)$(PORT_C) -fsanitize=fuzzer $(filter-out %.h,$^) $(LIBRARIES) -o $@

$(OUT)/fuzz/port: tests/fuzz/port.c $(OUT)/port.a $(MBEDTLS)
	@mkdir -p $(@D)
	$(call say,CC $<)$(PORT_C) -fsanitize=fuzzer $< $(OUT)/port.a $(MBEDTLS) $(LIBRARIES) -o $@

.PHONY: fuzz fuzzers

#: make fuzz         build the fuzzers (make fuzzers) and run each for FUZZ_SECONDS (60)
fuzz:
	@$(MAKE) CC=clang SANITIZE=fuzzer fuzzers
	@sh tests/fuzz/run.sh "$$($(MAKE) -s CC=clang SANITIZE=fuzzer fuzzers)" $(FUZZ_SECONDS) $(FUZZERS)

fuzzers: $(addprefix $(OUT)/fuzz/,$(FUZZERS))
	@echo $(OUT)/fuzz
