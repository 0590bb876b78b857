/* SPDX-License-Identifier: Apache-2.0
 *
 * nic.c - asks the kernel which cores are beside a card.
 */
#include "fabric/nic.h"

#include <fcntl.h>
#include <rdma/fabric.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool
tt_fab_cpulist_meets(const char *text, const cpu_set_t *set)
{
	while (*text >= '0' && *text <= '9') {
		char *end;
		unsigned long first = strtoul(text, &end, 10), last = first;

		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (unsigned long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
			if (CPU_ISSET(cpu, set))
				return true;
		text = *end == ',' ? end + 1 : end;
	}
	return false;
}

bool
tt_fab_nic_is_near(const struct fi_info *info, const char *devices)
{
	const struct fi_pci_attr *pci;
	char path[256], text[1024];
	cpu_set_t mine;
	ssize_t n;
	int fd;

	if (info->nic == NULL || info->nic->bus_attr == NULL || info->nic->bus_attr->bus_type != FI_BUS_PCI)
		return true;
	pci = &info->nic->bus_attr->attr.pci;
	snprintf(path, sizeof(path), "%.160s/%04x:%02x:%02x.%x/local_cpulist", devices, pci->domain_id, pci->bus_id,
	    pci->device_id, pci->function_id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || sched_getaffinity(0, sizeof(mine), &mine) != 0)
		return true;
	text[n] = '\0';
	return tt_fab_cpulist_meets(text, &mine);
}
