/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/server/saver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "resolverd/base/clock.h"
#include "resolverd/base/log.h"
#include "resolverd/base/role.h"
#include "resolverd/base/secret.h"

/* Facts of another configuration or another version of the rules do not count. */
static void worker_hash(const struct config *config, uint8_t ret_hash[32])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, NULL, 0, 32);
	crypto_generichash_update(
	    &state, (const uint8_t *)RESOLVERD_VERSION, sizeof RESOLVERD_VERSION);
	crypto_generichash_update(
	    &state, (const uint8_t *)config->worker_text, strlen(config->worker_text));
	crypto_generichash_final(&state, ret_hash, 32);
}

/* ---- writing ---- */

static int write_file(const struct saver *saver, const uint8_t key[SNAPSHOT_KEY_BYTES])
{
	struct snapshot_stamp stamp = {
	    .written_at_ms = clock_wall_ms(), .is_void = saver->child_is_void};
	worker_hash(saver->config, stamp.worker_hash);
	int fd = openat(
	    saver->dir_fd, SNAPSHOT_NEW_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = snapshot_write(fd, saver->prefetch->cache, &stamp, key);
	if (r == 0 && fsync(fd) != 0)
		r = -errno;
	if (close(fd) != 0 && r == 0)
		r = -errno;
	if (r == 0 && atomic_load(saver->child_is_void))
		r = -ECANCELED;
	if (r == 0 && renameat(saver->dir_fd, SNAPSHOT_NEW_FILE, saver->dir_fd, SNAPSHOT_FILE) != 0)
		r = -errno;
	if (r != 0)
		(void)unlinkat(saver->dir_fd, SNAPSHOT_NEW_FILE, 0);
	else
		(void)fsync(saver->dir_fd);
	return r;
}

static void say(struct saver *saver, int r)
{
	if (r == 0)
		saver->written_at_ms = clock_wall_ms();
	if (r != 0 && !saver->has_failed)
		log_warning("snapshot-not-written",
		    "cannot write the snapshot in server.state-directory: %s; the last one "
		    "stays, it is tried again",
		    strerror(-r));
	else if (r == 0 && saver->has_failed)
		log_notice("snapshot-written-again", "the snapshot is written again");
	saver->has_failed = r != 0;
}

/* The child shares nothing with us but the memory as it was: not one socket, and of the keys, which
 * are wiped in it, this one. */
static void run_child(const struct saver *saver, const uint8_t key[SNAPSHOT_KEY_BYTES])
{
	int dir_fd = saver->dir_fd;
	if (dir_fd > 3)
		(void)close_range(3, (unsigned)dir_fd - 1, 0);
	(void)close_range((unsigned)dir_fd + 1, ~0u, 0);
	_exit(-write_file(saver, key));
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct saver *saver = arg;
	uint8_t key[SNAPSHOT_KEY_BYTES];
	(void)fd, (void)what;
	if (saver->dir_fd < 0 || saver->child > 0)
		return;
	memcpy(key, saver->keys->key[0], sizeof key);
	atomic_store(saver->child_is_void, false);
	saver->child = fork();
	if (saver->child == 0)
		run_child(saver, key);
	sodium_memzero(key, sizeof key);
	if (saver->child < 0)
		say(saver, -errno);
}

static void unlink_files(const struct saver *saver)
{
	(void)unlinkat(saver->dir_fd, SNAPSHOT_FILE, 0);
	(void)unlinkat(saver->dir_fd, SNAPSHOT_NEW_FILE, 0);
}

static void on_child_ended(evutil_socket_t fd, short what, void *arg)
{
	struct saver *saver = arg;
	int status;
	(void)fd, (void)what;
	if (saver->child <= 0 || waitpid(saver->child, &status, WNOHANG) != saver->child)
		return;
	saver->child = 0;
	if (atomic_load(saver->child_is_void))
		unlink_files(saver);
	else
		say(saver, WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO);
	atomic_store(saver->child_is_void, false);
}

/* Nobody waits for the child, which may wait for a disk: its file goes when it has ended. */
void saver_forget(struct saver *saver)
{
	if (saver->dir_fd < 0)
		return;
	if (saver->child > 0)
		atomic_store(saver->child_is_void, true);
	unlink_files(saver);
	saver->written_at_ms = 0;
}

/* ---- reading ---- */

static int read_with(
    struct saver *saver, const uint8_t key[SNAPSHOT_KEY_BYTES], struct snapshot_counts *ret_counts)
{
	uint8_t hash[32];
	int fd = openat(saver->dir_fd, SNAPSHOT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	worker_hash(saver->config, hash);
	int r = snapshot_read(fd, saver->prefetch, hash, key, clock_wall_ms(), ret_counts);
	close(fd);
	return r;
}

static void read_file(struct saver *saver)
{
	static const struct {
		int error;
		const char *text;
	} reasons[] = {{-EBADMSG, "it is torn, was changed, or is of another key"},
	    {-EPROTONOSUPPORT, "it is of another version"},
	    {-ESTALE, "the configuration, or this program, has changed since"},
	    {-ERANGE, "it is from the future: the clock was set back"}};
	struct snapshot_counts counts = {0};
	int64_t began_ms = clock_mono_ms();
	int r = -EBADMSG;
	for (size_t i = 0; i < saver->keys->count && r == -EBADMSG; i++)
		r = read_with(saver, saver->keys->key[i], &counts);
	if (r == -ENOENT)
		return;
	const char *text = strerror(-r);
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
		if (reasons[i].error == r)
			text = reasons[i].text;
	if (r == 0)
		log_notice("snapshot-restored",
		    "snapshot: %u answers restored in %lld ms, %u in use have ended and are "
		    "looked up, %u ended",
		    counts.restored, (long long)(clock_mono_ms() - began_ms), counts.wanted,
		    counts.left);
	else if (r == -ESTALE)
		log_notice("snapshot-not-used",
		    "the snapshot is not used: %s; the cache begins empty", text);
	else
		log_warning("snapshot-not-used",
		    "the snapshot is not used: %s; the cache begins empty", text);
}

/* ---- all of it ---- */

int saver_init(struct saver *saver, struct event_base *base, struct prefetch *prefetch,
    const struct config *config)
{
	*saver = (struct saver){.prefetch = prefetch, .config = config, .dir_fd = -1};
	saver->keys = secret_new(sizeof *saver->keys);
	void *shared = mmap(NULL, sizeof *saver->child_is_void, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || saver->keys == NULL)
		return -ENOMEM;
	saver->child_is_void = shared;
	event_assign(&saver->timer, base, -1, EV_PERSIST, on_timer, saver);
	event_assign(&saver->ended, base, SIGCHLD, EV_SIGNAL | EV_PERSIST, on_child_ended, saver);
	return event_add(&saver->ended, NULL) == 0 ? 0 : -ENOMEM;
}

void saver_set_keys(struct saver *saver, const uint8_t *keys, size_t bytes)
{
	size_t count = bytes / SNAPSHOT_KEY_BYTES;
	saver->keys->count = count < SAVER_KEYS_MAX ? count : SAVER_KEYS_MAX;
	memcpy(saver->keys->key, keys, saver->keys->count * SNAPSHOT_KEY_BYTES);
}

void saver_open(struct saver *saver, int dir_fd)
{
	int64_t ms = saver->config->cache.snapshot_interval_ms;
	struct timeval interval = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
	if (saver->dir_fd >= 0)
		close(saver->dir_fd);
	saver->dir_fd = dir_fd;
	read_file(saver);
	if (ms > 0 && event_add(&saver->timer, &interval) != 0)
		log_error("no-memory", "no timer for the snapshot: it is written at the end only");
}

void saver_fini(struct saver *saver)
{
	event_del(&saver->timer);
	event_del(&saver->ended);
	if (saver->child > 0) { /* what it writes is older */
		atomic_store(saver->child_is_void, true);
		(void)waitpid(saver->child, NULL, 0);
		atomic_store(saver->child_is_void, false);
	}
	if (saver->dir_fd >= 0 && saver->config->cache.snapshot_interval_ms > 0)
		say(saver, write_file(saver, saver->keys->key[0]));
	if (saver->dir_fd >= 0)
		close(saver->dir_fd);
	saver->dir_fd = -1;
	(void)munmap(saver->child_is_void, sizeof *saver->child_is_void);
	secret_free(saver->keys, sizeof *saver->keys);
	saver->keys = NULL;
}
