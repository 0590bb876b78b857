/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - operations on their way: what c10d holds of one, and who brings it to its end.
 *
 * A request has one owner at a time, who claims the work. Usually that is the thread that waits for it: it drives the
 * operation itself, no other thread is involved. What nobody waits for (a bucket of DDP's with a future, a work that was
 * dropped, one whose program computes) is claimed by the group's finisher, a thread that looks after a moment, or at
 * once when somebody wants the future. While operations come in quick succession the finisher only naps between
 * its looks, so that issuing one costs no system call.
 *
 * Nothing here may be called, or waited for, with the GIL held: futures have Python callbacks.
 */
#ifndef TUTTI_TORCH_WORK_H
#define TUTTI_TORCH_WORK_H

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
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
constexpr auto nap = std::chrono::milliseconds(1); /* between its looks */
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
	/* False: somebody else has it. */
	bool claim(Work &work);
	void unclaim(Work &work);
	void forget(Work &work);
	/* Somebody waits for its future. */
	void hurry(Work &work);
	/* Ends the communicator. What is pending may still end well. */
	void close();
	/* The calling thread's latest error as an exception. */
	std::exception_ptr failure(const char *what, tutti_status status) const;

      private:
	void run();
	WorkPtr ripe(Clock::time_point now);
	bool advance_messages(std::unique_lock<std::mutex> &lock, Clock::time_point now);

	std::mutex mutex_;
	std::condition_variable wanted_, drained_;
	std::list<WorkPtr> pending_; /* in the order of issue */
	std::thread finisher_;
	const pid_t owner_ = getpid(); /* the process that it works in */
	bool asleep_ = false, closing_ = false, closed_ = false;
	Clock::time_point drain_until_;
};

class Work : public c10d::Work
{
      public:
	/* What the operation uses until it has ended. */
	struct Holdings {
		std::vector<at::Tensor> outputs; /* the future's value, ... */
		std::vector<std::vector<at::Tensor>> lists; /* ... if this is empty */
		std::vector<at::Tensor> used;
		Copies copies;
	};

	Work(std::shared_ptr<Group> group, int rank, c10d::OpType type, const char *title, Holdings &&holdings)
	    : c10d::Work(rank, type, title, holdings.used), group_(std::move(group)), title_(title),
	      holdings_(std::move(holdings))
	{
	}

	bool isCompleted() override
	{
		int ended = 0;
		tutti_status status;

		if (c10d::Work::isCompleted())
			return true;
		if (!group_->claim(*this))
			return c10d::Work::isCompleted();
		status = tutti_test(&request, &ended);
		if (status == TUTTI_OK && ended == 0) {
			group_->unclaim(*this);
			return false;
		}
		conclude(status);
		return true;
	}

	bool wait(Milliseconds timeout = kNoTimeout) override
	{
		const auto until = Clock::now() + timeout;

		if (timeout == kNoTimeout) {
			if (group_->claim(*this))
				complete();
			return c10d::Work::wait();
		}
		while (!isCompleted()) {
			TORCH_CHECK(Clock::now() < until, title_, " has not ended within the ", timeout.count(),
			    " ms that its wait was given (timed out); it goes on");
			std::this_thread::sleep_for(std::chrono::microseconds(50));
		}
		return c10d::Work::wait();
	}

	std::vector<at::Tensor> result() override
	{
		return holdings_.outputs;
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
		c10::TypePtr type = c10::ListType::create(c10::TensorType::get());
		bool pending;

		(void)isCompleted(); /* many are: then nobody has to be woken */
		{
			const std::lock_guard<std::mutex> lock(mutex_);

			if (future_)
				return future_;
			if (!holdings_.lists.empty())
				type = c10::ListType::create(type);
			future_ = c10::make_intrusive<c10::ivalue::Future>(type);
			pending = !completed_;
		}
		if (pending)
			group_->hurry(*this);
		else
			tell_future();
		return future_;
	}

	/* Drives the operation to its end; for who has claimed it. */
	void complete()
	{
		conclude(tutti_wait(&request));
	}

	/* One step; false if it has not ended, and is nobody's again. For who has claimed it. */
	bool step()
	{
		int ended = 0;
		const tutti_status status = tutti_test(&request, &ended);

		if (status == TUTTI_OK && ended == 0)
			return false;
		conclude(status);
		return true;
	}

	bool is_message() const
	{
		return c10d::isP2POp(opType_);
	}

	tutti_request *request = nullptr;
	int source = -1; /* of a receive from anyone */

      private:
	friend class Group;

	void conclude(tutti_status status)
	{
		std::exception_ptr failure = status == TUTTI_OK ? nullptr : group_->failure(title_, status);
		bool wanted;

		if (status == TUTTI_OK) {
			/* A receive into a parameter is not an operation that autograd should see. */
			const at::NoGradGuard no_grad;

			for (auto &copy : holdings_.copies)
				copy.first.copy_(copy.second);
		}
		holdings_.copies.clear();
		holdings_.used.clear();
		const WorkPtr self = WorkPtr::reclaim_copy(this); /* the list's may be the last one */

		group_->forget(*this);
		finish(failure);
		{
			const std::lock_guard<std::mutex> lock(mutex_);

			wanted = future_ && !told_;
		}
		if (wanted)
			tell_future();
	}

	/* Once; callbacks run here. */
	void tell_future()
	{
		{
			const std::lock_guard<std::mutex> lock(mutex_);

			if (told_)
				return;
			told_ = true;
		}
		if (exception_)
			future_->setError(exception_);
		else if (!holdings_.lists.empty())
			future_->markCompleted(c10::IValue(holdings_.lists));
		else
			future_->markCompleted(c10::IValue(holdings_.outputs));
	}

