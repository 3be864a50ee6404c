/* SPDX-License-Identifier: BSD-3-Clause */
/* What was verified before is not verified again, and nothing else is taken for it. Counted are the
 * calls of libsodium's verification itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <dlfcn.h>

#include "tests/unit/scene.h"

#define CONNECTION 2u /* verifications of the delegation: for the keyring, for the status */

static size_t verifications;

/* In the place of libsodium's. */
int crypto_sign_verify_detached(const unsigned char *signature, const unsigned char *message,
    unsigned long long count, const unsigned char *key)
{
	static int (*theirs)(const unsigned char *, const unsigned char *, unsigned long long,
	    const unsigned char *);
	if (theirs == NULL)
		*(void **)&theirs = dlsym(RTLD_NEXT, "crypto_sign_verify_detached");
	verifications++;
	return theirs(signature, message, count, key);
}

static uint64_t now_ms;

static uint64_t moving_clock(void)
{
	return now_ms;
}

static void begin(struct scene *scene)
{
	scene_init(scene);
	now_ms = NOW_MS;
	client_set_clock(scene->client, moving_clock);
	scene_sign(scene);
}

/* How many verifications it takes. */
static size_t cost_of_plan(struct scene *scene, const char *next_hop, int want)
{
	struct resolverd_plan *plan = NULL;
	size_t before = verifications;
	assert_int_equal(ask_plan(scene, next_hop, &plan), want);
	resolverd_plan_free(plan);
	return verifications - before;
}

static void each_answer_is_verified_once(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), CONNECTION + 2);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(cost_of_plan(&scene, "example.org", 0), 0);
	scene_fini(&scene);
}

/* A sender that mails one provider all day: 500 domains, the provider's host once. */
static void the_host_of_many_domains_is_verified_once(void **state)
{
	(void)state;
	struct scene scene;
	size_t before = verifications;
	begin(&scene);
	for (int i = 0; i < 500; i++) {
		char *name = memory_printf(scene.memory, "d%d.example.org", i);
		scene.route->question->name = name;
		scene.route->route->expanded = name;
		scene_sign(&scene);
		cost_of_plan(&scene, name, 0);
	}
	assert_int_equal(verifications - before, CONNECTION + 500 + 1);
	scene_fini(&scene);
}

static void it_is_forgotten_when_it_expires(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	now_ms = scene.host->expires_at - 1;
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), 0);
	now_ms = scene.host->expires_at; /* asked for twice, the host is verified each time */
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 2);
	scene_fini(&scene);
}

static void another_signature_or_answer_is_not_taken_for_it(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	ProtobufCBinaryData *signature = &scene.daemon.answer->answers[1]->signature;
	signature->data[0] ^= 1;
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 1);
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 1);
	signature->data[0] ^= 1;
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), 0);
	scene.host->validated_at++; /* another answer under the old signature */
	ProtobufCBinaryData *answer = &scene.daemon.answer->answers[1]->answer;
	*answer = pack(scene.memory, &scene.host->base);
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 1);
	scene_fini(&scene);
}

static void what_is_refused_is_not_remembered(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	scene.host->member = memory_string(scene.memory, "m2");
	scene_sign(&scene);
	cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY);
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 1);
	scene_fini(&scene);
}

/* The answer to another question stays one, however often its signature was seen. */
static void a_remembered_answer_is_still_compared(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	assert_int_equal(cost_of_plan(&scene, "example.com", RESOLVERD_ERROR_VERIFY), 0);
	scene_fini(&scene);
}

/* ---- keys ---- */

static void learn_keys(struct scene *scene)
{
	uint64_t id;
	struct resolverd_daemon_status *status;
	assert_int_equal(resolverd_submit_status(scene->client, &id), 0);
	run(scene, id);
	assert_int_equal(resolverd_take_status(scene->client, id, &status), 0);
	resolverd_daemon_status_free(status);
}

