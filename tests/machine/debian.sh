#!/bin/sh
# debian.sh FOLDER: a small Debian with systemd for an emulated PC, as FOLDER/disk, and its kernel, FOLDER/vmlinuz. The
# release is this system's own, so that packages built here can be installed there. Run by root.
#
# It starts without an initrd: the kernel has drivers for NVMe and ext4 built in. At its serial port it says
# `debian ready` and does each line that is typed there.
set -eu
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
# What cmcwh's package needs and what its manual uses, and no more: what it takes for granted is found out here. No
# initramfs-tools: their scripts would take as long as all else.
PACKAGES="systemd systemd-sysv udev kmod adduser init-system-helpers openssl libssl3 libmosquitto1"
MODULES="virtio_net virtio_pci"
# What only takes time at each start.
NOT_STARTED="serial-getty@ttyS0.service getty@tty1.service getty-static.service apt-daily.timer apt-daily-upgrade.timer
    dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service
    systemd-network-generator.service systemd-modules-load.service kmod-static-nodes.service systemd-pstore.service
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-binfmt.service dev-hugepages.mount
    dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service
    modprobe@fuse.service modprobe@loop.service"

# get_kernel FOLDER: unpacks the kernel of Debian's package there. Called by mmdebstrap, which has lists of packages.
get_kernel() {
    cd "$1"
    export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
    apt-get -qq -o APT::Sandbox::User=root download \
        $(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image[^ ]*\)$/\1/p')
    dpkg-deb -x linux-image*.deb .
}

# install_kernel KERNEL ROOT: of its modules those that are needed.
install_kernel() {
    version=$(ls "$1/lib/modules")
    from=$1/lib/modules/$version to=$2/usr/lib/modules/$version
    mkdir -p "$to"
    cp "$from"/modules.builtin* "$from/modules.order" "$to"
    depmod -b "$1" "$version"
    for module in $MODULES; do
        modprobe -d "$1" -S "$version" --show-depends "$module" | sed -n "s|^insmod $from/||p"
    done | sort -u | while read -r path; do
        mkdir -p "$to/$(dirname "$path")"
        cp "$from/$path" "$to/$path"
    done
    depmod -b "$2" "$version"
}

# settle ROOT: network, the shell at the serial port, and what does not start.
settle() {
    units=$1/etc/systemd/system
    echo debian >"$1/etc/hostname"
    echo '127.0.0.1 localhost debian' >"$1/etc/hosts"
    printf '[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\n' >"$1/etc/systemd/network/net.network"
    cat >"$units/console.service" <<'UNIT'
[Service]
ExecStart=/bin/sh /root/console
StandardInput=tty
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
UNIT
    cat >"$1/root/console" <<'CONSOLE'
stty -echo
until grep -q '^[^I][^[:space:]]*[[:space:]]00000000' /proc/net/route; do
    sleep 0.2
done
echo 'debian ready'
while read -r line; do
    eval "$line"
done
CONSOLE
    mkdir -p "$units/multi-user.target.wants"
    ln -s /etc/systemd/system/console.service /lib/systemd/system/systemd-networkd.service "$units/multi-user.target.wants"
    for unit in $NOT_STARTED; do
        ln -sf /dev/null "$units/$unit"
    done
    # There is nothing here that they would make units of, and each `systemctl daemon-reload` runs them all.
    mkdir -p "$1/etc/systemd/system-generators"
    for generator in "$1"/lib/systemd/system-generators/*; do
        ln -s /dev/null "$1/etc/systemd/system-generators/${generator##*/}"
    done
    : >"$1/etc/fstab"
    od -An -N16 -tx1 /dev/urandom | tr -d ' ' >"$1/etc/machine-id" # or it would be the first boot
}

if [ "${1:-}" = --kernel ]; then
    get_kernel "$2"
    exit
fi

mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/kernel"
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
mmdebstrap --quiet --mode=root --variant=essential --format=directory --include="$(echo $PACKAGES | tr ' ' ',')" \
    --aptopt='Acquire::Languages "none"' --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/zoneinfo/*' --customize-hook="sh '$script' --kernel '$work/kernel'" \
    "$release" "$work/root" >"$folder/log" 2>&1 || {
    echo "debian.sh: mmdebstrap failed; $folder/log ends with:" >&2
    tail -n 5 "$folder/log" >&2
    exit 1
}
install_kernel "$work/kernel" "$work/root"
settle "$work/root"
cp "$work/kernel/boot"/vmlinuz-* "$folder/vmlinuz"
mke2fs -q -F -t ext4 -L root -d "$work/root" "$folder/disk.new" 1G >>"$folder/log"
chown --reference="$folder" "$folder"/*
mv "$folder/disk.new" "$folder/disk"
