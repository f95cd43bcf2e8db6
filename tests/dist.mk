# A release, tried.

.PHONY: dist-test dist-test-long

#: make dist-test    some of a release, packed and tried, with the packages of `make deb` if they are there;
#: make dist-test-long   all of it, made twice: takes long; DIST_TEST="--only TEXT" for some of what is tried
dist-test: | $(OUT)/checked
	@$(RELEASE_SOURCES) DIST_OUT=build/dist-test sh port/dist/dist.sh source manual x86_64 mipsel ipk-mipsel_24kc
	@python3 tests/dist/run.py $(DIST_TEST) build/dist-test build/deb

dist-test-long: dist
	@python3 tests/dist/run.py --long $(DIST_TEST) build/dist