static void another_key_forgets_all(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	scene.daemon.status->status->delegations =
	    memory_alloc(scene.memory, 2, sizeof(Resolverd__V1__SignedDelegation *));
	struct signer other = signer_of(5);
	scene.daemon.status->status->delegations[0] =
	    sign_delegation(scene.memory, &scene.long_term, new_delegation(scene.memory, &other));
	scene.daemon.status->status->delegations[1] =
	    sign_delegation(scene.memory, &scene.long_term, scene.delegation);
	scene.daemon.status->status->n_delegations = 2;
	learn_keys(&scene);
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), 2);
	scene_fini(&scene);
}

static void a_key_that_is_gone_verifies_nothing(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	scene.daemon.status->status->n_delegations = 0;
	learn_keys(&scene);
	assert_int_equal(cost_of_plan(&scene, "example.org", RESOLVERD_ERROR_VERIFY), 0);
	scene_fini(&scene);
}

static void a_renewed_delegation_of_the_same_key_forgets_nothing(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	scene.delegation->not_after += 3600000;
	scene.daemon.status = status_of_scene(&scene);
	learn_keys(&scene);
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), 0);
	scene_fini(&scene);
}

static void a_new_connection_to_the_same_keys_forgets_nothing(void **state)
{
	(void)state;
	struct scene scene;
	begin(&scene);
	cost_of_plan(&scene, "example.org", 0);
	fake_hang_up(&scene.daemon);
	assert_int_equal(cost_of_plan(&scene, "example.org", 0), CONNECTION);
	assert_int_equal(scene.daemon.connections, 2);
	scene_fini(&scene);
}

/* ---- bounds ---- */

static void it_is_bounded_and_keeps_what_is_used(void **state)
{
	(void)state;
	struct remembered remembered = {0};
	struct signer signer = signer_of(2);
	uint8_t bytes[4], signatures[2][crypto_sign_BYTES];
	uint32_t favourite = 0;
	for (uint32_t i = 0; i < 3 * REMEMBERED_MAX; i++) {
		for (int turn = 0; turn < 2; turn++) {
			uint32_t number = turn == 0 ? i : favourite;
			memcpy(bytes, &number, sizeof bytes);
			struct remembered_signature signature = {.context = SIGNING_CONTEXT_ANSWER,
			    .key = signer.public_key,
			    .bytes = bytes,
			    .count = sizeof bytes,
			    .signature = signatures[turn],
			    .signature_bytes = crypto_sign_BYTES};
			if (turn == 0 || i == 0)
				signing_sign(signature.context, bytes, sizeof bytes,
				    signer.secret_key, signatures[turn]);
			size_t before = verifications;
			assert_true(remembered_verify(&remembered, &signature, NOW_MS));
			assert_int_equal(
			    verifications - before, turn == 0 || i == 0 ? turn == 0 : 0);
			remembered_add(&remembered, &signature, NOW_MS, NOW_MS + 1);
		}
	}
	size_t kept = 0;
	for (size_t i = 0; i < REMEMBERED_MAX; i++)
		kept += remembered.ones[i].expires_at_ms != 0;
	assert_in_range(kept, REMEMBERED_MAX * 9 / 10, REMEMBERED_MAX);
	remembered_forget(&remembered);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_answer_is_verified_once),
	    cmocka_unit_test(the_host_of_many_domains_is_verified_once),
	    cmocka_unit_test(it_is_forgotten_when_it_expires),
	    cmocka_unit_test(another_signature_or_answer_is_not_taken_for_it),
	    cmocka_unit_test(what_is_refused_is_not_remembered),
	    cmocka_unit_test(a_remembered_answer_is_still_compared),
	    cmocka_unit_test(another_key_forgets_all),
	    cmocka_unit_test(a_key_that_is_gone_verifies_nothing),
	    cmocka_unit_test(a_renewed_delegation_of_the_same_key_forgets_nothing),
	    cmocka_unit_test(a_new_connection_to_the_same_keys_forgets_nothing),
	    cmocka_unit_test(it_is_bounded_and_keeps_what_is_used),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
