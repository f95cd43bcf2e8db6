/* Mail addresses hidden: whose they are stays on the device, at which domain does not. */
#ifndef CMCWH_HIDE_H
#define CMCWH_HIDE_H

#include "cmcwh.h"

/* In each text of a record that has passed cmcwh_record_check, what stands before an '@' becomes
 * stars, one a byte, so that all lengths stay. In the members of blocks and unknown kinds, where an
 * '@' may be written in many ways, every string does. The record's CRC is no longer right: it is to
 * be read and encoded, not kept. */
void hide_addresses(struct cmcwh_record *record);

#endif
