/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_options.c - reads the command line of `tutti bench`: nccl-tests' letters where there are some.
 */
#include "cli/bench/bench_options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/settings.h"
#include "cli/cli.h"
#include "cli/run_launch.h"

static const char help[] =
    "Usage: tutti bench COLLECTIVE... [OPTION...]\n"
    "\n"
    "Measures collectives and checks their results, with the flags and columns of nccl-tests. Started\n"
    "alone it launches its own ranks on this machine; under tutti run, mpirun, srun or torchrun it uses\n"
    "those.\n"
    "\n"
    "COLLECTIVE is one or more of: all_reduce reduce_scatter all_gather broadcast reduce scatter gather\n"
    "all_to_all barrier, or all.\n"
    "\n"
    "  -b SIZE        smallest size in bytes, K, M and G are understood (default: 8)\n"
    "  -e SIZE        largest size (default: 256M)\n"
    "  -f FACTOR      each size is the one before times FACTOR (default: 2)\n"
    "  -d TYPE[,...]  data type, or all (default: float): int8 uint8 int16 uint16 int32 uint32 int64 uint64\n"
    "                 half bfloat16 float double f8e4m3 f8e5m2 bool\n"
    "  -o OP[,...]    operator, or all (default: sum): sum prod min max avg band bor bxor\n"
    "  -r ROOT        root of broadcast, reduce, scatter and gather, or all (default: 0)\n"
    "  -n ITERS       timed iterations per size (default: as many as take a tenth of a second, 10 to 1000)\n"
    "  -w WARMUP      iterations before (default: 5)\n"
    "  -a ALGORITHM   force an algorithm (default: the selector's choice)\n"
    "  -g RANKS       how many ranks to launch (default: the usable cores, at least 2)\n"
    "      --cold     use another buffer for each iteration, so that none is in the cache\n"
    "      --alloc    take the buffers from tutti_alloc, so that ranks that share memory copy nothing\n"
    "      --check    check the result of every iteration, not only of the last and of some others\n"
    "      --sweep-ranks    measure on 2, 3, ... RANKS ranks (default: 9; sizes: 1K to 1M by 32), and compare\n"
    "                       2^k + 1 ranks with the powers of two beside them\n"
    "      --json FILE      write the results as JSON too\n"
    "      --plot FILE.svg  draw them\n"
    "  -h, --help     show this text\n"
    "\n"
    "The time of an iteration is that of its slowest rank, from a common start; the table shows the median\n"
    "and the 99th percentile. size is the larger of a rank's whole send and receive buffer; algbw is size\n"
    "over time; busbw is algbw times 2(n-1)/n for all_reduce, (n-1)/n for reduce_scatter, all_gather,\n"
    "scatter, gather and all_to_all, and 1 for the others. #wrong counts elements that are not exactly\n"
    "right in the timed iterations that were checked. eta, for all_reduce: the time that as many\n"
    "concurrent memcpys of the same size take, over the time of the all-reduce; 1.0 is this machine's limit.\n"
    "\n"
    "Exit status: 0, or 1 if a result was wrong or an operation failed, or 2 for a wrong command line.\n"
    "\n"
    "Example:  tutti bench all_reduce -b 1K -e 64M -g 4\n";

enum { OPTION_ALLOC = 256, OPTION_COLD, OPTION_CHECK, OPTION_JSON, OPTION_PLOT, OPTION_SWEEP };

