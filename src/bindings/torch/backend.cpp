/* SPDX-License-Identifier: Apache-2.0
 *
 * backend.cpp - Tutti as a backend of torch.distributed, for PyTorch 1.13 and 2.x.
 *
 * Each method checks its tensors, brings them into one piece, makes one call (or one group of calls) of the library
 * without waiting, and hands out a Work. No collective is composed of others here. What differs between the versions of
 * PyTorch is in `Base` and behind TUTTI_TORCH_AT_LEAST.
 */
#include <set>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/utils/pybind.h>
#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#endif
#include <pybind11/chrono.h>
#include <pybind11/stl.h>

#include "work.h"

namespace tutti_torch
{

#if TUTTI_TORCH_AT_LEAST(2, 0)
using Base = c10d::Backend;
#else
using Base = c10d::ProcessGroup;
#endif
using c10d::OpType;
using Tensors = std::vector<at::Tensor>;
using Returned = c10::intrusive_ptr<c10d::Work>;

/* ---- arguments -------------------------------------------------------------------------------------------- */

/* torch's calls take lists for the sake of several devices per process; on a CPU they hold one entry. */
template <class T>
static T &
only(std::vector<T> &list, const char *what)
{
	TORCH_CHECK(list.size() == 1, "tutti: ", what, " takes one tensor per call, not ", list.size());
	return list[0];
}

static void
check_same_type(const Kind &a, const Kind &b, const char *what)
{
	TORCH_CHECK(a.dtype == b.dtype && a.parts == b.parts, "tutti: ", what,
	    " needs its input and output to have the same type");
}

/* An operator for one call: a premultiplied sum is made for it and ends with it. */
class Operator
{
      public:
	Operator(tutti_comm *comm, const c10d::ReduceOp &op, const at::Tensor &like, const char *what) : comm_(comm)
	{
		const Kind kind = check(like, what);

		handle_ = builtin(op.op_);
		TORCH_CHECK(kind.parts == 1 || handle_ == TUTTI_SUM || handle_ == TUTTI_AVG || handle_ < 0,
		    "tutti: ", what, " of complex numbers adds and averages only");
		if (handle_ < 0)
			make_premul(op, like.scalar_type(), kind.dtype);
	}

	Operator(const Operator &) = delete;
	Operator &operator=(const Operator &) = delete;

	~Operator()
	{
		if (made_)
			(void)tutti_op_destroy(comm_, handle_);
	}

	operator tutti_op() const
	{
		return handle_;
	}

      private:
	static tutti_op builtin(c10d::ReduceOp::RedOpType op)
	{
		switch (op) {
		case c10d::ReduceOp::SUM:
			return TUTTI_SUM;
		case c10d::ReduceOp::AVG:
			return TUTTI_AVG;
		case c10d::ReduceOp::PRODUCT:
			return TUTTI_PROD;
		case c10d::ReduceOp::MIN:
			return TUTTI_MIN;
		case c10d::ReduceOp::MAX:
			return TUTTI_MAX;
		case c10d::ReduceOp::BAND:
			return TUTTI_BAND;
		case c10d::ReduceOp::BOR:
			return TUTTI_BOR;
		case c10d::ReduceOp::BXOR:
			return TUTTI_BXOR;
		case c10d::ReduceOp::PREMUL_SUM:
			return -1;
		default:
			TORCH_CHECK(false, "tutti: there is no reduction with the number ", static_cast<int>(op));
		}
	}

	/* One tensor for all devices, or a list of them, as the version has it. */
	template <class S> static auto tensor_of(const S &supplement, int) -> decltype(supplement.tensor_factor)
	{
		return supplement.tensor_factor;
	}

	template <class S> static at::Tensor tensor_of(const S &supplement, long)
	{
		return supplement.tensor_factors.empty() ? at::Tensor() : supplement.tensor_factors[0];
	}

