/* Instances, networks and load balancers' processes, made real by a driver: lxc (containers,
 * through the warden) or sim (a model, without privileges).
 *
 * One asks for an end state, as often as one likes; the driver brings it about and reports. Loop
 * thread only; nothing here blocks. Arguments are copied. A done function is called later, on the
 * loop, exactly once, with NULL or what went wrong; it may be NULL itself. Requests for the same id
 * are carried out in order. */
#ifndef COMPUTE_COMPUTE_H
#define COMPUTE_COMPUTE_H

#include "base/error.h"
#include "base/slice.h"
#include "network/rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct compute; /* Opaque; begins with the driver's functions. */

typedef void compute_done_fn(void *data, const struct error *err);

#define COMPUTE_ID_BYTES 32 /* "i-0123456789abcdef0" with its NUL. */
#define COMPUTE_VPCS_MAX 64
#define COMPUTE_SUBNETS_MAX 64    /* Of one VPC. */
#define COMPUTE_LISTENERS_MAX 256 /* Of one HAProxy. */

enum compute_state { COMPUTE_GONE, COMPUTE_STOPPED, COMPUTE_RUNNING };

struct compute_instance {
    char id[COMPUTE_ID_BYTES];
    char vpc[COMPUTE_ID_BYTES];
    char image[COMPUTE_ID_BYTES]; /* "ami-..." */
    uint32_t address;             /* Private. */
    struct network subnet;        /* Its gateway is the subnet's .1. */
    uint8_t mac[6];
    int32_t cpu_millicores; /* Quota of host CPU time; 0: none. */
    int64_t memory_bytes;
    int64_t disk_bytes;
};

struct compute_vpc {
    char id[COMPUTE_ID_BYTES];
    struct network cidr;
    struct network subnets[COMPUTE_SUBNETS_MAX];
    size_t subnet_count;
    bool internet; /* A default route to an attached internet gateway exists. */
    bool allow_lan;
    struct network_rules rules;
};

/* What an instance has used since it was started. */
struct compute_usage {
    int64_t cpu_ns;
    int64_t throttled_ns;
    int64_t memory_bytes;
    int64_t received_bytes, sent_bytes;
};

/* A HAProxy process in a VPC's namespace. */
struct compute_haproxy {
    char id[COMPUTE_ID_BYTES]; /* Ours: "lb-...", or "pub-..." for a VPC's public addresses. */
    char vpc[COMPUTE_ID_BYTES];
    /* Where clients on this host connect: an address of 127.64.0.0/15 and a port. The socket is
     * inherited as descriptor @fd of the configuration's "bind fd@N". */
    struct {
        uint32_t address;
        uint16_t port;
        int32_t fd;
    } listeners[COMPUTE_LISTENERS_MAX];
    size_t listener_count;
    /* Addresses of its own in the VPC, which rules and backends see as source. */
    uint32_t sources[COMPUTE_SUBNETS_MAX];
    size_t source_count;
    struct slice config; /* The configuration file's text. */
    bool reload;         /* Start a successor even if one runs with these listeners. */
};

struct compute_exec {
    char instance[COMPUTE_ID_BYTES];
    const char *const *argv; /* NULL-terminated, run by root inside. */
    struct slice input;      /* Standard input. */
    int64_t timeout_ms;      /* Real time. */
    size_t output_bytes_max; /* Of each stream; the rest is dropped. */
};
struct compute_result {
    int status; /* Exit status; 128 + signal; -1: the timeout ended it. */
    struct slice output, errors;
    bool output_cut, errors_cut;
};
typedef void compute_exec_fn(void *data, const struct compute_result *result,
                             const struct error *err);

/* An HTTP GET from inside a VPC: a health check. No redirects; at most 64 KiB are read. */
struct compute_probe {
    char vpc[COMPUTE_ID_BYTES];
    char instance[COMPUTE_ID_BYTES]; /* Whose address it is; for the sim driver. */
    uint32_t source;                 /* The load balancer's own address. */
    uint32_t address;
    uint16_t port;
    const char *path;
    int64_t timeout_ms; /* Real time. */
};
enum compute_probe_outcome {
    PROBE_ANSWERED,
    PROBE_TIMEOUT,
    PROBE_REFUSED, /* No connection. */
    PROBE_BROKEN,  /* A connection, but no HTTP answer. */
};
typedef void compute_probe_fn(void *data, enum compute_probe_outcome outcome, int status);

/* What instances reach inside their VPC: 169.254.169.254:80, 169.254.169.252:4566, and port 53 of
 * 169.254.169.253 and of the VPC's base address plus two. */
