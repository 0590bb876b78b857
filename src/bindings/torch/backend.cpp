/* SPDX-License-Identifier: Apache-2.0
 *
 * backend.cpp - Tutti as a backend of torch.distributed, for PyTorch 1.13 and 2.x.
 *
 * Each method begins a Work, lets it take the tensors, which checks them and brings them into one piece, and makes one call
 * (or one group of calls) of the library without waiting. No collective is composed of others here.
 */
#include <atomic>

#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/utils/pybind.h>

#include <pybind11/chrono.h>
#include <pybind11/stl.h>

#include "work.h"

namespace tutti_torch
{

using c10d::OpType;
using Lists = std::vector<Tensors>;
using Returned = c10::intrusive_ptr<c10d::Work>;

/* ---- creation and the end ----------------------------------------------------------------------------------- */

/* The groups that a process has when it ends are closed then: their peers may still be reading. Never destructed: Python may
 * let go of a group after this library's own end. */
static std::mutex &living_mutex = *new std::mutex;
static std::vector<std::weak_ptr<Group>> &living = *new std::vector<std::weak_ptr<Group>>;

static void
close_at_exit(const std::shared_ptr<Group> &group)
{
	const std::lock_guard<std::mutex> lock(living_mutex);
	const auto gone = [](const std::weak_ptr<Group> &each) { return each.expired(); };

	living.erase(std::remove_if(living.begin(), living.end(), gone), living.end());
	living.push_back(group);
}

static void
close_all()
{
	std::vector<std::weak_ptr<Group>> all;

	{
		const std::lock_guard<std::mutex> lock(living_mutex);

		all.swap(living);
	}
	for (const auto &each : all)
		if (const std::shared_ptr<Group> group = each.lock())
			group->close();
}

/* torch's store behind the library's two calls. An exception must not pass through C. */
struct StoreAdapter {
	c10::intrusive_ptr<c10d::Store> store;
	std::string error;

	template <class Call> tutti_status guard(tutti_status otherwise, Call call)
	{
		try {
			return call();
		} catch (const std::exception &e) {
			error = e.what();
			return otherwise;
		}
	}

	static tutti_status set(void *context, const char *key, const void *value, size_t bytes)
	{
		auto *const self = static_cast<StoreAdapter *>(context);
		const auto *const from = static_cast<const uint8_t *>(value);

		return self->guard(TUTTI_ERR_SYSTEM, [&] {
			self->store->set(key, std::vector<uint8_t>(from, from + bytes));
			return TUTTI_OK;
		});
	}

	static tutti_status get(void *context, const char *key, void *value, size_t *bytes, int64_t timeout_ms)
	{
		auto *const self = static_cast<StoreAdapter *>(context);
		const Milliseconds limit = timeout_ms < 0 ? std::chrono::hours(24 * 365) : Milliseconds(timeout_ms);

		return self->guard(TUTTI_ERR_TIMEOUT, [&] {
			self->store->wait({key}, limit);
			const std::vector<uint8_t> got = self->store->get(key);

			if (got.size() > *bytes)
				return TUTTI_ERR_ARGUMENT;
			std::copy(got.begin(), got.end(), static_cast<uint8_t *>(value));
			*bytes = got.size();
			return TUTTI_OK;
		});
	}
};

/* ---- arguments -------------------------------------------------------------------------------------------- */

/* torch's calls take lists for the sake of several devices per process; on a CPU they hold one entry. */
template <class T>
static T &
only(std::vector<T> &list)
{
	TORCH_CHECK(list.size() == 1, "tutti takes one tensor per call, not ", list.size());
	return list[0];
}

static Lists
each_alone(const Tensors &tensors)
{
	Lists lists;

	for (const at::Tensor &tensor : tensors)
		lists.push_back({tensor});
	return lists;
}

/* `m` elements of `from` go to `n` of `to`. */
static void
check_fit(const WorkPtr &work, const Block &from, size_t m, const Block &to, size_t n)
{
	TORCH_CHECK(from.kind.type == to.kind.type, work->title, " needs tensors of one type, not of both ",
	    from.kind.type, " and ", to.kind.type);
	TORCH_CHECK(m == n, work->title, " needs an input and an output that fit: ", m, " and ", n,
	    " elements for a rank do not");
}

/* ---- the backend ------------------------------------------------------------------------------------------ */

class TuttiBackend : public Base
{
      public:
	TuttiBackend(const c10::intrusive_ptr<c10d::Store> &store, int rank, int size, Milliseconds timeout,
	    const std::string &name, const std::vector<int64_t> &global_ranks)
	    : Base(rank, size)
	{
		StoreAdapter adapter{store, {}};
		const tutti_store calls = {sizeof(calls), &adapter, StoreAdapter::set, StoreAdapter::get};
		tutti_config config = TUTTI_CONFIG_INIT;

		setTimeout(timeout);
		group_->name = name;
		group_->global_ranks = global_ranks;
		config.name = group_->name.c_str();
		config.timeout_ms = timeout_ms_;
		config.progress_thread = -1; /* the finisher does it, for what nobody waits for */
		const tutti_status status = tutti_comm_create_from_store(size, rank, &calls, &config, &group_->comm);
		TORCH_CHECK(status == TUTTI_OK || adapter.error.empty(), "tutti: rank ", rank, " of ", size,
		    " cannot join the group: the store says: ", adapter.error);
		if (status != TUTTI_OK)
			std::rethrow_exception(group_->failure("tutti: joining the group", status));
		close_at_exit(group_);
	}