	void make_premul(const c10d::ReduceOp &op, at::ScalarType type, tutti_dtype dtype)
	{
		TORCH_CHECK(op.supplement_, "tutti: PREMUL_SUM needs its factor");
		const auto &supplement = static_cast<const c10d::NCCLPreMulSumSupplement &>(*op.supplement_);
		at::Tensor factor = tensor_of(supplement, 0);
		const auto real = c10::toRealValueType(type);

		factor = factor.defined() ? factor.to(at::kCPU, real).contiguous()
					  : at::full({1}, supplement.double_factor, at::TensorOptions(real));
		TORCH_CHECK(factor.numel() == 1, "tutti: PREMUL_SUM takes one factor");
		const tutti_status status = tutti_op_create_premul_sum(comm_, factor.data_ptr(), dtype, &handle_);
		TORCH_CHECK(status == TUTTI_OK, "tutti: cannot make an operator: ", tutti_status_string(status));
		made_ = true;
	}

	tutti_comm *const comm_;
	tutti_op handle_ = TUTTI_SUM;
	bool made_ = false;
};

/* ---- the backend ------------------------------------------------------------------------------------------ */

class TuttiBackend : public Base
{
      public:
	TuttiBackend(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size, Milliseconds timeout,
	    const std::string &name, const std::vector<int64_t> &global_ranks);
	~TuttiBackend() override;

	const std::string getBackendName() const override
	{
		return "tutti";
	}

	Returned broadcast(Tensors &tensors, const c10d::BroadcastOptions &opts) override;
	Returned allreduce(Tensors &tensors, const c10d::AllreduceOptions &opts) override;
	Returned allreduce_coalesced(Tensors &tensors, const c10d::AllreduceCoalescedOptions &opts) override;
	Returned reduce(Tensors &tensors, const c10d::ReduceOptions &opts) override;
	Returned allgather(
	    std::vector<Tensors> &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts) override;
	Returned _allgather_base(at::Tensor &output, at::Tensor &input, const c10d::AllgatherOptions &opts) override;
	Returned allgather_coalesced(
	    std::vector<Tensors> &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts) override;
	Returned gather(std::vector<Tensors> &outputs, Tensors &inputs, const c10d::GatherOptions &opts) override;
	Returned scatter(Tensors &outputs, std::vector<Tensors> &inputs, const c10d::ScatterOptions &opts) override;
	Returned reduce_scatter(
	    Tensors &outputs, std::vector<Tensors> &inputs, const c10d::ReduceScatterOptions &opts) override;
	Returned _reduce_scatter_base(
	    at::Tensor &output, at::Tensor &input, const c10d::ReduceScatterOptions &opts) override;
	Returned alltoall_base(at::Tensor &output, at::Tensor &input, std::vector<int64_t> &output_sizes,
	    std::vector<int64_t> &input_sizes, const c10d::AllToAllOptions &opts) override;
	Returned alltoall(Tensors &outputs, Tensors &inputs, const c10d::AllToAllOptions &opts) override;
	Returned send(Tensors &tensors, int peer, int tag) override;
	Returned recv(Tensors &tensors, int peer, int tag) override;
	Returned recvAnysource(Tensors &tensors, int tag) override;
	Returned barrier(const c10d::BarrierOptions &opts) override;
	void monitoredBarrier(const c10d::BarrierOptions &opts, bool wait_all_ranks) override;

	void setSequenceNumberForGroup() override
	{
	}

	uint64_t getSequenceNumberForGroup() override
	{
		return sequence_;
	}

	/* Virtual in some of the versions only, hence without `override`. */
	Returned allgather_into_tensor_coalesced(
	    Tensors &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts);
	Returned reduce_scatter_tensor_coalesced(
	    Tensors &outputs, Tensors &inputs, const c10d::ReduceScatterOptions &opts);
	Returned allreduce_sparse(Tensors &tensors, const c10d::AllreduceOptions &opts);
	void setTimeout(Milliseconds timeout);
	void abort();
	void shutdown();

      private:
	/* Makes one call, or with several a group, and wraps the request. */
	template <class Call>
	Returned start(OpType type, const char *title, Milliseconds timeout, Work::Holdings &&holdings, Call call);
	Returned receive(OpType type, const char *title, Tensors &tensors, int peer, int tag);
	void throw_last(const char *title, tutti_status status) const;

