/* SPDX-License-Identifier: Apache-2.0
 *
 * nic.h - how near a network card is to this process, by its place on the PCI bus.
 */
#ifndef TT_FABRIC_NIC_H
#define TT_FABRIC_NIC_H

#include <sched.h>
#include <stdbool.h>

struct fi_info;

#define TT_FAB_PCI_DEVICES "/sys/bus/pci/devices"

/* The cores beside the card, as the folder of PCI devices has them, and those this thread may use have one in common?
 * true if that is not known. */
bool tt_fab_nic_is_near(const struct fi_info *info, const char *devices);
/* "0-3,8,10-11" has a core of `set`? A text that does not parse has none. */
bool tt_fab_cpulist_meets(const char *text, const cpu_set_t *set);

#endif /* TT_FABRIC_NIC_H */
