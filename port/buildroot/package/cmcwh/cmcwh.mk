# Not built with a real Buildroot yet. The tree that this file is in is the source.
CMCWH_VERSION = 0.1.0
CMCWH_SITE = $(abspath $(BR2_EXTERNAL_CMCWH_PATH)/../..)
CMCWH_SITE_METHOD = local
CMCWH_LICENSE = MIT
CMCWH_LICENSE_FILES = LICENSE

CMCWH_OPTIONS = TLS=0 HTTP=$(if $(BR2_PACKAGE_CMCWH_HTTP),1,0) MQTT=0 \
	CIVETWEB_SRC=$(call qstrip,$(BR2_PACKAGE_CMCWH_CIVETWEB)) \
	JSMN_INCLUDE=$(call qstrip,$(BR2_PACKAGE_CMCWH_JSMN))
ifeq ($(BR2_PACKAGE_CMCWH_TLS),y)
CMCWH_DEPENDENCIES += openssl
CMCWH_OPTIONS += TLS=1
endif
ifeq ($(BR2_PACKAGE_CMCWH_MQTT),y)
CMCWH_DEPENDENCIES += mosquitto
CMCWH_OPTIONS += MQTT=1
endif

define CMCWH_BUILD_CMDS
	$(TARGET_MAKE_ENV) $(MAKE) -C $(@D) cmcwh $(TARGET_CONFIGURE_OPTS) $(CMCWH_OPTIONS)
endef

define CMCWH_INSTALL_TARGET_CMDS
	$(INSTALL) -D -m 755 $(@D)/cmcwh $(TARGET_DIR)/usr/bin/cmcwh
endef

define CMCWH_INSTALL_INIT_SYSTEMD
	$(INSTALL) -D -m 644 $(@D)/port/systemd/cmcwh.service $(TARGET_DIR)/usr/lib/systemd/system/cmcwh.service
	$(INSTALL) -D -m 644 $(@D)/port/systemd/cmcwh.tmpfiles $(TARGET_DIR)/usr/lib/tmpfiles.d/cmcwh.conf
	$(INSTALL) -D -m 644 $(@D)/port/systemd/cmcwh.conf $(TARGET_DIR)/etc/cmcwh/cmcwh.conf
endef

# tmpfiles.d makes it too, but not where /etc is read-only.
ifeq ($(BR2_INIT_SYSTEMD),y)
define CMCWH_PERMISSIONS
	/etc/cmcwh/credentials d 700 0 0 - - - - -
endef
endif

define CMCWH_INSTALL_INIT_SYSV
	$(INSTALL) -D -m 755 $(CMCWH_PKGDIR)/S80cmcwh $(TARGET_DIR)/etc/init.d/S80cmcwh
endef

# In place of cmcwh.sysusers: Buildroot makes users when it makes the image.
define CMCWH_USERS
	cmcwh -1 cmcwh -1 * /var/lib/cmcwh - - Webhook receiver for Customers Mail Cloud
endef

$(eval $(generic-package))