	const std::shared_ptr<Group> group_ = std::make_shared<Group>();
	std::atomic<int64_t> timeout_ms_;
	std::atomic<uint64_t> sequence_{0};
};

/* ---- creation --------------------------------------------------------------------------------------------- */

/* The communicators that a process has when it ends: their peers may still be reading. Never destructed: Python may let go
 * of a group after this library's own end. */
static std::mutex &living_mutex = *new std::mutex;
static std::set<Group *> &living = *new std::set<Group *>;

static void
close_all()
{
	std::set<Group *> all;

	{
		const std::lock_guard<std::mutex> lock(living_mutex);

		all.swap(living);
	}
	for (Group *group : all)
		group->close();
}

/* torch's store behind the library's two calls. An exception must not pass through C. */
struct StoreAdapter {
	c10::intrusive_ptr<c10d::Store> store;
	std::string error;

	static tutti_status set(void *context, const char *key, const void *value, size_t bytes)
	{
		auto *const self = static_cast<StoreAdapter *>(context);
		const auto *const from = static_cast<const uint8_t *>(value);

		try {
			self->store->set(key, std::vector<uint8_t>(from, from + bytes));
		} catch (const std::exception &e) {
			self->error = e.what();
			return TUTTI_ERR_SYSTEM;
		}
		return TUTTI_OK;
	}

	static tutti_status get(void *context, const char *key, void *value, size_t *bytes, int64_t timeout_ms)
	{
		auto *const self = static_cast<StoreAdapter *>(context);

		try {
			self->store->wait({key},
			    timeout_ms < 0 ? Milliseconds(std::chrono::hours(24 * 365)) : Milliseconds(timeout_ms));
			const std::vector<uint8_t> got = self->store->get(key);

			if (got.size() > *bytes)
				return TUTTI_ERR_ARGUMENT;
			std::copy(got.begin(), got.end(), static_cast<uint8_t *>(value));
			*bytes = got.size();
		} catch (const std::exception &e) {
			self->error = e.what();
			return TUTTI_ERR_TIMEOUT;
		}
		return TUTTI_OK;
	}
};

TuttiBackend::TuttiBackend(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size, Milliseconds timeout,
    const std::string &name, const std::vector<int64_t> &global_ranks)
    : Base(rank, size), timeout_ms_(std::max<int64_t>(timeout.count(), 1))
{
	StoreAdapter adapter{store, {}};
	tutti_store calls = TUTTI_STORE_INIT;
	tutti_config config = TUTTI_CONFIG_INIT;
	tutti_status status;

	calls.context = &adapter;
	calls.set = StoreAdapter::set;
	calls.get = StoreAdapter::get;
	group_->name = name;
	group_->global_ranks = global_ranks;
	config.name = group_->name.c_str();
	config.timeout_ms = timeout_ms_;
	config.progress_thread = -1; /* the finisher does it, for what nobody waits for */
	status = tutti_comm_create_from_store(size, rank, &calls, &config, &group_->comm);
	if (status != TUTTI_OK) {
		TORCH_CHECK(adapter.error.empty(), "tutti: rank ", rank, " of ", size,
		    " cannot join the group: the store says: ", adapter.error);
		throw_last("tutti: joining the group", status);
	}
	const std::lock_guard<std::mutex> lock(living_mutex);

	living.insert(group_.get());
}

TuttiBackend::~TuttiBackend()
{
	const auto end = [this] {
		{
			const std::lock_guard<std::mutex> lock(living_mutex);

			living.erase(group_.get());
		}
		group_->close();
	};

	/* Python drops the last reference with the GIL held; a future's callback may need it. */
	if (Py_IsInitialized() && PyGILState_Check()) {
		const py::gil_scoped_release release;

		end();
	} else {
		end();
	}
}

void
TuttiBackend::throw_last(const char *title, tutti_status status) const
{
	std::rethrow_exception(group_->failure(title, status));
}

template <class Call>
Returned
TuttiBackend::start(OpType type, const char *title, Milliseconds timeout, Work::Holdings &&holdings, Call call)
{
	auto work = c10::make_intrusive<Work>(group_, getRank(), type, title, std::move(holdings));
	tutti_options options = TUTTI_OPTIONS_INIT;
	tutti_status status;

	TORCH_CHECK(group_->comm != nullptr, title, ": the group has been shut down");
	options.timeout_ms =
	    timeout == c10d::kUnsetTimeout ? timeout_ms_.load() : std::max<int64_t>(timeout.count(), 1);
	status = call(&options, *work);
	if (status != TUTTI_OK)
		throw_last(title, status);
	if (!work->is_message())
		sequence_++;
	group_->push(work);
	return work;
}

/* Several calls in one: each of them says what it does with which options. */
template <class Each>
static tutti_status
in_group(tutti_comm *comm, size_t n, tutti_request **request, Each each)
{
	tutti_status status = tutti_group_begin(comm);

	if (status != TUTTI_OK)
		return status;
	for (size_t i = 0; i < n; i++)
		(void)each(i); /* the end says what has failed */
	return tutti_group_end(comm, request);
}

/* ---- one tensor ------------------------------------------------------------------------------------------- */

Returned
TuttiBackend::broadcast(Tensors &tensors, const c10d::BroadcastOptions &opts)
{
	const at::Tensor &tensor = only(tensors, "broadcast");
	Work::Holdings holdings{{tensor}, {}, {tensor}, {}};
	const Flat flat = flat_output(tensor, "broadcast", holdings.copies, true);

	return start(OpType::BROADCAST, "tutti:broadcast", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_broadcast(group_->comm, flat.data(), flat.data(), flat.count(), flat.kind.dtype,
			static_cast<int>(opts.rootRank), options, &work.request);
	    });
}

