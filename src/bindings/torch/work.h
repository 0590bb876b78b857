/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - operations on their way: what c10d holds of one, and who brings it to its end.
 *
 * A request has one driver at a time. Usually that is the thread that waits for it, and no other thread is involved. What
 * nobody waits for (a bucket of DDP's with a future, a work that was dropped, one whose program computes) is driven by
 * the group's finisher, a thread that looks after a moment, or at once when somebody wants the future. While
 * operations come in quick succession the finisher only naps between its looks, so that issuing one costs no system
 * call.
 *
 * Nothing here may be called, or waited for, with the GIL held: futures have Python callbacks.
 */
#ifndef TUTTI_TORCH_WORK_H
#define TUTTI_TORCH_WORK_H

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include <ATen/core/ivalue.h>
#include <torch/csrc/distributed/c10d/Work.hpp>

#include "tensors.h"

namespace tutti_torch
{

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr auto grace = std::chrono::microseconds(200); /* before the finisher takes an operation */
constexpr auto nap = Milliseconds(1); /* between its looks */
constexpr int naps = 50; /* without anything to do, before it goes to sleep */
constexpr auto drain_limit = std::chrono::seconds(10); /* what is pending when a group ends has so long */

class Work;
using WorkPtr = c10::intrusive_ptr<Work>;

/* A communicator, its pending works and their finisher. Works may outlive its end. */
class Group
{
      public:
	tutti_comm *comm = nullptr;
	std::string name;
	std::vector<int64_t> global_ranks; /* empty: not known */

	void push(const WorkPtr &work);
	/* Takes an ended work off the list. */
	void forget(Work &work);
	/* Somebody waits for its future. */
	void hurry(Work &work);
	/* Ends the communicator. What is pending may still end well. */
	void close();

	/* The calling thread's latest error as an exception. The library counts ranks within the group. */
	std::exception_ptr failure(const char *title, tutti_status status) const
	{
		tutti_error error = TUTTI_ERROR_INIT;

		(void)tutti_last_error(&error);
		/* The words that programs written for other backends look for. */
		std::string text = c10::str(title, ": ",
		    status == TUTTI_ERR_TIMEOUT ? "Timed out (TUTTI_ERR_TIMEOUT)" : tutti_status_string(status));
		if (status == error.status && error.message[0] != '\0')
			text += c10::str(": ", error.message);
		for (int i = 0; i < std::min(error.nranks, 16); i++) {
			const auto rank = static_cast<size_t>(error.ranks[i]);

			if (rank < global_ranks.size() && global_ranks[rank] != error.ranks[i])
				text += c10::str("; rank ", rank, " of group ", name, " is rank ", global_ranks[rank],
				    " of the job");
		}
		return std::make_exception_ptr(Failure({__func__, __FILE__, __LINE__}, text));
	}

      private:
	void run();
	WorkPtr next();

	void wake()
	{
		asleep_ = false;
		wanted_.notify_one();
	}

	std::mutex mutex_;
	std::condition_variable wanted_;
	std::list<WorkPtr> pending_; /* in the order of issue */
	std::thread finisher_;
	const pid_t owner_ = getpid(); /* the process that it works in */
	bool asleep_ = false, closing_ = false, closed_ = false;
};

class Work : public c10d::Work
{
      public:
	Work(std::shared_ptr<Group> group, int rank, c10d::OpType type, const char *what, const Tensors &inputs)
	    : c10d::Work(rank, type, what, inputs), title(what), group_(std::move(group))
	{
	}

	/* One or several tensors for the operation, which keeps them until it has ended. */
	Block take(at::TensorList tensors, Use use)
	{
		Block block(tensors, use, title, copies_);

		used_.push_back(block.memory);
		return block;
	}

	bool isCompleted() override
	{
		return c10d::Work::isCompleted() || (driver_.try_lock() ? drive(false) : c10d::Work::isCompleted());
	}

	bool wait(Milliseconds timeout = kNoTimeout) override
	{
		const auto until = Clock::now() + timeout;

		if (timeout == kNoTimeout && !c10d::Work::isCompleted()) {
			driver_.lock();
			(void)drive(true);
		}
		while (!isCompleted()) {
			TORCH_CHECK(Clock::now() < until, title, " has not ended within the ", timeout.count(),
			    " ms that its wait was given (timed out); it goes on");
			std::this_thread::sleep_for(std::chrono::microseconds(50));
		}
		return c10d::Work::wait();
	}

	std::vector<at::Tensor> result() override
	{
		return outputs;
	}

	int sourceRank() const override
	{
		return source;
	}

	void abort() override
	{
		(void)tutti_comm_abort(group_->comm);
	}

	c10::intrusive_ptr<c10::ivalue::Future> getFuture() override
	{
		(void)isCompleted(); /* many are: then nobody has to be woken */
		{
			const std::lock_guard<std::mutex> lock(mutex_);

			if (!future_)
				future_ = c10::make_intrusive<c10::ivalue::Future>(value().type());
		}
		tell();
		if (!c10d::Work::isCompleted())
			group_->hurry(*this);
		return future_;
	}

	bool is_message() const
	{
		return c10d::isP2POp(opType_);
	}

	const char *const title;
	tutti_request *request = nullptr;
	Tensors outputs; /* the future's value, ... */
	std::vector<Tensors> lists; /* ... or this, unless it is empty */
	int source = -1; /* of a receive from anyone */
	tutti_op own_op = -1; /* an operator that was made for it */

      private:
	friend class Group;

	/* One step, or all that are left; false if it has not ended. For who has locked the driver, which is free again then. */
	bool drive(bool to_the_end)
	{
		{
			const std::lock_guard<std::mutex> drives(driver_, std::adopt_lock);
			int ended = 1;

			if (!c10d::Work::isCompleted()) {
				const tutti_status status =
				    to_the_end ? tutti_wait(&request) : tutti_test(&request, &ended);

				if (status == TUTTI_OK && ended == 0)
					return false;
				conclude(status);
			}
		}
		tell();
		return true;
	}

	void conclude(tutti_status status)
	{
		std::exception_ptr failure = status == TUTTI_OK ? nullptr : group_->failure(title, status);

		try {
			/* A receive into a parameter is not an operation that autograd should see. */
			const at::NoGradGuard no_grad;

			for (size_t i = 0; status == TUTTI_OK && i < copies_.size(); i++)
				copies_[i].first.copy_(copies_[i].second);
		} catch (...) {
			failure = std::current_exception();
		}
		copies_.clear();
		used_.clear();
		group_->forget(*this);
		finish(failure);
	}

	c10::IValue value() const
	{
		return lists.empty() ? c10::IValue(outputs) : c10::IValue(lists);
	}

	/* Completes the future when the work has ended, once; callbacks run here. */
	void tell()
	{
		{
			const std::lock_guard<std::mutex> lock(mutex_);

			if (!future_ || !completed_ || std::exchange(told_, true))
				return;
		}
		if (exception_)
			future_->setError(exception_);
		else
			future_->markCompleted(value());
	}

	const std::shared_ptr<Group> group_;
	Tensors used_; /* what the operation reads and writes */
	std::vector<std::pair<at::Tensor, at::Tensor>> copies_; /* to be made when it has ended: to, from */
	c10::intrusive_ptr<c10::ivalue::Future> future_;
	bool told_ = false;
	std::mutex driver_; /* who has it calls the library for the request */
	/* Of the group's mutex: */
	Clock::time_point due_; /* when the finisher takes it */
	std::list<WorkPtr>::iterator place_;
};

/* ---- Group ------------------------------------------------------------------------------------------------ */

inline void
Group::push(const WorkPtr &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	work->due_ = Clock::now() + grace;
	work->place_ = pending_.insert(pending_.end(), work);
	if (!finisher_.joinable())
		finisher_ = std::thread([this] { run(); });
	else if (asleep_)
		wake();
}

inline void
Group::forget(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	pending_.erase(work.place_);
}

inline void
Group::hurry(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	work.due_ = {};
	wake();
}

/* A work that the finisher is to drive, its driver locked: the oldest collective if one is due, as they end in the order of
 * issue, else a message that is due. Many messages that wait for long must not keep collectives from their turn. */
inline WorkPtr
Group::next()
{
	const Clock::time_point now = Clock::now();
	WorkPtr oldest;
	bool due = false;

	for (const WorkPtr &work : pending_) {
		if (work->is_message())
			continue;
		oldest = oldest ? oldest : work;
		due = due || now >= work->due_;
	}
	if (due && oldest->driver_.try_lock())
		return oldest;
	for (const WorkPtr &work : pending_)
		if (work->is_message() && now >= work->due_ && work->driver_.try_lock()) {
			work->due_ = now + grace; /* for when this step has not ended it */
			return work;
		}
	return {};
}

inline void
Group::run()
{
	std::unique_lock<std::mutex> lock(mutex_);
	int idle = 0;

	(void)pthread_setname_np(pthread_self(), "tutti-torch");
	while (!closed_) {
		WorkPtr work = next();

		idle = pending_.empty() ? idle + 1 : 0;
		if (work) {
			lock.unlock();
			/* Messages end in any order, so none of them may be waited for. */
			(void)work->drive(!work->is_message());
			work.reset(); /* its end may want the GIL: not under the lock */
			lock.lock();
		} else if (idle < naps) {
			wanted_.wait_for(lock, nap);
		} else {
			asleep_ = true;
			wanted_.wait(lock, [this] { return !asleep_; });
			idle = 0;
		}
	}
}

inline void
Group::close()
{
	/* A child made by fork has no finisher, and the communicator is its parent's. */
	if (owner_ != getpid()) {
		if (finisher_.joinable())
			finisher_.detach();
		return;
	}
	const auto until = Clock::now() + drain_limit;
	std::unique_lock<std::mutex> lock(mutex_);

	if (std::exchange(closing_, true))
		return;
	for (const WorkPtr &work : pending_)
		work->due_ = {};
	wake();
	while (!pending_.empty() && Clock::now() < until) {
		lock.unlock();
		std::this_thread::sleep_for(nap);
		lock.lock();
	}
	if (!pending_.empty())
		(void)tutti_comm_abort(comm);
	closed_ = true;
	wake();
	lock.unlock();
	if (finisher_.joinable())
		finisher_.join();
	(void)tutti_comm_destroy(comm);
	comm = nullptr;
}

} // namespace tutti_torch

#endif /* TUTTI_TORCH_WORK_H */
