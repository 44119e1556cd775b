/* What a cgroup has used, read from its files in either layout (v1, also "hybrid", and v2). */
#ifndef COMPUTE_CGROUP_H
#define COMPUTE_CGROUP_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>
#include <stdio.h>

struct cgroup_usage {
    int64_t cpu_ns;
    int64_t throttled_ns;
    int64_t memory_bytes; /* Without inactive page cache. */
};

/* Where each controller is mounted; "" where it is not. v1's by the mounts' options, never by name;
 * what is not there is v2's business, and a "hybrid" host has both. */
struct cgroup_layout {
    char cpuacct[256], cpu[256], memory[256], unified[256];
};
void cgroup_layout_read(FILE *mountinfo, struct cgroup_layout *layout);
int cgroup_read_in(const struct cgroup_layout *layout, const char *path, struct cgroup_usage *usage,
                   struct error *err);

/* Of the group @path below every hierarchy's root, "muster/i/NAME". ERR_NOT_FOUND. */
int cgroup_read(const char *path, struct cgroup_usage *usage, struct error *err);

/* The number behind @key in "key 123\nother 4\n"; -1 when it is not there. */
int64_t cgroup_field(struct slice text, const char *key);

#endif /* COMPUTE_CGROUP_H */
