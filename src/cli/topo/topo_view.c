/* SPDX-License-Identifier: Apache-2.0
 *
 * topo_view.c - small answers that all views give alike.
 */
#include "cli/topo/topo_view.h"

int
tt_topo_core_of(const struct tt_topo_view *view, int rank)
{
	const int cpu = view->ranks[rank].card.group[TT_MAP_CORE];

	return cpu >= 0 && cpu < view->topology->most_cpu ? view->topology->core_of_cpu[cpu] : -1;
}

const char *
tt_topo_bytes(uint64_t bytes, char *text, size_t capacity)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	int unit = 0;

	while (value >= 1024 && unit < 4) {
		value /= 1024;
		unit++;
	}
	snprintf(text, capacity, value < 10 && unit > 0 && value > (double)(int)value ? "%.1f %s" : "%.0f %s", value,
	    units[unit]);
	return text;
}

const char *
tt_topo_joined(const struct tt_topo_view *view, int a, int b, char *letter)
{
	static const char letters[TT_MAP_LEVELS] = {'m', 'p', 'n', '3', '2', 'c'};
	enum tt_map_level level;

	if (!tt_map_shared(view->map, a, b, &level)) {
		*letter = 't';
		return view->transport[1];
	}
	*letter = letters[level];
	return tt_map_level_name(level);
}