	~TuttiBackend() override
	{
		/* Python drops the last reference with the GIL held; a future's callback may need it. */
		if (Py_IsInitialized() && PyGILState_Check()) {
			const py::gil_scoped_release release;

			group_->close();
		} else {
			group_->close();
		}
	}

	const std::string getBackendName() const override
	{
		return "tutti";
	}

	void setSequenceNumberForGroup() override
	{
	}

	uint64_t getSequenceNumberForGroup() override
	{
		return sequence_;
	}

	/* ---- one tensor ---- */

	Returned broadcast(Tensors &tensors, const c10d::BroadcastOptions &opts) override
	{
		const WorkPtr work = begin(OpType::BROADCAST, "tutti:broadcast", tensors, tensors);
		const Block all = work->take(only(tensors), READ_AND_WRITTEN);

		return issue(work, opts.timeout, tutti_broadcast, all.data, all.data, all.total, all.kind.dtype,
		    static_cast<int>(opts.rootRank));
	}

	Returned allreduce(Tensors &tensors, const c10d::AllreduceOptions &opts) override
	{
		(void)only(tensors);
		return all_reduce(begin(OpType::ALLREDUCE, "tutti:all_reduce", tensors, tensors), tensors, opts);
	}

	Returned allreduce_coalesced(Tensors &tensors, const c10d::AllreduceCoalescedOptions &opts) override
	{
		return all_reduce(begin(OpType::ALLREDUCE_COALESCED, "tutti:all_reduce_coalesced", tensors, tensors),
		    tensors, opts);
	}

	Returned reduce(Tensors &tensors, const c10d::ReduceOptions &opts) override
	{
		const bool is_root = getRank() == opts.rootRank;
		const WorkPtr work = begin(OpType::REDUCE, "tutti:reduce", tensors, tensors);
		const Block all = work->take(only(tensors), is_root ? READ_AND_WRITTEN : READ);
		const tutti_op op = find_op(work, opts.reduceOp, all.kind);

		return issue(work, opts.timeout, tutti_reduce, all.data, is_root ? all.data : nullptr, all.total,
		    all.kind.dtype, op, static_cast<int>(opts.rootRank));
	}

	/* ---- one tensor from, or for, every rank ---- */

	Returned allgather(Lists &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts) override
	{
		const WorkPtr work = begin(OpType::ALLGATHER, "tutti:all_gather", inputs, {}, outputs);

		(void)one_each(only(outputs), work);
		return all_gather(work, outputs, inputs, opts.timeout);
	}

