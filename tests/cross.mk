# Other processors, other systems, and sizes.

.PHONY: cross cross-test openwrt-test sizes sizes-update firmware firmware-test firmware-check firmware-lwip firmware-lwip-test

# cross_programs FOLDER,TRIPLETS,SETTINGS: a program for each processor, FOLDER/cmcwh-TRIPLET
cross_programs = @mkdir -p $(1); for triplet in $(2); do build="$(MAKE) -s $(3) CROSS_COMPILE=$$triplet-"; \
	out=$$($$build show-out) && $$build $$out/cmcwh && cp $$out/cmcwh $(1)/cmcwh-$$triplet || exit 1; done

#: make cross        builds for each processor whose compiler is here: build/cross/cmcwh-TARGET; with the musl that is here
cross:
	$(call cross_programs,build/cross,$(foreach target,$(TARGETS),$(if $(shell command -v $(target)-gcc),$(target))),)

#: make cross-test   builds and tests for other processors, under qemu; CROSS_TARGETS="..." for some
CROSS_TARGETS ?= $(foreach target,$(TARGETS),$(target) $(target)+musl) x86_64-linux-musl
cross-test: cmcwh
	+@sh tests/cross/run.sh $(CROSS_TARGETS)

#: make openwrt-test OpenWrt's init script, under busybox and dash
openwrt-test: cmcwh
	@sh tests/openwrt/run.sh ./cmcwh

#: make sizes        how large it is for each target whose musl is here, beside tests/size/sizes.txt; SIZES_TARGETS="..." for some
#: make sizes-update writes these figures there
SIZES_TARGETS ?= $(TARGETS)
sizes sizes-update:
	@sh tests/size/sizes.sh $(if $(filter sizes,$@),check,update) $(SIZES_TARGETS)

#: make firmware     an example without an operating system, for Cortex-M3; make firmware-test: in qemu
#: make firmware-lwip   the same with lwIP's HTTP server; make firmware-lwip-test: in qemu (LWIP_TEST_OPTIONS=--long)
#: make firmware-check  sizes, stack and symbols of the portable part on small processors
# Compilers of its own, so a Makefile of its own.
firmware firmware-test firmware-check firmware-lwip firmware-lwip-test: | $(OUT)/checked
	@$(MAKE) --no-print-directory -f port/baremetal/Makefile $@

firmware-test firmware-lwip-test: cmcwh
