/* SPDX-License-Identifier: Apache-2.0
 *
 * test_remote.c - another process's memory is read only with a proof that it is that process's, and what fails says why.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/remote.h"

#define PAGES 3

/* A child that waits, and what it has said of itself. */
struct other {
	pid_t pid;
	int hold; /* closed: it ends */
	struct tt_remote card;
	unsigned char *memory; /* PAGES of 'm' there; the last of them is not mapped */
	size_t page;
};

static void
child(struct other *other, int hold, int tell)
{
	static unsigned char kept[TT_REMOTE_PROOF];
	char byte;

	memset(other->memory, 'm', PAGES * other->page);
	munmap(other->memory + (PAGES - 1) * other->page, other->page);
	tt_remote_init(&other->card, kept);
	(void)!write(tell, &other->card, sizeof(other->card));
	(void)!read(hold, &byte, 1);
	_exit(0);
}

static void
other_start(struct other *other)
{
	int hold[2], tell[2];

	other->page = (size_t)sysconf(_SC_PAGESIZE);
	other->memory = mmap(NULL, PAGES * other->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(ne(ptr, other->memory, MAP_FAILED));
	cr_assert(eq(int, pipe(hold), 0));
	cr_assert(eq(int, pipe(tell), 0));
	other->pid = fork();
	cr_assert(ge(int, other->pid, 0));
	if (other->pid == 0) {
		close(hold[1]);
		child(other, hold[0], tell[1]);
	}
	close(hold[0]);
	close(tell[1]);
	other->hold = hold[1];
	cr_assert(eq(sz, (size_t)read(tell[0], &other->card, sizeof(other->card)), sizeof(other->card)));
	close(tell[0]);
}

static void
other_end(struct other *other)
{
	int status;

	close(other->hold);
	cr_expect(eq(int, waitpid(other->pid, &status, 0), other->pid));
	munmap(other->memory, PAGES * other->page);
}

/* One whose memory can be read here; else there is nothing to test. */
static void
other_start_readable(struct other *other)
{
	other_start(other);
	if (tt_remote_prove(&other->card) == 0)
		return;
	other_end(other);
	cr_skip_test("processes may not read each other's memory here");
}

TestSuite(remote, .timeout = 20);

Test(remote, what_is_read_is_what_is_there)
{
	struct other other;
	unsigned char got[8] = {0};

	other_start_readable(&other);
	cr_expect(eq(int, tt_remote_read(&other.card, got, (uint64_t)(uintptr_t)other.memory, sizeof(got)), 0));
	cr_expect(memcmp(got, "mmmmmmmm", sizeof(got)) == 0);
	cr_expect(eq(int, other.memory[0], 0), "and not what is here");
	other_end(&other);
}

Test(remote, another_process_of_that_number_is_refused)
{
	struct other other;
	unsigned char got[8];

	other_start_readable(&other);
	other.card.proof[0] ^= 1;
	cr_expect(eq(int, tt_remote_prove(&other.card), ESRCH));
	cr_expect(eq(int, tt_remote_read(&other.card, got, (uint64_t)(uintptr_t)other.memory, sizeof(got)), ESRCH));
	other_end(&other);
}

Test(remote, memory_that_ends_too_early_is_an_error)
{
	struct other other;
	unsigned char got[64];

	other_start_readable(&other);
	const uint64_t end = (uint64_t)(uintptr_t)other.memory + (PAGES - 1) * other.page;

	cr_expect(eq(int, tt_remote_read(&other.card, got, end - sizeof(got), sizeof(got)), 0));
	cr_expect(eq(int, tt_remote_read(&other.card, got, end - sizeof(got) / 2, sizeof(got)), EFAULT));
	cr_expect(eq(int, tt_remote_read(&other.card, got, end, sizeof(got)), EFAULT));
	other_end(&other);
}

Test(remote, a_dead_process_is_an_error)
{
	struct other other;

	other_start_readable(&other);
	other_end(&other);
	cr_expect(eq(int, tt_remote_prove(&other.card), ESRCH));
}

Test(remote, nobody_is_read_without_a_card)
{
	const struct tt_remote none = {.pid = 0};

	cr_expect(eq(int, tt_remote_prove(&none), ESRCH));
}

/* The exit status of a child in which `check` runs. */
static int
in_child(int (*check)(void))
{
	const pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(check());
	cr_assert(eq(int, waitpid(pid, &status, 0), pid));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
forbid(void)
{
	struct sock_filter code[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	const struct sock_fprog program = {sizeof(code) / sizeof(code[0]), code};
	unsigned char kept[TT_REMOTE_PROOF];
	struct tt_remote card;

	tt_remote_init(&card, kept);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		return 77;
	return tt_remote_prove(&card) == EPERM && !tt_remote_offers(&card, kept, sizeof(kept)) ? 0 : 1;
}

Test(remote, a_filter_that_forbids_it_is_an_error_and_no_more)
{
	const int status = in_child(forbid);

	if (status == 77)
		cr_skip_test("no filter can be set here");
	cr_expect(eq(int, status, 0));
}

static int
shut_off(void)
{
	unsigned char kept[TT_REMOTE_PROOF], memory[100] = {0};
	struct tt_remote card;

	tt_remote_init(&card, kept);
	if (tt_remote_prove(&card) != 0)
		return 77;
	if (!tt_remote_offers(&card, memory, sizeof(memory)) || tt_remote_offers(&card, NULL, sizeof(memory)))
		return 1;
	prctl(PR_SET_DUMPABLE, card.dumpable == 0 ? 1 : 0, 0, 0, 0);
	return !tt_remote_offers(&card, memory, sizeof(memory)) && !tt_remote_still(&card) ? 0 : 2;
}

Test(remote, who_has_shut_himself_off_offers_nothing)
{
	const int status = in_child(shut_off);

	if (status == 77)
		cr_skip_test("this process may not even read itself");
	cr_expect(eq(int, status, 0));
}
