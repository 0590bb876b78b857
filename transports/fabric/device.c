/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c - opens and closes libfabric's objects, and registers memory in every way that a provider may want.
 */
#include "fabric/device.h"

#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "fabric/wire.h"

/* Queues as long as the credits make use of; some providers take 100 MB for the length that they offer. */
#define TX_SIZE 256
#define RX_SIZE 2048
#define CQ_LEAST 4096
#define RX_EACH ((size_t)2 * TT_FAB_CREDIT_LEAST) /* and for every rank, if there are many */

static tutti_status
fail(const struct tt_fab_device *device, ssize_t code, const char *what)
{
	return tt_fail(code == -FI_ENOMEM ? TUTTI_ERR_NOMEM : TUTTI_ERR_SYSTEM, -1, "libfabric provider %s: %s: %s",
	    device->provider, what, fi_strerror((int)-code));
}

static void
read_modes(struct tt_fab_device *device)
{
	const struct fi_info *info = device->info;
	const int mode = info->domain_attr->mr_mode;

	device->local = (mode & FI_MR_LOCAL) != 0;
	device->virtual = (mode & FI_MR_VIRT_ADDR) != 0;
	device->own_keys = (mode & FI_MR_PROV_KEY) == 0;
	device->bind = (mode & FI_MR_ENDPOINT) != 0;
	device->pins = (mode & FI_MR_ALLOCATED) != 0;
	device->inject = info->tx_attr->inject_size;
	device->most = info->ep_attr->max_msg_size;
	device->next_key = 1;
}

static int
open_queue(struct tt_fab_device *device)
{
	/* All that can be complete at once. */
	const size_t size = tt_max_size(CQ_LEAST, 2 * (device->info->rx_attr->size + device->info->tx_attr->size));
	struct fi_cq_attr attr = {.size = size, .format = FI_CQ_FORMAT_DATA, .wait_obj = FI_WAIT_FD};
	/* It resends by the clock, which no descriptor tells of. */
	const bool timed = strstr(device->way.provider, "ofi_rxd") != NULL;
	int code = timed ? -FI_ENOSYS : fi_cq_open(device->domain, &attr, &device->cq, NULL);

	if (code == 0 && fi_control(&device->cq->fid, FI_GETWAIT, &device->wait_fd) == 0)
		return 0;
	device->wait_fd = -1;
	if (code == 0)
		fi_close(&device->cq->fid);
	device->cq = NULL;
	attr.wait_obj = FI_WAIT_NONE;
	return fi_cq_open(device->domain, &attr, &device->cq, NULL);
}

static tutti_status
open_objects(struct tt_fab_device *device, int nranks)
{
	struct fi_av_attr av = {.type = FI_AV_TABLE, .count = (size_t)nranks};
	int code = fi_fabric(device->info->fabric_attr, &device->fabric, NULL);

	if (code != 0)
		return fail(device, code, "cannot open the fabric");
	code = fi_domain(device->fabric, device->info, &device->domain, NULL);
	if (code != 0)
		return fail(device, code, "cannot open the domain");
	code = fi_av_open(device->domain, &av, &device->av, NULL);
	if (code != 0)
		return fail(device, code, "cannot open the address table");
	code = open_queue(device);
	if (code != 0)
		return fail(device, code, "cannot open the completion queue");
	code = fi_endpoint(device->domain, device->info, &device->ep, NULL);
	if (code != 0)
		return fail(device, code, "cannot open the endpoint");
	code = fi_ep_bind(device->ep, &device->av->fid, 0);
	if (code == 0)
		code = fi_ep_bind(device->ep, &device->cq->fid, FI_TRANSMIT | FI_RECV);
	if (code == 0)
		code = fi_enable(device->ep);
	return code == 0 ? TUTTI_OK : fail(device, code, "cannot enable the endpoint");
}

tutti_status
tt_fab_device_open(struct tt_fab_device *device, struct fi_info *info, const struct tt_fab_way *way, int nranks)
{
	tutti_status status;

	*device = (struct tt_fab_device){.info = info, .way = *way, .wait_fd = -1};
	tt_fab_way_print(way, device->provider, sizeof(device->provider));
	info->tx_attr->size = tt_min_size(info->tx_attr->size, TX_SIZE);
	info->rx_attr->size = tt_min_size(info->rx_attr->size, tt_max_size(RX_SIZE, (size_t)nranks * RX_EACH));
	read_modes(device);
	status = open_objects(device, nranks);
	if (status != TUTTI_OK)
		tt_fab_device_close(device);
	return status;
}

static void
close_one(struct fid *fid)
{
	if (fid != NULL)
		fi_close(fid);
}

void
tt_fab_device_stop(struct tt_fab_device *device)
{
	close_one(device->ep != NULL ? &device->ep->fid : NULL);
	device->ep = NULL;
}

void
tt_fab_device_close(struct tt_fab_device *device)
{
	tt_fab_device_stop(device);
	close_one(device->cq != NULL ? &device->cq->fid : NULL);
	close_one(device->av != NULL ? &device->av->fid : NULL);
	close_one(device->domain != NULL ? &device->domain->fid : NULL);
	close_one(device->fabric != NULL ? &device->fabric->fid : NULL);
	device->cq = NULL;
	device->av = NULL;
	device->domain = NULL;
	device->fabric = NULL;
	device->wait_fd = -1;
	if (device->info != NULL)
		fi_freeinfo(device->info);
	device->info = NULL;
}

tutti_status
tt_fab_device_name(struct tt_fab_device *device, void *name, size_t *bytes)
{
	const int code = fi_getname(&device->ep->fid, name, bytes);

	return code == 0 ? TUTTI_OK : fail(device, code, "cannot tell the endpoint's address");
}

tutti_status
tt_fab_register(struct tt_fab_device *device, void *memory, size_t bytes, uint64_t access, struct tt_fab_mr *mr)
{
	const bool remote = (access & FI_REMOTE_WRITE) != 0;
	int code;

	*mr = (struct tt_fab_mr){0};
	if (!remote && !device->local)
		return TUTTI_OK;
	code = fi_mr_reg(
	    device->domain, memory, bytes, access, 0, device->own_keys ? device->next_key : 0, 0, &mr->mr, NULL);
	if (code == 0 && device->bind) {
		code = fi_mr_bind(mr->mr, &device->ep->fid, 0);
		if (code == 0)
			code = fi_mr_enable(mr->mr);
	}
	if (code != 0) {
		tt_fab_unregister(mr);
		return tt_fail(code == -FI_ENOMEM ? TUTTI_ERR_NOMEM : TUTTI_ERR_SYSTEM, -1,
		    "libfabric provider %s: cannot register %zu bytes: %s (is `ulimit -l` large enough?)",
		    device->provider, bytes, fi_strerror(-code));
	}
	device->next_key++;
	mr->desc = fi_mr_desc(mr->mr);
	mr->key = fi_mr_key(mr->mr);
	mr->base = device->virtual ? NULL : memory;
	return TUTTI_OK;
}

void
tt_fab_unregister(struct tt_fab_mr *mr)
{
	if (mr->mr != NULL)
		fi_close(&mr->mr->fid);
	*mr = (struct tt_fab_mr){0};
}