Returned
TuttiBackend::allreduce(Tensors &tensors, const c10d::AllreduceOptions &opts)
{
	const at::Tensor &tensor = only(tensors, "all_reduce");
	Work::Holdings holdings{{tensor}, {}, {tensor}, {}};
	const Flat flat = flat_output(tensor, "all_reduce", holdings.copies, true);
	const Operator op(group_->comm, opts.reduceOp, tensor, "all_reduce");

	return start(OpType::ALLREDUCE, "tutti:all_reduce", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_all_reduce(group_->comm, flat.data(), flat.data(), flat.count(), flat.kind.dtype, op,
			options, &work.request);
	    });
}

Returned
TuttiBackend::allreduce_sparse(Tensors &tensors, const c10d::AllreduceOptions &opts)
{
	return allreduce(tensors, opts); /* which says that it does not */
}

Returned
TuttiBackend::allreduce_coalesced(Tensors &tensors, const c10d::AllreduceCoalescedOptions &opts)
{
	Work::Holdings holdings{tensors, {}, tensors, {}};
	std::vector<Flat> flats;

	TORCH_CHECK(!tensors.empty(), "tutti: all_reduce_coalesced needs at least one tensor");
	for (const at::Tensor &tensor : tensors) {
		flats.push_back(flat_output(tensor, "all_reduce_coalesced", holdings.copies, true));
		check_same_type(flats[0].kind, flats.back().kind, "all_reduce_coalesced");
	}
	const Operator op(group_->comm, opts.reduceOp, tensors[0], "all_reduce_coalesced");

	return start(OpType::ALLREDUCE_COALESCED, "tutti:all_reduce_coalesced", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return in_group(group_->comm, flats.size(), &work.request, [&](size_t i) {
			    return tutti_all_reduce(group_->comm, flats[i].data(), flats[i].data(), flats[i].count(),
				flats[i].kind.dtype, op, options, nullptr);
		    });
	    });
}

Returned
TuttiBackend::reduce(Tensors &tensors, const c10d::ReduceOptions &opts)
{
	const at::Tensor &tensor = only(tensors, "reduce");
	const bool is_root = getRank() == opts.rootRank;
	Work::Holdings holdings{{tensor}, {}, {tensor}, {}};
	const Flat flat =
	    is_root ? flat_output(tensor, "reduce", holdings.copies, true) : flat_input(tensor, "reduce");
	const Operator op(group_->comm, opts.reduceOp, tensor, "reduce");

	holdings.used.push_back(flat.memory);
	return start(OpType::REDUCE, "tutti:reduce", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_reduce(group_->comm, flat.data(), is_root ? flat.data() : nullptr, flat.count(),
			flat.kind.dtype, op, static_cast<int>(opts.rootRank), options, &work.request);
	    });
}

