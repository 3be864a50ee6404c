/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a fleet too large to be simulated would ask for: the mean of each of the trace's questions
 * by a formula, and the sum. Where both can be had, fleet_sim.py compares it with the simulation.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct fleet_expected {
	/* Each a second. */
	double lookups_route, lookups_host;
	double lookups_one_off; /* of these: of names that are asked for once */
	double gets, leases, sets, incrs;
	/* Live in the store. */
	double facts, counts;
};

void fleet_formula(
    uint32_t members, double mails_per_s, bool has_store, struct fleet_expected *ret_expected);
