# `make -C port/openwrt TOPDIR=HERE PACKAGE IDIR=FOLDER PKG_BUILD_DIR=FOLDER PKGARCH=NAME` puts the files of PACKAGE, of which
# the program stands in PKG_BUILD_DIR, into IDIR, and into IDIR/CONTROL what opkg reads of it. EXTRA_LICENSE: the terms of
# what is linked in. `make ... compile-PACKAGE` runs its rules to build there.

define nl


endef

# What OpenWrt does with a package that asks for a user, a service and files that are kept: its own functions do it, on
# the router.
define maintainer_script
#!/bin/sh
[ "$${IPKG_NO_SCRIPT}" = "1" ] && exit 0
[ -s $${IPKG_INSTROOT}/lib/functions.sh ] || exit 0
. $${IPKG_INSTROOT}/lib/functions.sh
default_$(1) $$0 $$@
endef

define control
Package: $(1)
Version: $(PKG_VERSION)-$(PKG_RELEASE)
$(if $(PROVIDES_$(1)),Provides: $(PROVIDES_$(1))$(nl))License: $(PKG_LICENSE)$(EXTRA_LICENSE:%= %)
Section: $(SECTION_$(1))
$(if $(USERID_$(1)),Require-User: $(USERID_$(1))$(nl))Maintainer: $(PKG_MAINTAINER)
Architecture: $(PKGARCH)
Installed-Size: @SIZE@
Description: $(strip $(subst $(nl), ,$(Package/$(1)/description)))
endef

# What of conffiles is no file of the package is kept by sysupgrade, which reads keep.d.
define sort_conffiles
while read -r name; do \
	if [ -f "$(IDIR)$$name" ]; then echo "$$name" >>$(IDIR)/CONTROL/conffiles; \
	else $(INSTALL_DIR) $(IDIR)/lib/upgrade/keep.d; echo "$$name" >>$(IDIR)/lib/upgrade/keep.d/$(1); fi; \
done <$(IDIR)/CONTROL/named && rm $(IDIR)/CONTROL/named
endef

define BuildPackage
$(eval VARIANT:=)
$(eval $(Package/$(1)))
$(foreach field,PROVIDES SECTION USERID VARIANT,$(eval $(field)_$(1):=$($(field))))
.PHONY: $(1) $(1)-files compile-$(1)
$(1)-files:
	$$(call Package/$(1)/install,$$(IDIR))
	$$(INSTALL_DIR) $$(IDIR)/CONTROL
$(1): $(1)-files
	$$(file >$$(IDIR)/CONTROL/control,$$(call control,$(1)))
	$$(foreach script,postinst prerm,$$(file >$$(IDIR)/CONTROL/$$(script),$$(call maintainer_script,$$(script))))
	$$(file >$$(IDIR)/CONTROL/named,$$(Package/$(1)/conffiles))
	chmod 755 $$(IDIR)/CONTROL/postinst $$(IDIR)/CONTROL/prerm
	$$(call sort_conffiles,$(1))
compile-$(1): BUILD_VARIANT := $$(VARIANT_$(1))
compile-$(1):
	$$(Build/Prepare)
	$$(Build/Compile)
endef