/* ---- one tensor from, or for, every rank -------------------------------------------------------------------- */

Returned
TuttiBackend::allgather(std::vector<Tensors> &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts)
{
	const Tensors &list = only(outputs, "all_gather");
	const Rows rows(list, static_cast<size_t>(getSize()), "all_gather");
	const Flat input = flat_input(only(inputs, "all_gather"), "all_gather");
	Work::Holdings holdings{{}, outputs, {inputs[0], input.memory, rows.memory}, {}};
	const size_t mine = rows.counts[static_cast<size_t>(getRank())];

	check_same_type(rows.kind, input.kind, "all_gather");
	TORCH_CHECK(input.count() == mine, "tutti: all_gather's input has ", input.count(),
	    " elements, but the output for this rank, ", getRank(), ", has ", mine);
	rows.write_back(list, holdings.copies);
	return start(OpType::ALLGATHER, "tutti:all_gather", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    if (rows.even)
			    return tutti_all_gather(
				group_->comm, input.data(), rows.base, mine, rows.kind.dtype, options, &work.request);
		    return tutti_all_gatherv(group_->comm, input.data(), mine, rows.base, rows.counts.data(), nullptr,
			rows.kind.dtype, options, &work.request);
	    });
}

Returned
TuttiBackend::_allgather_base(at::Tensor &output, at::Tensor &input, const c10d::AllgatherOptions &opts)
{
	Tensors outputs{output}, inputs{input};

	return allgather_into_tensor_coalesced(outputs, inputs, opts);
}

Returned
TuttiBackend::allgather_into_tensor_coalesced(Tensors &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts)
{
	static const char what[] = "all_gather_into_tensor";
	Work::Holdings holdings{outputs, {}, inputs, {}};
	std::vector<Flat> from, to;

	TORCH_CHECK(!inputs.empty() && inputs.size() == outputs.size(), "tutti: ", what, " was given ", inputs.size(),
	    " inputs and ", outputs.size(), " outputs");
	for (size_t i = 0; i < inputs.size(); i++) {
		from.push_back(flat_input(inputs[i], what));
		to.push_back(flat_output(outputs[i], what, holdings.copies));
		holdings.used.push_back(from[i].memory);
		check_same_type(to[i].kind, from[i].kind, what);
		TORCH_CHECK(to[i].count() == from[i].count() * static_cast<size_t>(getSize()), "tutti: ", what,
		    "'s output must have ", getSize(), " times as many elements as its input, ", from[i].count(),
		    ", but it has ", to[i].count());
	}
	const auto one = [&](size_t i, const tutti_options *options, tutti_request **request) {
		return tutti_all_gather(
		    group_->comm, from[i].data(), to[i].data(), from[i].count(), to[i].kind.dtype, options, request);
	};

	return start(OpType::_ALLGATHER_BASE, "tutti:_all_gather_base", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    if (from.size() == 1)
			    return one(0, options, &work.request);
		    return in_group(
			group_->comm, from.size(), &work.request, [&](size_t i) { return one(i, options, nullptr); });
	    });
}

/* outputs[r][i] is what rank r has given as its input i. */
Returned
TuttiBackend::allgather_coalesced(std::vector<Tensors> &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts)
{
	static const char what[] = "all_gather_coalesced";
	Work::Holdings holdings{{}, outputs, inputs, {}};
	std::vector<Flat> from;
	std::vector<Rows> to;

	TORCH_CHECK(!inputs.empty(), "tutti: ", what, " needs at least one tensor");
	for (size_t i = 0; i < inputs.size(); i++) {
		Tensors list;

		for (const Tensors &of_rank : outputs) {
			TORCH_CHECK(of_rank.size() == inputs.size(), "tutti: ", what, " needs ", inputs.size(),
			    " outputs for each rank");
			list.push_back(of_rank[i]);
		}
		from.push_back(flat_input(inputs[i], what));
		to.emplace_back(list, static_cast<size_t>(getSize()), what);
		check_same_type(to[i].kind, from[i].kind, what);
		TORCH_CHECK(to[i].even && to[i].counts[0] == from[i].count(), "tutti: ", what,
		    " needs outputs of the size of the input");
		holdings.used.push_back(from[i].memory);
		holdings.used.push_back(to[i].memory);
		to[i].write_back(list, holdings.copies);
	}
	return start(OpType::ALLGATHER_COALESCED, "tutti:all_gather_coalesced", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return in_group(group_->comm, from.size(), &work.request, [&](size_t i) {
			    return tutti_all_gather(group_->comm, from[i].data(), to[i].base, from[i].count(),
				from[i].kind.dtype, options, nullptr);
		    });
	    });
}

