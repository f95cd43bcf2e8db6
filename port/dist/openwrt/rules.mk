# In the place of OpenWrt's SDK: as much of its make files as port/openwrt/Makefile uses, to lay out the package's files by
# its own rules where there is no SDK. The names are OpenWrt's.
INCLUDE_DIR := $(TOPDIR)/include
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_CONF := install -m0600
INSTALL_DATA := install -m0644
CP := cp -fpR
