// SPDX-License-Identifier: MIT
/* Has a MIPS's timer ring at once. qemu forgets when it was to, in a state that is saved and
 * restored, and then all that waits for a time does so until its counter has come round. */

#include <asm/mipsregs.h>
#include <linux/module.h>

static int __init timer_init(void) {
    write_c0_compare(read_c0_count() + 10000);
    return 0;
}

module_init(timer_init);
MODULE_DESCRIPTION("Has the timer of an emulated processor ring");
MODULE_LICENSE("Dual MIT/GPL");