Returned
TuttiBackend::gather(std::vector<Tensors> &outputs, Tensors &inputs, const c10d::GatherOptions &opts)
{
	const Flat input = flat_input(only(inputs, "gather"), "gather");
	Work::Holdings holdings{{}, {}, {inputs[0], input.memory}, {}};
	void *base = nullptr;

	if (getRank() == opts.rootRank) {
		const Rows rows(only(outputs, "gather"), static_cast<size_t>(getSize()), "gather");

		check_same_type(rows.kind, input.kind, "gather");
		TORCH_CHECK(rows.even && rows.counts[0] == input.count(),
		    "tutti: gather needs outputs of the size of the input, ", input.count(), " elements");
		rows.write_back(outputs[0], holdings.copies);
		holdings.lists = outputs;
		holdings.used.push_back(rows.memory);
		base = rows.base;
	} else {
		TORCH_CHECK(outputs.empty(), "tutti: gather takes a list of outputs at the root only");
		holdings.lists.emplace_back();
	}
	return start(OpType::GATHER, "tutti:gather", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_gather(group_->comm, input.data(), base, input.count(), input.kind.dtype,
			static_cast<int>(opts.rootRank), options, &work.request);
	    });
}

Returned
TuttiBackend::scatter(Tensors &outputs, std::vector<Tensors> &inputs, const c10d::ScatterOptions &opts)
{
	const at::Tensor &tensor = only(outputs, "scatter");
	Work::Holdings holdings{outputs, {}, outputs, {}};
	const Flat output = flat_output(tensor, "scatter", holdings.copies);
	const void *base = nullptr;

	if (getRank() == opts.rootRank) {
		const Rows rows(only(inputs, "scatter"), static_cast<size_t>(getSize()), "scatter");

		check_same_type(rows.kind, output.kind, "scatter");
		TORCH_CHECK(rows.even && rows.counts[0] == output.count(),
		    "tutti: scatter needs inputs of the size of the output, ", output.count(), " elements");
		rows.read(inputs[0]);
		holdings.used.push_back(rows.memory);
		base = rows.base;
	} else {
		TORCH_CHECK(inputs.empty(), "tutti: scatter takes a list of inputs at the root only");
	}
	return start(OpType::SCATTER, "tutti:scatter", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_scatter(group_->comm, base, output.data(), output.count(), output.kind.dtype,
			static_cast<int>(opts.rootRank), options, &work.request);
	    });
}

Returned
TuttiBackend::reduce_scatter(Tensors &outputs, std::vector<Tensors> &inputs, const c10d::ReduceScatterOptions &opts)
{
	const at::Tensor &tensor = only(outputs, "reduce_scatter");
	const Rows rows(only(inputs, "reduce_scatter"), static_cast<size_t>(getSize()), "reduce_scatter");
	Work::Holdings holdings{outputs, {}, {tensor, rows.memory}, {}};
	const Flat output = flat_output(tensor, "reduce_scatter", holdings.copies);
	const Operator op(group_->comm, opts.reduceOp, tensor, "reduce_scatter");
	const size_t mine = rows.counts[static_cast<size_t>(getRank())];

	check_same_type(rows.kind, output.kind, "reduce_scatter");
	TORCH_CHECK(output.count() == mine, "tutti: reduce_scatter's output has ", output.count(),
	    " elements, but the input for this rank, ", getRank(), ", has ", mine);
	rows.read(inputs[0]);
	return start(OpType::REDUCE_SCATTER, "tutti:reduce_scatter", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    if (rows.even)
			    return tutti_reduce_scatter(group_->comm, rows.base, output.data(), mine, rows.kind.dtype,
				op, options, &work.request);
		    return tutti_reduce_scatterv(group_->comm, rows.base, output.data(), rows.counts.data(),
			rows.kind.dtype, op, options, &work.request);
	    });
}

