/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_oneccl.cc - oneCCL's CPU side in the comparison. Started by `tutti run`, which says who is who; the address of
 * its key-value store goes over the stage.
 */
#include <oneapi/ccl.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "peer.h"
extern "C" {
#include "stage.h"
}

namespace
{

int my_rank, ranks;
std::unique_ptr<ccl::communicator> comm;
std::shared_ptr<ccl::kvs> store;

template <typename Call>
int
told(Call call)
{
	try {
		call();
		return 0;
	} catch (const std::exception &error) {
		std::fprintf(stderr, "oneCCL: %s\n", error.what());
		return -1;
	}
}

int
open_peer(int *rank, int *size)
{
	my_rank = *rank = std::atoi(std::getenv("TUTTI_RANK"));
	ranks = *size = std::atoi(std::getenv("TUTTI_SIZE"));
	setenv("CCL_LOCAL_RANK", std::getenv("TUTTI_RANK"), 1);
	setenv("CCL_LOCAL_SIZE", std::getenv("TUTTI_SIZE"), 1);
	return told([] { ccl::init(); });
}

int
ready(struct stage *stage)
{
	ccl::kvs::address_type address{};

	return told([&] {
		if (my_rank == 0) {
			store = ccl::create_main_kvs();
			address = store->get_address();
		}
		stage_tell(stage, address.data(), address.size());
		if (my_rank != 0)
			store = ccl::create_kvs(address);
		comm = std::make_unique<ccl::communicator>(ccl::create_communicator(ranks, my_rank, store));
	});
}

void
close_peer(void)
{
	comm.reset();
	store.reset();
}

int
barrier(void)
{
	return told([] { ccl::barrier(*comm).wait(); });
}

int
all_reduce(const float *send, float *recv, size_t count)
{
	return told(
	    [=] { ccl::allreduce(send, recv, count, ccl::datatype::float32, ccl::reduction::sum, *comm).wait(); });
}

int
reduce_scatter(const float *send, float *recv, size_t count)
{
	return told([=] {
		ccl::reduce_scatter(send, recv, count, ccl::datatype::float32, ccl::reduction::sum, *comm).wait();
	});
}

int
all_gather(const float *send, float *recv, size_t count)
{
	return told([=] {
		static std::vector<size_t> counts;
		counts.assign(static_cast<size_t>(ranks), count);
		ccl::allgatherv(send, count, recv, counts, ccl::datatype::float32, *comm).wait();
	});
}

int
broadcast(float *buffer, size_t count)
{
	return told([=] { ccl::broadcast(buffer, count, ccl::datatype::float32, 0, *comm).wait(); });
}

int
reduce(const float *send, float *recv, size_t count)
{
	return told(
	    [=] { ccl::reduce(send, recv, count, ccl::datatype::float32, ccl::reduction::sum, 0, *comm).wait(); });
}

int
all_to_all(const float *send, float *recv, size_t count)
{
	return told([=] { ccl::alltoall(send, recv, count, ccl::datatype::float32, *comm).wait(); });
}

} // namespace

const struct peer peer = {"oneCCL", open_peer, ready, close_peer, barrier, all_reduce, reduce_scatter, all_gather,
    broadcast, reduce, nullptr, nullptr, all_to_all};