static const struct option long_options[] = {
    {"alloc", no_argument, NULL, OPTION_ALLOC},
    {"cold", no_argument, NULL, OPTION_COLD},
    {"check", no_argument, NULL, OPTION_CHECK},
    {"json", required_argument, NULL, OPTION_JSON},
    {"plot", required_argument, NULL, OPTION_PLOT},
    {"sweep-ranks", no_argument, NULL, OPTION_SWEEP},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Marks the names of a comma-separated list. "all" marks everything. 0 or an exit status. */
static int
mark_names(const char *list, bool *marked, int n, int (*find)(const char *), const char *what)
{
	char name[64];

	memset(marked, 0, (size_t)n * sizeof *marked);
	if (strcmp(list, "all") == 0) {
		for (int i = 0; i < n; i++)
			marked[i] = true;
		return 0;
	}
	for (;;) {
		size_t length = strcspn(list, ",");
		int index;

		snprintf(name, sizeof name, "%.*s", (int)(length < 63 ? length : 63), list);
		index = find(name);
		if (index < 0)
			return tt_usage("bench", "there is no %s '%s'", what, name);
		marked[index] = true;
		if (list[length] == '\0')
			return 0;
		list += length + 1;
	}
}

static int
take_size(const char *letter, const char *value, size_t *bytes)
{
	if (tt_parse_size(value, bytes) == TUTTI_OK && *bytes > 0)
		return 0;
	return tt_usage("bench", "%s %s is not a size such as 8, 64K or 1.5M", letter, value);
}

static int
take_number(const char *letter, const char *value, long least, long most, int *out)
{
	long number;

	if (!tt_read_int(value, least, most, &number))
		return tt_usage("bench", "%s %s is not a whole number from %ld to %ld", letter, value, least, most);
	*out = (int)number;
	return 0;
}

static int
take_factor(const char *value, double *factor)
{
	char *end;

	errno = 0;
	*factor = strtod(value, &end);
	if (errno != 0 || end == value || *end != '\0' || !isfinite(*factor) || *factor <= 1)
		return tt_usage("bench", "-f %s is not a number above 1", value);
	return 0;
}

static int
take_plot(const char *value, const char **plot)
{
	size_t length = strlen(value);

	if (length < 4 || strcmp(value + length - 4, ".svg") != 0)
		return tt_usage("bench", "--plot %s: the name must end in .svg", value);
	*plot = value;
	return 0;
}

static int
take_option(struct tt_bench_options *o, int option, const char *value)
{
	switch (option) {
	case 'b':
		return take_size("-b", value, &o->begin);
	case 'e':
		return take_size("-e", value, &o->end);
	case 'f':
		return take_factor(value, &o->factor);
	case 'd':
		return mark_names(value, o->dtypes, TT_BENCH_DTYPES, tt_bench_find_dtype, "data type");
	case 'o':
		o->all_ops = strcmp(value, "all") == 0;
		return mark_names(value, o->ops, TT_BENCH_OPS, tt_bench_find_op, "operator");
	case 'r':
		if (strcmp(value, "all") == 0) {
			o->root = -1;
			return 0;
		}
		return take_number("-r", value, 0, 1 << 20, &o->root);
	case 'n':
		return take_number("-n", value, 1, 1000000, &o->iterations);
	case 'w':
		return take_number("-w", value, 0, 1000000, &o->warmup);
	case 'g':
		return take_number("-g", value, 1, TT_LAUNCH_RANKS, &o->ranks);
	case 'a':
		o->algorithm = value;
		return 0;
	case OPTION_COLD:
		o->cold = true;
		return 0;
	case OPTION_ALLOC:
		o->alloc = true;
		return 0;
	case OPTION_CHECK:
		o->check = true;
		return 0;
	case OPTION_SWEEP:
		o->sweep = true;
		return 0;
	case OPTION_JSON:
		o->json = value;
		return 0;
	default:
		return take_plot(value, &o->plot);
	}
}

static int
take_collective(struct tt_bench_options *o, const char *name)
{
	int index = tt_bench_find_collective(name);

	if (strcmp(name, "all") == 0) {
		for (int i = 0; i < TT_BENCH_COLLECTIVES; i++)
			o->collectives[i] = true;
		return 0;
	}
	if (index < 0)
		return tt_usage("bench", "there is no collective '%s'", name);
	o->collectives[index] = true;
	return 0;
}

/* Operators that fit no chosen type are an error unless all were asked for. */
static int
check_ops(const struct tt_bench_options *o)
{
	for (int i = 0; i < TT_BENCH_OPS && !o->all_ops; i++) {
		for (int d = 0; d < TT_BENCH_DTYPES; d++) {
			if (o->ops[i] && o->dtypes[d] && !tt_bench_op_fits(tt_bench_ops[i].op, &tt_bench_dtypes[d]))
				return tt_usage("bench", "-o %s is not defined for -d %s", tt_bench_ops[i].name,
				    tt_bench_dtypes[d].name);
		}
	}
	return 0;
}

/* Those that were not given. */
static void
set_sizes(struct tt_bench_options *o)
{
	if (o->begin == 0)
		o->begin = o->sweep ? 1024 : 8;
	if (o->end == 0)
		o->end = o->sweep ? (size_t)1 << 20 : (size_t)256 << 20;
	if (o->sweep && o->end < o->begin)
		o->end = o->begin;
	if (o->factor <= 1)
		o->factor = o->sweep ? 32 : 2;
}

int
tt_bench_options_read(int argc, char **argv, struct tt_bench_options *o)
{
	int option, status;

	*o = (struct tt_bench_options){.warmup = 5};
	o->dtypes[tt_bench_find_dtype("float")] = true;
	o->ops[tt_bench_find_op("sum")] = true;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":b:e:f:d:o:r:n:w:a:g:h", long_options, NULL)) != -1) {
		if (option == 'h') {
			fputs(help, stdout);
			return TT_BENCH_HELPED;
		}
		if (option == '?' || option == ':')
			return tt_usage_getopt("bench", argv, option);
		status = take_option(o, option, optarg);
		if (status != 0)
			return status;
	}
	if (optind == argc)
		return tt_usage("bench", "say which collective, for example all_reduce");
	for (int i = optind; i < argc; i++) {
		status = take_collective(o, argv[i]);
		if (status != 0)
			return status;
	}
	set_sizes(o);
	if (o->sweep && (o->plot != NULL || o->cold))
		return tt_usage("bench", "--sweep-ranks goes with neither --plot nor --cold");
	if (o->begin > o->end)
		return tt_usage("bench", "-b is larger than -e");
	return check_ops(o);
}

size_t
tt_bench_next_bytes(const struct tt_bench_options *options, size_t bytes)
{
	double next = (double)bytes * options->factor;

	if (next >= (double)(SIZE_MAX / 2))
		return SIZE_MAX;
	return (size_t)next > bytes ? (size_t)next : bytes + 1;
}