	/* outputs[r][i] is what rank r has given as its input i. */
	Returned allgather_coalesced(Lists &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts) override
	{
		const WorkPtr work =
		    begin(OpType::ALLGATHER_COALESCED, "tutti:all_gather_coalesced", inputs, {}, outputs);
		Lists turned(inputs.size());

		for (size_t i = 0; i < inputs.size(); i++) {
			for (const Tensors &of_rank : outputs) {
				TORCH_CHECK(of_rank.size() == inputs.size(), work->title, " needs ", inputs.size(),
				    " outputs for each rank");
				turned[i].push_back(of_rank[i]);
			}
			(void)one_each(turned[i], work);
		}
		return all_gather(work, turned, inputs, opts.timeout);
	}

	Returned _allgather_base(at::Tensor &output, at::Tensor &input, const c10d::AllgatherOptions &opts) override
	{
		Tensors outputs{output}, inputs{input};

		return allgather_into_tensor_coalesced(outputs, inputs, opts);
	}

	Returned gather(Lists &outputs, Tensors &inputs, const c10d::GatherOptions &opts) override
	{
		const bool is_root = getRank() == opts.rootRank;
		const WorkPtr work = begin(OpType::GATHER, "tutti:gather", inputs, {}, is_root ? outputs : Lists(1));
		const Block from = work->take(only(inputs), READ);
		void *rows = nullptr;

		if (is_root) {
			const Block to = work->take(one_each(only(outputs), work), WRITTEN);

			check_fit(work, from, from.total, to, to.even ? to.counts[0] : SIZE_MAX);
			rows = to.data;
		}
		TORCH_CHECK(is_root || outputs.empty(), work->title, " takes a list of outputs at the root only");
		return issue(work, opts.timeout, tutti_gather, from.data, rows, from.total, from.kind.dtype,
		    static_cast<int>(opts.rootRank));
	}

	Returned scatter(Tensors &outputs, Lists &inputs, const c10d::ScatterOptions &opts) override
	{
		const bool is_root = getRank() == opts.rootRank;
		const WorkPtr work = begin(OpType::SCATTER, "tutti:scatter", outputs, outputs);
		const Block to = work->take(only(outputs), WRITTEN);
		const void *rows = nullptr;

		if (is_root) {
			const Block from = work->take(one_each(only(inputs), work), READ);

			check_fit(work, from, from.even ? from.counts[0] : SIZE_MAX, to, to.total);
			rows = from.data;
		}
		TORCH_CHECK(is_root || inputs.empty(), work->title, " takes a list of inputs at the root only");
		return issue(work, opts.timeout, tutti_scatter, rows, to.data, to.total, to.kind.dtype,
		    static_cast<int>(opts.rootRank));
	}

	Returned reduce_scatter(Tensors &outputs, Lists &inputs, const c10d::ReduceScatterOptions &opts) override
	{
		const WorkPtr work = begin(OpType::REDUCE_SCATTER, "tutti:reduce_scatter", outputs, outputs);

		(void)one_each(only(inputs), work);
		return reduce_scatter(work, outputs, inputs, opts.reduceOp, opts.timeout);
	}

	Returned _reduce_scatter_base(
	    at::Tensor &output, at::Tensor &input, const c10d::ReduceScatterOptions &opts) override
	{
		Tensors outputs{output}, inputs{input};

		return reduce_scatter_tensor_coalesced(outputs, inputs, opts);
	}

	Returned alltoall_base(at::Tensor &output, at::Tensor &input, std::vector<int64_t> &output_sizes,
	    std::vector<int64_t> &input_sizes, const c10d::AllToAllOptions &opts) override
	{
		const WorkPtr work = begin(OpType::ALLTOALL_BASE, "tutti:all_to_all", {input, output}, {output});
		const bool even = input_sizes.empty() && output_sizes.empty();
		Block from = work->take(input, READ), to = work->take(output, WRITTEN);

		from.cut(getSize(), work->title, input_sizes, input.dim() > 0 ? input.size(0) : 1);
		to.cut(getSize(), work->title, output_sizes, output.dim() > 0 ? output.size(0) : 1);
		check_fit(work, from, even ? from.total : 0, to, even ? to.total : 0);
		if (even)
			return issue(work, opts.timeout, tutti_all_to_all, from.data, to.data, from.counts[0],
			    from.kind.dtype);
		return issue(work, opts.timeout, tutti_all_to_allv, from.data, from.counts.data(), nullptr, to.data,
		    to.counts.data(), nullptr, from.kind.dtype);
	}