	const std::shared_ptr<Group> group_;
	const char *const title_;
	Holdings holdings_;
	c10::intrusive_ptr<c10::ivalue::Future> future_;
	bool told_ = false; /* the future has been completed */
	/* Of the group's mutex: */
	bool claimed_ = false, hurried_ = false;
	Clock::time_point since_;
	std::list<WorkPtr>::iterator place_;
};

/* ---- Group ------------------------------------------------------------------------------------------------ */

inline void
Group::push(const WorkPtr &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	work->since_ = Clock::now();
	work->place_ = pending_.insert(pending_.end(), work);
	if (!finisher_.joinable()) {
		finisher_ = std::thread([this] { run(); });
	} else if (asleep_) {
		asleep_ = false;
		wanted_.notify_one();
	}
}

inline bool
Group::claim(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	if (work.claimed_)
		return false;
	work.claimed_ = true;
	return true;
}

inline void
Group::unclaim(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	work.claimed_ = false;
	if (work.hurried_)
		wanted_.notify_one();
}

inline void
Group::forget(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	pending_.erase(work.place_);
	if (closing_ && pending_.empty())
		drained_.notify_all();
}

inline void
Group::hurry(Work &work)
{
	const std::lock_guard<std::mutex> lock(mutex_);

	work.hurried_ = true;
	asleep_ = false;
	wanted_.notify_one();
}

/* The oldest collective that nobody has claimed, if it or a later one has waited for long enough: collectives end in the
 * order of issue. */
inline WorkPtr
Group::ripe(Clock::time_point now)
{
	WorkPtr oldest;

	for (const WorkPtr &work : pending_) {
		if (work->is_message())
			continue;
		if (!oldest && work->claimed_)
			return {}; /* who has it drives the others, too */
		if (!oldest)
			oldest = work;
		if (!work->claimed_ && (work->hurried_ || closing_ || now - work->since_ >= grace))
			return oldest;
	}
	return {};
}

/* Messages end in any order, so none of them may be waited for. */
inline bool
Group::advance_messages(std::unique_lock<std::mutex> &lock, Clock::time_point now)
{
	std::vector<WorkPtr> some;
	bool ended = false;

	for (const WorkPtr &work : pending_) {
		if (!work->is_message() || work->claimed_ ||
		    !(work->hurried_ || closing_ || now - work->since_ >= grace))
			continue;
		work->claimed_ = true;
		some.push_back(work);
	}
	if (some.empty())
		return false;
	lock.unlock();
	for (const WorkPtr &work : some) {
		if (work->step())
			ended = true;
		else
			unclaim(*work);
	}
	some.clear();
	lock.lock();
	return ended;
}

inline void
Group::run()
{
	std::unique_lock<std::mutex> lock(mutex_);
	int idle = 0;

	(void)pthread_setname_np(pthread_self(), "tutti-torch");
	for (;;) {
		const Clock::time_point now = Clock::now();
		WorkPtr work = ripe(now);

		if (work) {
			work->claimed_ = true;
			lock.unlock();
			work->complete();
			work.reset(); /* its end may want the GIL: not under the lock */
			lock.lock();
		} else if (closing_ && (pending_.empty() || now >= drain_until_)) {
			break;
		} else if (advance_messages(lock, now)) {
			idle = 0;
		} else if (!pending_.empty()) {
			idle = 0;
			wanted_.wait_for(lock, nap);
		} else if (++idle < naps) {
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
	{
		const std::lock_guard<std::mutex> lock(mutex_);

		if (closed_)
			return;
		closed_ = closing_ = true;
		asleep_ = false;
		drain_until_ = Clock::now() + drain_limit;
		wanted_.notify_one();
	}
	if (finisher_.joinable()) {
		std::unique_lock<std::mutex> lock(mutex_);

		drained_.wait_until(lock, drain_until_, [this] { return pending_.empty(); });
		if (!pending_.empty())
			(void)tutti_comm_abort(comm);
		lock.unlock();
		finisher_.join();
	}
	(void)tutti_comm_destroy(comm);
	comm = nullptr;
}

/* The library counts ranks within the group. */
inline std::exception_ptr
Group::failure(const char *what, tutti_status status) const
{
	tutti_error error = TUTTI_ERROR_INIT;
	std::string text = std::string(what) + ": ";

	(void)tutti_last_error(&error);
	/* The words that programs written for other backends look for. */
	text += status == TUTTI_ERR_TIMEOUT ? "Timed out (TUTTI_ERR_TIMEOUT)" : tutti_status_string(status);
	text += status == error.status && error.message[0] != '\0' ? std::string(": ") + error.message : "";
	for (int i = 0; i < std::min(error.nranks, 16); i++) {
		const auto rank = static_cast<size_t>(error.ranks[i]);

		if (rank < global_ranks.size() && global_ranks[rank] != error.ranks[i])
			text += c10::str(
			    "; rank ", rank, " of group ", name, " is rank ", global_ranks[rank], " of the job");
	}
	try {
#if TUTTI_TORCH_AT_LEAST(2, 0)
		C10_THROW_ERROR(DistBackendError, text);
#else
		TORCH_CHECK(false, text);
#endif
	} catch (...) {
		return std::current_exception();
	}
}

} // namespace tutti_torch

#endif /* TUTTI_TORCH_WORK_H */
