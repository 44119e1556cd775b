/* Is a message from musterd one that the warden may act on? Sizes, counts, ids, addresses: nothing
 * is believed. Pure; fuzzed. */
#ifndef WARDEN_CHECK_H
#define WARDEN_CHECK_H

#include "warden/protocol.h"

#include <stdbool.h>
#include <stddef.h>

/* @message is a whole message as it came, aligned for its records. */
bool warden_check(const void *message, size_t bytes);

#endif /* WARDEN_CHECK_H */
