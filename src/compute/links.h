/* Bytes through instances' links, asked of the kernel by a netlink socket inside their VPC. */
#ifndef COMPUTE_LINKS_H
#define COMPUTE_LINKS_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct link_bytes {
    char name[16];          /* Of the VPC's end: "m" and the instance's digits. */
    int64_t received, sent; /* By the instance. */
};

typedef void links_fn(void *data, const struct link_bytes *link);

/* One reply of the kernel to request @sequence. False when it was the last, or no such reply. */
bool links_parse(struct slice reply, uint32_t sequence, links_fn *fn, void *data);
/* All links at @fd, at once. */
void links_read(int fd, links_fn *fn, void *data);

#endif /* COMPUTE_LINKS_H */