Returned
TuttiBackend::_reduce_scatter_base(at::Tensor &output, at::Tensor &input, const c10d::ReduceScatterOptions &opts)
{
	Tensors outputs{output}, inputs{input};

	return reduce_scatter_tensor_coalesced(outputs, inputs, opts);
}

Returned
TuttiBackend::reduce_scatter_tensor_coalesced(
    Tensors &outputs, Tensors &inputs, const c10d::ReduceScatterOptions &opts)
{
	static const char what[] = "reduce_scatter_tensor";
	Work::Holdings holdings{outputs, {}, inputs, {}};
	std::vector<Flat> from, to;

	TORCH_CHECK(!inputs.empty() && inputs.size() == outputs.size(), "tutti: ", what, " was given ", inputs.size(),
	    " inputs and ", outputs.size(), " outputs");
	for (size_t i = 0; i < inputs.size(); i++) {
		from.push_back(flat_input(inputs[i], what));
		to.push_back(flat_output(outputs[i], what, holdings.copies));
		holdings.used.push_back(from[i].memory);
		check_same_type(to[i].kind, from[i].kind, what);
		check_same_type(to[0].kind, to[i].kind, what);
		TORCH_CHECK(from[i].count() == to[i].count() * static_cast<size_t>(getSize()), "tutti: ", what,
		    "'s input must have ", getSize(), " times as many elements as its output, ", to[i].count(),
		    ", but it has ", from[i].count());
	}
	const Operator op(group_->comm, opts.reduceOp, inputs[0], what);
	const auto one = [&](size_t i, const tutti_options *options, tutti_request **request) {
		return tutti_reduce_scatter(group_->comm, from[i].data(), to[i].data(), to[i].count(),
		    to[i].kind.dtype, op, options, request);
	};

	return start(OpType::_REDUCE_SCATTER_BASE, "tutti:_reduce_scatter_base", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    if (from.size() == 1)
			    return one(0, options, &work.request);
		    return in_group(
			group_->comm, from.size(), &work.request, [&](size_t i) { return one(i, options, nullptr); });
	    });
}

Returned
TuttiBackend::alltoall_base(at::Tensor &output, at::Tensor &input, std::vector<int64_t> &output_sizes,
    std::vector<int64_t> &input_sizes, const c10d::AllToAllOptions &opts)
{
	const auto ranks = static_cast<size_t>(getSize());
	Work::Holdings holdings{{output}, {}, {input, output}, {}};
	const Flat from = flat_input(input, "all_to_all_single");
	const Flat to = flat_output(output, "all_to_all_single", holdings.copies);
	std::vector<size_t> from_counts = split_counts(input, input_sizes, ranks, from.kind.parts, "input");
	std::vector<size_t> to_counts = split_counts(output, output_sizes, ranks, to.kind.parts, "output");
	const bool even = from_counts.empty() && to_counts.empty();

	holdings.used.push_back(from.memory);
	check_same_type(to.kind, from.kind, "all_to_all_single");
	TORCH_CHECK(!even || from.count() == to.count(),
	    "tutti: all_to_all_single without split sizes needs an input and "
	    "an output of one size, not ",
	    from.count(), " and ", to.count(), " elements");
	from_counts.resize(ranks, from_counts.empty() ? from.count() / ranks : 0);
	to_counts.resize(ranks, to_counts.empty() ? to.count() / ranks : 0);
	return start(OpType::ALLTOALL_BASE, "tutti:all_to_all", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    if (even)
			    return tutti_all_to_all(group_->comm, from.data(), to.data(), from.count() / ranks,
				from.kind.dtype, options, &work.request);
		    return tutti_all_to_allv(group_->comm, from.data(), from_counts.data(), nullptr, to.data(),
			to_counts.data(), nullptr, from.kind.dtype, options, &work.request);
	    });
}

