/* SPDX-License-Identifier: BSD-3-Clause */
/* The words of the public header, and that its numbers are those of the protocol. */
#include "client/resolverd.h"
#include "proto/combine.h"

#define SAME(public_name, wire_name)                                                               \
	_Static_assert((int)RESOLVERD_##public_name == (int)RESOLVERD__V1__##wire_name, #wire_name)

SAME(SECURE, STATUS__SECURE);
SAME(INSECURE, STATUS__INSECURE);
SAME(BOGUS, STATUS__BOGUS);
SAME(ERROR, STATUS__ERROR);
SAME(TLSA_SECURE, TLSA_STATUS__TLSA_SECURE);
SAME(TLSA_INSECURE, TLSA_STATUS__TLSA_INSECURE);
SAME(TLSA_BOGUS, TLSA_STATUS__TLSA_BOGUS);
SAME(TLSA_ERROR, TLSA_STATUS__TLSA_ERROR);
SAME(TLSA_ABSENT, TLSA_STATUS__TLSA_ABSENT);
SAME(TLSA_NOT_QUERIED, TLSA_STATUS__TLSA_NOT_QUERIED);
SAME(DANE, POLICY__DANE);
SAME(TLS_NO_AUTH, POLICY__TLS_NO_AUTH);
SAME(OPPORTUNISTIC, POLICY__OPPORTUNISTIC);
SAME(UNREACHABLE, POLICY__UNREACHABLE);
SAME(NORMAL, REQUIREMENT__NORMAL);
SAME(MANDATORY, REQUIREMENT__MANDATORY);
SAME(AUDIT, REQUIREMENT__AUDIT);
SAME(OFF, REQUIREMENT__OFF);
_Static_assert((int)RESOLVERD_DELIVER == (int)OUTCOME_DELIVER, "number of the protocol");
_Static_assert((int)RESOLVERD_DELAY == (int)OUTCOME_DELAY, "number of the protocol");
_Static_assert((int)RESOLVERD_NO_MAIL == (int)OUTCOME_NO_MAIL, "number of the protocol");
_Static_assert(
    (int)RESOLVERD_NO_SUCH_DOMAIN == (int)OUTCOME_NO_SUCH_DOMAIN, "number of the protocol");
_Static_assert((int)RESOLVERD_NO_HOST == (int)OUTCOME_NO_HOST, "number of the protocol");

_Static_assert((int)RESOLVERD_NOBODY == (int)PARTY_NOBODY, "number of the table");
_Static_assert((int)RESOLVERD_THEM == (int)PARTY_THEM, "number of the table");
_Static_assert((int)RESOLVERD_US == (int)PARTY_US, "number of the table");

static const char *const error_texts[] = {
    [-RESOLVERD_OK] = "no error",
    [-RESOLVERD_ERROR_MEMORY] = "out of memory",
    [-RESOLVERD_ERROR_ARGUMENT] = "this cannot be asked",
    [-RESOLVERD_ERROR_NO_DAEMON] = "resolverd cannot be reached",
    [-RESOLVERD_ERROR_TIMEOUT] = "resolverd did not answer in time",
    [-RESOLVERD_ERROR_PUBLIC_KEY] = "the public key file is unreadable or bad",
    [-RESOLVERD_ERROR_VERIFY] = "an answer does not verify",
    [-RESOLVERD_ERROR_PROTOCOL] = "resolverd broke the protocol",
    [-RESOLVERD_ERROR_REFUSED] = "resolverd refused the request",
    [-RESOLVERD_ERROR_BUSY] = "resolverd is busy",
    [-RESOLVERD_ERROR_PENDING] = "the request has not finished",
    [-RESOLVERD_ERROR_UNKNOWN_ID] = "no such request",
};

const char *resolverd_strerror(int error)
{
	if (error > 0 || error < RESOLVERD_ERROR_UNKNOWN_ID)
		return "unknown error";
	return error_texts[-error];
}

const char *resolverd_version(void)
{
	return RESOLVERD_VERSION;
}

const char *resolverd_status_text(enum resolverd_status status)
{
	return status_text((int)status);
}

const char *resolverd_tlsa_status_text(enum resolverd_tlsa_status status)
{
	return tlsa_status_text((int)status);
}

const char *resolverd_policy_text(enum resolverd_policy policy)
{
	return policy_text((int)policy);
}

const char *resolverd_requirement_text(enum resolverd_requirement requirement)
{
	return requirement_text((int)requirement);
}

const char *resolverd_outcome_text(enum resolverd_outcome outcome)
{
	return outcome_text((enum outcome)outcome);
}

const char *resolverd_party_text(enum resolverd_party party)
{
	return party_text((int)party);
}
