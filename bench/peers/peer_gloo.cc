/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_gloo.cc - Gloo in the comparison, as PyTorch uses it: TCP, its default algorithms. Started by `tutti run`,
 * which says who is who; the ranks meet through files in the folder MEASURE_STORE.
 */
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/alltoall.h>
#include <gloo/barrier.h>
#include <gloo/broadcast.h>
#include <gloo/gather.h>
#include <gloo/math.h>
#include <gloo/reduce.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/scatter.h>
#include <gloo/transport/tcp/device.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "peer.h"

namespace
{

std::shared_ptr<gloo::rendezvous::Context> context;

/* An exception of Gloo's is an error like any other's. */
template <typename Call>
int
told(Call call)
{
	try {
		call();
		return 0;
	} catch (const std::exception &error) {
		std::fprintf(stderr, "gloo: %s\n", error.what());
		return -1;
	}
}

int
open_peer(int *rank, int *size)
{
	*rank = std::atoi(std::getenv("TUTTI_RANK"));
	*size = std::atoi(std::getenv("TUTTI_SIZE"));
	return told([&] {
		gloo::transport::tcp::attr where;

		where.iface = std::getenv("MEASURE_INTERFACE");
		gloo::rendezvous::FileStore store(std::getenv("MEASURE_STORE"));
		auto device = gloo::transport::tcp::CreateDevice(where);

		context = std::make_shared<gloo::rendezvous::Context>(*rank, *size);
		context->connectFullMesh(store, device);
	});
}

void
close_peer(void)
{
	context.reset();
}

int
barrier(void)
{
	return told([] {
		gloo::BarrierOptions options(context);
		gloo::barrier(options);
	});
}

void
add(void *c, const void *a, const void *b, size_t n)
{
	gloo::sum<float>(c, a, b, n);
}

int
all_reduce(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::AllreduceOptions options(context);
		options.setInput(const_cast<float *>(send), count);
		options.setOutput(recv, count);
		options.setReduceFunction(add);
		gloo::allreduce(options);
	});
}

int
all_gather(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::AllgatherOptions options(context);
		options.setInput(const_cast<float *>(send), count);
		options.setOutput(recv, count * context->size);
		gloo::allgather(options);
	});
}

int
broadcast(float *buffer, size_t count)
{
	return told([=] {
		gloo::BroadcastOptions options(context);
		options.setOutput(buffer, count);
		options.setRoot(0);
		gloo::broadcast(options);
	});
}

int
reduce(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::ReduceOptions options(context);
		options.setInput(const_cast<float *>(send), count);
		options.setOutput(recv, count);
		options.setRoot(0);
		options.setReduceFunction(add);
		gloo::reduce(options);
	});
}

int
scatter(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::ScatterOptions options(context);
		if (context->rank == 0) {
			std::vector<float *> parts;
			for (int r = 0; r < context->size; r++)
				parts.push_back(const_cast<float *>(send) + static_cast<size_t>(r) * count);
			options.setInputs(parts, count);
		}
		options.setOutput(recv, count);
		options.setRoot(0);
		gloo::scatter(options);
	});
}

int
gather(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::GatherOptions options(context);
		options.setInput(const_cast<float *>(send), count);
		if (context->rank == 0)
			options.setOutput(recv, count * context->size);
		options.setRoot(0);
		gloo::gather(options);
	});
}

int
all_to_all(const float *send, float *recv, size_t count)
{
	return told([=] {
		gloo::AlltoallOptions options(context);
		options.setInput(const_cast<float *>(send), count * context->size);
		options.setOutput(recv, count * context->size);
		gloo::alltoall(options);
	});
}

} // namespace

const struct peer peer = {"Gloo", open_peer, nullptr, close_peer, barrier, all_reduce, nullptr, all_gather, broadcast,
    reduce, scatter, gather, all_to_all};
