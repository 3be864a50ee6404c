/* SPDX-License-Identifier: BSD-3-Clause */
/* The clock, by whatever can't lie about the time: signatures, our own build, the daemon's clock.
 */
#include <stdio.h>
#include <sys/timex.h>

#include "client/ctl/ctl.h"
#include "client/ctl/doctor.h"
#include "client/lib/clock.h"

#define DAEMON_TOLERANCE_MS 5000 /* what attested answers allow */

static void report_wrong(
    struct doctor *doctor, uint64_t now_ms, uint64_t bound_ms, const char *what)
{
	char span[32];
	uint64_t off_ms = now_ms > bound_ms ? now_ms - bound_ms : bound_ms - now_ms;
	output_span(off_ms / 1000, span);
	doctor_report(doctor, DOCTOR_FAIL, "clock", output_time(now_ms),
	    "wrong by %s or more: %s %s", span, what, output_time(bound_ms));
	doctor_advise(doctor,
	    "set the clock and keep it right: timedatectl set-ntp true, or another "
	    "NTP client; nothing validates before");
}

/* The kernel's word on whether something keeps the clock right. */
static const char *keeper(void)
{
	struct timex timex = {.modes = 0};
	int r = adjtimex(&timex);
	if (r < 0)
		return "";
	return r == TIME_ERROR || (timex.status & STA_UNSYNC) != 0
		   ? "; the kernel knows of no NTP that keeps it so"
		   : "; kept by NTP";
}

/* The daemon's clock is not ours: a container with a time of its own, or a step just now. */
static bool differs_from_daemon(const struct doctor *doctor)
{
	if (doctor->status == NULL)
		return false;
	uint64_t ours = doctor->status_at_ms, theirs = doctor->status->now_ms;
	return (ours > theirs ? ours - theirs : theirs - ours) > DAEMON_TOLERANCE_MS;
}

void doctor_check_clock(struct doctor *doctor, uint64_t inception_s, uint64_t expiration_s)
{
	const uint64_t now_ms = clock_wall_ms(), build_ms = RESOLVERD_BUILD_TIME_S * UINT64_C(1000);
	char now[32];
	snprintf(now, sizeof now, "%s", output_time(now_ms));
	if (now_ms < build_ms)
		report_wrong(doctor, now_ms, build_ms, "this program was built");
	else if (inception_s != 0 && now_ms < inception_s * 1000)
		report_wrong(doctor, now_ms, inception_s * 1000,
		    "servers of the root say that it was signed");
	else if (expiration_s != 0 && now_ms > expiration_s * 1000)
		report_wrong(doctor, now_ms, expiration_s * 1000,
		    "servers of the root say that its signatures end");
	else if (differs_from_daemon(doctor))
		report_wrong(doctor, doctor->status_at_ms, doctor->status->now_ms,
		    "the daemon's clock says");
	else if (inception_s == 0)
		doctor_report(doctor, DOCTOR_SKIP, "clock", now,
		    "later than this program's build, but no signature was seen to compare it "
		    "with%s",
		    keeper());
	else
		doctor_report(doctor, DOCTOR_OK, "clock", now,
		    "within the time of the root's signatures, %s to %s%s",
		    output_time(inception_s * 1000), output_time(expiration_s * 1000), keeper());
}
