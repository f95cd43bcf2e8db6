# Other people's tools for TLS, at the door of what these settings build.

.PHONY: tls-test tls-test-long
#: make tls-test     openssl s_client, sslscan and testssl find no weak protocol, cipher or flaw;
#: make tls-test-long     nor any other flaw that testssl knows, in minutes
tls-test tls-test-long: $(OUT)/cmcwh
	@python3 tests/tls/run.py --cmcwh $< $(if $(filter %-long,$@),--long) $(TEST_OPTIONS)