	Returned alltoall(Tensors &outputs, Tensors &inputs, const c10d::AllToAllOptions &opts) override
	{
		const WorkPtr work = begin(OpType::ALLTOALL, "tutti:all_to_all", inputs, outputs);
		const Block from = work->take(one_each(inputs, work), READ);
		const Block to = work->take(one_each(outputs, work), WRITTEN);

		check_fit(work, from, 0, to, 0);
		return issue(work, opts.timeout, tutti_all_to_allv, from.data, from.counts.data(), nullptr, to.data,
		    to.counts.data(), nullptr, from.kind.dtype);
	}

	/* ---- messages and barriers ---- */

	Returned send(Tensors &tensors, int peer, int tag) override
	{
		const WorkPtr work = begin(OpType::SEND, "tutti:send", tensors, tensors);
		const Block block = work->take(only(tensors), READ);

		return issue(
		    work, c10d::kUnsetTimeout, tutti_send, block.data, block.total, block.kind.dtype, peer, tag);
	}

	Returned recv(Tensors &tensors, int peer, int tag) override
	{
		return receive(begin(OpType::RECV, "tutti:recv", tensors, tensors), tensors, peer, tag);
	}

	Returned recvAnysource(Tensors &tensors, int tag) override
	{
		return receive(begin(OpType::RECVANYSOURCE, "tutti:recvAnySource", tensors, tensors), tensors,
		    TUTTI_ANY_PEER, tag);
	}

	Returned barrier(const c10d::BarrierOptions &opts) override
	{
		return issue(begin(OpType::BARRIER, "tutti:barrier", {}, {}), opts.timeout, tutti_barrier);
	}

	/* Every barrier names the ranks that are missing; this one begins with the words that programs know from Gloo. */
	void monitoredBarrier(const c10d::BarrierOptions &opts, bool wait_all_ranks) override
	{
		tutti_error error = TUTTI_ERROR_INIT;
		std::string who;

		TORCH_CHECK(
		    opts.timeout.count() != 0, "Rank ", getRank(), " timed out in monitoredBarrier: it has 0 ms");
		try {
			(void)barrier(opts)->wait();
		} catch (const Failure &e) {
			(void)tutti_comm_error(comm(), &error);
			for (int i = 0; i < std::min(error.nranks, wait_all_ranks ? 16 : 1); i++)
				who += c10::str(i > 0 ? ", " : wait_all_ranks ? "Ranks " : "Rank ", error.ranks[i]);
			if (getRank() == 0)
				who += " failed to pass monitoredBarrier: ";
			else
				who = c10::str("Rank ", getRank(),
				    " successfully reached monitoredBarrier, but received "
				    "errors while waiting for send/recv from rank 0: ");
			throw Failure({__func__, __FILE__, __LINE__}, who + e.what_without_backtrace());
		}
	}

	/* ---- virtual in some of the versions only, hence without `override` ---- */

	Returned allgather_into_tensor_coalesced(
	    Tensors &outputs, Tensors &inputs, const c10d::AllgatherOptions &opts)
	{
		return all_gather(begin(OpType::_ALLGATHER_BASE, "tutti:_all_gather_base", inputs, outputs),
		    each_alone(outputs), inputs, opts.timeout);
	}

	Returned reduce_scatter_tensor_coalesced(
	    Tensors &outputs, Tensors &inputs, const c10d::ReduceScatterOptions &opts)
	{
		return reduce_scatter(
		    begin(OpType::_REDUCE_SCATTER_BASE, "tutti:_reduce_scatter_base", inputs, outputs), outputs,
		    each_alone(inputs), opts.reduceOp, opts.timeout);
	}

	Returned allreduce_sparse(Tensors &tensors, const c10d::AllreduceOptions &opts)
	{
		return allreduce(tensors, opts); /* which says that it does not */
	}

	void setTimeout(Milliseconds timeout)
	{
		timeout_ms_ = std::max<int64_t>(timeout.count(), 1);
	}

	void abort()
	{
		if (comm() != nullptr)
			(void)tutti_comm_abort(comm());
	}

	void shutdown()
	{
		group_->close();
	}

      private:
	tutti_comm *comm() const
	{
		return group_->comm;
	}

