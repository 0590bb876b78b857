/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hostlist.c - Slurm's host lists and task counts, good, bad and hostile.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <limits.h>
#include <string.h>

#include "base/error.h"
#include "base/port.h"
#include "bootstrap/hostlist.h"

Test(hostlist, the_first_host_and_the_number_of_hosts)
{
	static const struct {
		const char *list, *first;
		int count;
	} cases[] = {
	    {"n1", "n1", 1},
	    {"n1,n2", "n1", 2},
	    {"n[1-3,7],m2", "n1", 5},
	    {"m2,n[1-3,7]", "m2", 5},
	    {"n[7,1-3]", "n7", 4},
	    {"node[001-128]", "node001", 128},
	    {"n[09-10]", "n09", 2},
	    {"rack[1-2]n[01-16]", "rack1n01", 32},
	    {"rack[2]n[05].example-site.org", "rack2n05.example-site.org", 1},
	    {"gpu_a[0]", "gpu_a0", 1},
	    {"[1-2]", "1", 2},
	    {"10.0.0.1", "10.0.0.1", 1},
	    {"a[0-999999999],b[0-999999999],c[0-999999999]", "a0", INT_MAX},
	    {"a[0-999999999][0-999999999][0-999999999][0-999999999]", "a0000", INT_MAX},
	};

	for (size_t i = 0; i < TT_COUNT_OF(cases); i++) {
		char host[64] = "";
		int count = 0;

		cr_assert(eq(int, tt_hostlist_first(cases[i].list, host, sizeof(host), &count), TUTTI_OK), "%s: %s",
		    cases[i].list, tt_last_error()->message);
		cr_assert(strcmp(host, cases[i].first) == 0, "%s: %s", cases[i].list, host);
		cr_assert(count == cases[i].count, "%s: %d", cases[i].list, count);
	}
}

Test(hostlist, a_list_that_makes_no_sense_says_where)
{
	static const struct {
		const char *list, *where;
	} cases[] = {
	    {"", "character 1"},
	    {",", "character 1"},
	    {"n1,", "character 4"},
	    {"n[", "character 3"},
	    {"n[]", "character 3"},
	    {"n[1", "character 4"},
	    {"n[1-", "character 5"},
	    {"n[1-2", "character 6"},
	    {"n[1,]", "character 5"},
	    {"n[3-1]", "backwards"},
	    {"n[1-2-3]", "character 6"},
	    {"n[a]", "character 3"},
	    {"n[1x2]", "character 4"},
	    {"n1]", "character 3"},
	    {"n1 n2", "character 3"},
	    {"n1;reboot", "character 3"},
	    {"n[[1]]", "character 3"},
	    {"n[1234567890]", "too long"},
	    {"n[-1]", "character 3"},
	};

	for (size_t i = 0; i < TT_COUNT_OF(cases); i++) {
		char host[64];
		int count = -7;

		cr_assert(eq(int, tt_hostlist_first(cases[i].list, host, sizeof(host), &count), TUTTI_ERR_ARGUMENT),
		    "%s", cases[i].list);
		cr_assert(strstr(tt_last_error()->message, cases[i].where) != NULL, "%s: %s", cases[i].list,
		    tt_last_error()->message);
		cr_assert(eq(int, count, -7));
	}
}

Test(hostlist, a_name_that_does_not_fit_is_refused_and_never_cut)
{
	char host[6];
	int count;

	cr_assert(eq(int, tt_hostlist_first("abc[10]", host, sizeof(host), &count), TUTTI_OK));
	cr_assert(strcmp(host, "abc10") == 0);
	cr_assert(eq(int, tt_hostlist_first("abcd[10]", host, sizeof(host), &count), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_hostlist_first("abcdef", host, sizeof(host), &count), TUTTI_ERR_ARGUMENT));
	cr_assert(eq(int, tt_hostlist_first("a", host, 0, &count), TUTTI_ERR_ARGUMENT));
	/* Only the first host needs room. */
	cr_assert(eq(int, tt_hostlist_first("a,abcdefghijk[1000-2000]", host, sizeof(host), &count), TUTTI_OK));
	cr_assert(eq(int, count, 1002));
}

Test(hostlist, tasks_of_a_node)
{
	cr_assert(eq(int, tt_tasks_of_node("2", 0), 2));
	cr_assert(eq(int, tt_tasks_of_node("2(x3),1", 0), 2));
	cr_assert(eq(int, tt_tasks_of_node("2(x3),1", 2), 2));
	cr_assert(eq(int, tt_tasks_of_node("2(x3),1", 3), 1));
	cr_assert(eq(int, tt_tasks_of_node("2(x3),1", 4), -1));
	cr_assert(eq(int, tt_tasks_of_node("1(x999999999),2(x999999999),3(x999999999),4", 999999999), 2));
}

Test(hostlist, task_counts_that_make_no_sense_are_unknown)
{
	static const char *const texts[] = {
	    "", ",", "x", "2(", "2(x", "2(x)", "2(x3", "2(3)", "-1", "1234567890", "2x3"};

	for (size_t i = 0; i < TT_COUNT_OF(texts); i++)
		cr_assert(eq(int, tt_tasks_of_node(texts[i], 5), -1), "%s", texts[i]);
	cr_assert(eq(int, tt_tasks_of_node("2", -1), -1));
}
