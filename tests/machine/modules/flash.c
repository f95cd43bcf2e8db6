// SPDX-License-Identifier: MIT
/* Registers a NOR flash, which the emulated board has and this kernel does not know of, for its
 * driver physmap: a partition "boot" of one erase block, where qemu puts its loader, and the rest
 * as "data". */

#include <linux/module.h>
#include <linux/mtd/partitions.h>
#include <linux/mtd/physmap.h>
#include <linux/platform_device.h>

static ulong start = 0x1e000000, size = 0x400000;
static uint width = 4, block = 0x10000;
module_param(start, ulong, 0444);
module_param(size, ulong, 0444);
module_param(width, uint, 0444);
module_param(block, uint, 0444);

static struct mtd_partition partitions[] = {{.name = "boot"},
                                            {.name = "data", .size = MTDPART_SIZ_FULL}};
static struct physmap_flash_data data = {.parts = partitions, .nr_parts = ARRAY_SIZE(partitions)};
static struct platform_device *device;

static int __init flash_init(void) {
    const struct resource place = DEFINE_RES_MEM(start, size);

    data.width = width;
    partitions[0].size = partitions[1].offset = block;
    device =
        platform_device_register_resndata(NULL, "physmap-flash", 0, &place, 1, &data, sizeof(data));
    return PTR_ERR_OR_ZERO(device);
}

static void __exit flash_exit(void) {
    platform_device_unregister(device);
}

module_init(flash_init);
module_exit(flash_exit);
MODULE_DESCRIPTION("Registers a NOR flash of an emulated board");
MODULE_LICENSE("Dual MIT/GPL");