	WorkPtr begin(
	    OpType type, const char *title, const Tensors &inputs, const Tensors &outputs, const Lists &lists = {})
	{
		TORCH_CHECK(comm() != nullptr, title, ": the group has been shut down");
		WorkPtr work = c10::make_intrusive<Work>(group_, getRank(), type, title, inputs);

		work->outputs = outputs;
		work->lists = lists;
		return work;
	}

	/* Lets `call` issue the work's request. */
	template <class Call> Returned launch(const WorkPtr &work, Milliseconds timeout, Call call)
	{
		tutti_options options = TUTTI_OPTIONS_INIT;

		options.timeout_ms =
		    timeout == c10d::kUnsetTimeout ? timeout_ms_.load() : std::max<int64_t>(timeout.count(), 1);
		const tutti_status status = call(static_cast<const tutti_options *>(&options), &work->request);
		if (work->own_op >= 0)
			(void)tutti_op_destroy(comm(), work->own_op);
		if (status != TUTTI_OK)
			std::rethrow_exception(group_->failure(work->title, status));
		if (!work->is_message())
			sequence_++;
		group_->push(work);
		return work;
	}

	/* Makes a call of the library. */
	template <class Function, class... Arguments>
	Returned issue(const WorkPtr &work, Milliseconds timeout, Function function, Arguments... arguments)
	{
		return launch(work, timeout, [&](auto... how) { return function(comm(), arguments..., how...); });
	}

	/* Makes `n` calls of the library, as one. */
	template <class Each> Returned issue_all(const WorkPtr &work, Milliseconds timeout, size_t n, Each each)
	{
		return launch(work, timeout, [&](const tutti_options *options, tutti_request **request) {
			if (n == 1)
				return each(0, options, request);
			const tutti_status status = tutti_group_begin(comm());

			for (size_t i = 0; status == TUTTI_OK && i < n; i++)
				(void)each(i, options, nullptr); /* the end says what has failed */
			return status == TUTTI_OK ? tutti_group_end(comm(), request) : status;
		});
	}

	Returned all_reduce(const WorkPtr &work, const Tensors &tensors, const c10d::AllreduceOptions &opts)
	{
		std::vector<Block> all;

		TORCH_CHECK(!tensors.empty(), work->title, " needs at least one tensor");
		for (const at::Tensor &tensor : tensors) {
			all.push_back(work->take(tensor, READ_AND_WRITTEN));
			check_fit(work, all[0], 0, all.back(), 0);
		}
		const tutti_op op = find_op(work, opts.reduceOp, all[0].kind);

		return issue_all(work, opts.timeout, all.size(), [&](size_t i, auto... how) {
			return tutti_all_reduce(
			    comm(), all[i].data, all[i].data, all[i].total, all[i].kind.dtype, op, how...);
		});
	}

	/* inputs[i] of all ranks to outputs[i], which are a tensor for each rank or one for all of them. */
	Returned all_gather(const WorkPtr &work, const Lists &outputs, const Tensors &inputs, Milliseconds timeout)
	{
		std::vector<Block> from, to;

		TORCH_CHECK(!inputs.empty() && inputs.size() == outputs.size(), work->title, " was given ",
		    inputs.size(), " inputs and ", outputs.size(), " outputs");
		for (size_t i = 0; i < inputs.size(); i++) {
			from.push_back(work->take(inputs[i], READ));
			to.push_back(take_rows(work, outputs[i], WRITTEN));
			check_fit(work, from[i], from[i].total, to[i], mine(to[i]));
		}
		return issue_all(work, timeout, from.size(), [&](size_t i, auto... how) {
			const Block &a = from[i], &b = to[i];

			if (b.even)
				return tutti_all_gather(comm(), a.data, b.data, a.total, a.kind.dtype, how...);
			return tutti_all_gatherv(
			    comm(), a.data, a.total, b.data, b.counts.data(), nullptr, a.kind.dtype, how...);
		});
	}