enum compute_listener {
    COMPUTE_IMDS,
    COMPUTE_API,
    COMPUTE_DNS,
    COMPUTE_DNS_BASE,
    COMPUTE_LISTENER_KINDS
};

/* News, on the loop. */
struct compute_events {
    void *data;
    /* The instance has fallen into @state without being asked just now: it shut itself down,
     * crashed, or (where the driver knows) has booted. @reason is for people, "" when there is
     * nothing to say. */
    void (*instance)(void *data, const char *id, enum compute_state state, const char *reason);
    /* A socket inside @vpc: listening, or for datagrams (DNS). Taken. -1: that VPC is gone. */
    void (*listener)(void *data, const char *vpc, enum compute_listener what, int fd);
    /* A HAProxy ended by itself; asking for it again starts it. */
    void (*haproxy)(void *data, const char *id);
};

/* What there is, as found at the start: what an earlier run left. */
struct compute_found {
    char id[COMPUTE_ID_BYTES];
    enum compute_state state;
};
typedef void compute_inventory_fn(void *data, const struct compute_found *found, size_t count,
                                  const struct error *err);

struct compute_driver {
    const char *name; /* "lxc", "sim" */
    /* To @state. RUNNING is done when init runs. */
    void (*instance)(struct compute *compute, const struct compute_instance *instance,
                     enum compute_state state, compute_done_fn *done, void *data);
    void (*reboot)(struct compute *compute, const char *id, compute_done_fn *done, void *data);
    void (*vpc)(struct compute *compute, const struct compute_vpc *vpc, compute_done_fn *done,
                void *data);
    void (*vpc_gone)(struct compute *compute, const char *id, compute_done_fn *done, void *data);
    /* The image @id of what the instance's disk holds; its layers go under the instance's own. */
    void (*image)(struct compute *compute, const char *instance, const char *id,
                  compute_done_fn *done, void *data);
    void (*image_gone)(struct compute *compute, const char *id, compute_done_fn *done, void *data);
    void (*exec)(struct compute *compute, const struct compute_exec *exec, compute_exec_fn *done,
                 void *data);
    /* What @id has written to its console since it was started, the last 64 KiB: the result's
     * output. Also of one that was stopped; empty when nothing is known. */
    void (*console)(struct compute *compute, const char *id, compute_exec_fn *done, void *data);
    void (*probe)(struct compute *compute, const struct compute_probe *probe,
                  compute_probe_fn *done, void *data);
    void (*haproxy)(struct compute *compute, const struct compute_haproxy *haproxy,
                    compute_done_fn *done, void *data);
    void (*haproxy_gone)(struct compute *compute, const char *id, compute_done_fn *done,
                         void *data);
    void (*inventory)(struct compute *compute, compute_inventory_fn *done, void *data);
    /* At once, from memory or the cgroup's files. ERR_NOT_FOUND when it does not run. */
    int (*usage)(struct compute *compute, const char *id, struct compute_usage *usage,
                 struct error *err);
    /* The path of a HAProxy's runtime socket; NULL where there is no data plane (sim). */
    const char *(*haproxy_socket)(struct compute *compute, const char *id);
    /* What is under way is dropped: its done function is not called. */
    void (*close)(struct compute *compute);
};

struct compute {
    const struct compute_driver *driver;
    struct compute_events events; /* Set by the owner before anything is asked for. */
};

/* The base image every driver has: Debian, as AWS's official AMI of it. */
#define COMPUTE_BASE_IMAGE "ami-0deb1a12000000000"

/* The sim driver. @boot_ms, @stop_ms: how long that takes, of the scaled clock's real time. Its
 * instances' CPU follows `stress` commands that are given to exec, and compute_sim_load(). */
struct compute_sim_options {
    uv_loop_t *loop;
    int32_t time_scale;
    int64_t boot_ms, stop_ms;
};
struct compute *compute_sim_open(const struct compute_sim_options *options);
/* From now on @id (NULL: all, newcomers too) uses @percent of its quota. */
void compute_sim_load(struct compute *compute, const char *id, double percent);
/* From now on its health checks get @status (0: no answer). */
void compute_sim_health(struct compute *compute, const char *id, int status);

/* The lxc driver, over the warden's socket @fd, which is taken. @state_dir is musterd's own: the
 * warden's is the directory above it. */
int compute_lxc_open(uv_loop_t *loop, int fd, const char *state_dir, struct compute **compute,
                     struct error *err);

#endif /* COMPUTE_COMPUTE_H */
