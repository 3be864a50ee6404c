/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolverd/base/secret.h"

#include <sodium.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + page_bytes() - 1) / page_bytes() * page_bytes();
}

void *secret_new(size_t bytes)
{
	size_t guard = page_bytes(), inside = whole_pages(bytes);
	uint8_t *all = mmap(NULL, inside + 2 * guard, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (all == MAP_FAILED)
		return NULL;
	uint8_t *secret = all + guard;
	/* Where a kernel can't wipe it (gVisor's), a child does not have it. */
	if (mprotect(secret, inside, PROT_READ | PROT_WRITE) != 0 ||
	    (madvise(secret, inside, MADV_WIPEONFORK) != 0 &&
		madvise(secret, inside, MADV_DONTFORK) != 0)) {
		munmap(all, inside + 2 * guard);
		return NULL;
	}
	(void)madvise(secret, inside, MADV_DONTDUMP);
	(void)mlock(secret, inside); /* without the right to lock it may be swapped */
	return secret;
}

void secret_hide(void *secret, size_t bytes)
{
	(void)mprotect(secret, whole_pages(bytes), PROT_NONE);
}

void secret_show(void *secret, size_t bytes)
{
	(void)mprotect(secret, whole_pages(bytes), PROT_READ | PROT_WRITE);
}

void secret_free(void *secret, size_t bytes)
{
	if (secret == NULL)
		return;
	secret_show(secret, bytes);
	sodium_memzero(secret, bytes);
	munmap((uint8_t *)secret - page_bytes(), whole_pages(bytes) + 2 * page_bytes());
}