	/* inputs[i], which are a tensor for each rank or one for all of them, reduced to the outputs[i] of all ranks. */
	Returned reduce_scatter(const WorkPtr &work, const Tensors &outputs, const Lists &inputs,
	    const c10d::ReduceOp &reduce_op, Milliseconds timeout)
	{
		std::vector<Block> from, to;

		TORCH_CHECK(!inputs.empty() && inputs.size() == outputs.size(), work->title, " was given ",
		    inputs.size(), " inputs and ", outputs.size(), " outputs");
		for (size_t i = 0; i < inputs.size(); i++) {
			from.push_back(take_rows(work, inputs[i], READ));
			to.push_back(work->take(outputs[i], WRITTEN));
			check_fit(work, from[i], mine(from[i]), to[i], to[i].total);
			check_fit(work, from[0], 0, to[i], 0);
		}
		const tutti_op op = find_op(work, reduce_op, from[0].kind);

		return issue_all(work, timeout, from.size(), [&](size_t i, auto... how) {
			const Block &a = from[i], &b = to[i];

			if (a.even)
				return tutti_reduce_scatter(
				    comm(), a.data, b.data, b.total, a.kind.dtype, op, how...);
			return tutti_reduce_scatterv(
			    comm(), a.data, b.data, a.counts.data(), a.kind.dtype, op, how...);
		});
	}

	Returned receive(const WorkPtr &work, Tensors &tensors, int peer, int tag)
	{
		const Block block = work->take(only(tensors), WRITTEN);

		return issue(work, c10d::kUnsetTimeout, tutti_recv, block.data, block.total, block.kind.dtype, peer,
		    tag, &work->source);
	}

	/* The library's operator; a premultiplied sum is made for the work, and ends with its call. */
	tutti_op find_op(const WorkPtr &work, const c10d::ReduceOp &op, const Kind &kind) const
	{
		constexpr tutti_op builtin[] = {
		    TUTTI_SUM, TUTTI_AVG, TUTTI_PROD, TUTTI_MIN, TUTTI_MAX, TUTTI_BAND, TUTTI_BOR, TUTTI_BXOR};
		static_assert(c10d::ReduceOp::BXOR + 1 == std::size(builtin), "in the order of torch's");

		if (op.op_ <= c10d::ReduceOp::BXOR) {
			TORCH_CHECK(kind.parts == 1 || op.op_ <= c10d::ReduceOp::AVG, work->title,
			    " of complex numbers adds and averages only");
			return builtin[op.op_];
		}
		TORCH_CHECK(op.op_ == c10d::ReduceOp::PREMUL_SUM && op.supplement_, work->title,
		    " has no reduction with the number ", static_cast<int>(op.op_), ", or needs its factor");
		const auto &supplement = static_cast<const c10d::NCCLPreMulSumSupplement &>(*op.supplement_);
		const auto real = c10::toRealValueType(kind.type);
		at::Tensor factor = tensor_factor(supplement, 0);

		factor = factor.defined() ? factor.to(at::kCPU, real).contiguous()
					  : at::full({1}, supplement.double_factor, at::TensorOptions(real));
		TORCH_CHECK(factor.numel() == 1, work->title, ": PREMUL_SUM takes one factor");
		const tutti_status status =
		    tutti_op_create_premul_sum(comm(), factor.data_ptr(), kind.dtype, &work->own_op);
		TORCH_CHECK(
		    status == TUTTI_OK, work->title, " cannot make an operator: ", tutti_status_string(status));
		return work->own_op;
	}

	/* A tensor for each rank, or one that is cut into a part for each. */
	Block take_rows(const WorkPtr &work, const Tensors &tensors, Use use) const
	{
		Block block = work->take(tensors, use);

		if (tensors.size() == 1)
			block.cut(getSize(), work->title);
		return block;
	}

	const Tensors &one_each(const Tensors &list, const WorkPtr &work) const
	{
		TORCH_CHECK(list.size() == static_cast<size_t>(getSize()), work->title, " needs a list of ",
		    getSize(), " tensors, one for each rank, not of ", list.size());
		return list;
	}

	size_t mine(const Block &rows) const
	{
		return rows.counts[static_cast<size_t>(getRank())];
	}

	const std::shared_ptr<Group> group_ = std::make_shared<Group>();
	std::atomic<int64_t> timeout_ms_{1};
	std::atomic<uint64_t> sequence_{0};
};

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
