# Other people's tools for TLS, at the door of what these settings build.

.PHONY: tls-test tls-test-long
#: make tls-test     openssl s_client, sslscan and testssl find no weak protocol, cipher or flaw; with TLS=mbedtls too;
#: make tls-test-long     all flaws that testssl knows, minutes; TLSFUZZER=PATH: with a copy of tlsfuzzer too
tls-test tls-test-long: $(OUT)/cmcwh
	@python3 tests/tls/run.py --cmcwh $< $(if $(filter %-long,$@),--long) $(if $(TLSFUZZER),--tlsfuzzer '$(TLSFUZZER)') $(TEST_OPTIONS)