Returned
TuttiBackend::alltoall(Tensors &outputs, Tensors &inputs, const c10d::AllToAllOptions &opts)
{
	const Rows from(inputs, static_cast<size_t>(getSize()), "all_to_all");
	const Rows to(outputs, static_cast<size_t>(getSize()), "all_to_all");
	Work::Holdings holdings{outputs, {}, inputs, {}};

	check_same_type(to.kind, from.kind, "all_to_all");
	from.read(inputs);
	to.write_back(outputs, holdings.copies);
	holdings.used.push_back(from.memory);
	holdings.used.push_back(to.memory);
	return start(OpType::ALLTOALL, "tutti:all_to_all", opts.timeout, std::move(holdings),
	    [&](const tutti_options *options, Work &work) {
		    return tutti_all_to_allv(group_->comm, from.base, from.counts.data(), nullptr, to.base,
			to.counts.data(), nullptr, from.kind.dtype, options, &work.request);
	    });
}

/* ---- messages ----------------------------------------------------------------------------------------------- */

Returned
TuttiBackend::send(Tensors &tensors, int peer, int tag)
{
	const Flat flat = flat_input(only(tensors, "send"), "send");

	return start(OpType::SEND, "tutti:send", c10d::kUnsetTimeout, {tensors, {}, {flat.memory}, {}},
	    [&](const tutti_options *options, Work &work) {
		    return tutti_send(
			group_->comm, flat.data(), flat.count(), flat.kind.dtype, peer, tag, options, &work.request);
	    });
}

Returned
TuttiBackend::receive(OpType type, const char *title, Tensors &tensors, int peer, int tag)
{
	Work::Holdings holdings{tensors, {}, tensors, {}};
	const Flat flat = flat_output(only(tensors, "recv"), "recv", holdings.copies);

	return start(
	    type, title, c10d::kUnsetTimeout, std::move(holdings), [&](const tutti_options *options, Work &work) {
		    return tutti_recv(group_->comm, flat.data(), flat.count(), flat.kind.dtype, peer, tag,
			&work.source, options, &work.request);
	    });
}

Returned
TuttiBackend::recv(Tensors &tensors, int peer, int tag)
{
	return receive(OpType::RECV, "tutti:recv", tensors, peer, tag);
}

Returned
TuttiBackend::recvAnysource(Tensors &tensors, int tag)
{
	return receive(OpType::RECVANYSOURCE, "tutti:recvAnySource", tensors, TUTTI_ANY_PEER, tag);
}

/* ---- barriers and the end ----------------------------------------------------------------------------------- */

Returned
TuttiBackend::barrier(const c10d::BarrierOptions &opts)
{
	return start(
	    OpType::BARRIER, "tutti:barrier", opts.timeout, {}, [&](const tutti_options *options, Work &work) {
		    return tutti_barrier(group_->comm, options, &work.request);
	    });
}

/* Every barrier names the ranks that are missing; all of them, whatever `wait_all_ranks` says. */
void
TuttiBackend::monitoredBarrier(const c10d::BarrierOptions &opts, bool wait_all_ranks)
{
	(void)wait_all_ranks;
	(void)barrier(opts)->wait();
}

void
TuttiBackend::setTimeout(Milliseconds timeout)
{
	timeout_ms_ = std::max<int64_t>(timeout.count(), 1);
}

void
TuttiBackend::abort()
{
	if (group_->comm != nullptr)
		(void)tutti_comm_abort(group_->comm);
}

void
TuttiBackend::shutdown()
{
	group_->close();
}

static c10::intrusive_ptr<Base>
create(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size, Milliseconds timeout,
    const std::string &name, const std::vector<int64_t> &global_ranks)
{
	return c10::make_intrusive<TuttiBackend>(store, rank, size, timeout, name, global_ranks);
}

} // namespace tutti_torch

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m)
{
	m.doc() = "the compiled part of tutti_torch";
	m.def("create", &tutti_torch::create, py::call_guard<py::gil_scoped_release>());
	m.def("close_all", &tutti_torch::close_all, py::call_guard<py::gil_scoped_release>());
	m.def("version", [] {
		int major, minor, patch;

		tutti_version(&major, &minor, &patch);
		return c10::str(major, ".", minor, ".", patch);
	});
}
