# Whole machines in qemu, with kernels of Debian's: routers, and a plug that is pulled.

.PHONY: machine-test machine-test-long machine-pulls machine-routers machine-programs debian-test debian-test-long

MACHINE_PROCESSORS := mipsel-linux-gnu aarch64-linux-gnu
MACHINE_PULLS := mipsel/ext4/volatile mipsel/f2fs mipsel/jffs2 mipsel/ubifs
MACHINE_PULLS_LONG := $(foreach disk,ext4 ext4/volatile f2fs f2fs/volatile jffs2 ubifs,mipsel/$(disk)) \
	$(foreach disk,ext4/volatile f2fs/volatile,arm64/$(disk))

#: make machine-programs     what they run, for each processor: build/machine/cmcwh-TRIPLET
machine-programs: $(OUT)/cmcwh
	$(call cross_programs,build/machine,$(MACHINE_PROCESSORS),TLS=mbedtls)

#: make machine-test routers in qemu, both of:
#: make machine-pulls    their plug is pulled, on four file systems; a disk with torn writes
#: make machine-routers  no room, no memory, a clock that is set, a serial line, rsyslog, HTTPS
machine-test: machine-pulls machine-routers
machine-pulls: machine-programs
	@python3 tests/machine/pulls.py build/machine/cmcwh-@ $(MACHINE_PULLS)
	@python3 tests/machine/replay.py build/machine/cmcwh-mipsel-linux-gnu $(OUT)/cmcwh
machine-routers: machine-programs
	@python3 tests/machine/routers.py --host $(OUT)/cmcwh build/machine/cmcwh-@

#: make machine-test-long    1 000 pulls, and a disk cut at every write: an hour; interrupted, pulls go on: build/machine/pulls/table.txt
machine-test-long: machine-programs
	@python3 tests/machine/pulls.py --pulls 125 --results build/machine/pulls build/machine/cmcwh-@ $(MACHINE_PULLS_LONG)
	@for sync in always 100ms; do python3 tests/machine/replay.py --points 0 --seconds 2 --sync $$sync \
		build/machine/cmcwh-mipsel-linux-gnu $(OUT)/cmcwh || exit 1; done

# The package, made anew when what it is made of has changed.
DEBIAN_PACKAGE = build/deb/cmcwh_$(VERSION)_$(shell dpkg --print-architecture).deb
DEBIAN_SOURCES = cmcwh.c cmcwh.h Makefile $(wildcard port/posix/*.[ch] port/posix/*/*.[ch] port/posix/*/*/*.[ch] port/systemd/* \
	port/debian/package/* port/man/*)

#: make debian-test  the package on a Debian with systemd in qemu: secrets, renewal, journal, full disk, pulled plug, upgrade,
#: make debian-test-long   purge; and with more of each
debian-test debian-test-long:
	@for source in $(DEBIAN_SOURCES); do [ $(DEBIAN_PACKAGE) -nt $$source ] || exec $(MAKE) -s deb; done
	@python3 tests/machine/debian.py $(if $(filter %-long,$@),--long) build/deps/machine/debian $(DEBIAN_PACKAGE)
