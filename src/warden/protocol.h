/* What musterd may ask of the warden: the whole interface.
 *
 * Messages over a SOCK_SEQPACKET pair, each a header and a payload of fixed-size records: ids,
 * enums, numbers, addresses and ports, never paths or option strings. The one text is HAProxy's
 * configuration, read by a process that has dropped to user muster-haproxy. Both ends are on one
 * machine and of one build, so records are plain structs; the warden trusts no byte of them
 * (warden/check.h). Requests are answered by serial, in any order. */
#ifndef WARDEN_PROTOCOL_H
#define WARDEN_PROTOCOL_H

#include "network/rules.h"

#include <stdint.h>

#define WARDEN_MAGIC 0x6d757374u
#define WARDEN_MESSAGE_BYTES_MAX (192 * 1024) /* Fits the default socket buffer. */
#define WARDEN_ID_BYTES 32
#define WARDEN_SUBNETS_MAX 64
#define WARDEN_LISTENERS_MAX 256
#define WARDEN_CONFIG_BYTES_MAX (128 * 1024)
#define WARDEN_EXEC_BYTES_MAX (64 * 1024)   /* Of arguments, and of input. */
#define WARDEN_OUTPUT_BYTES_MAX (64 * 1024) /* Of each stream. */
#define WARDEN_SOCKETS_MAX 64
#define WARDEN_TEXT_BYTES 512
/* As enum compute_listener has them; the last is a netlink socket, for the links' counters. */
#define WARDEN_VPC_LISTENERS 5
#define WARDEN_FIRST_FD 100 /* HAProxy's inherited listeners: bind fd@100... */

enum warden_op {
    WARDEN_INSTANCE = 1, /* struct warden_instance */
    WARDEN_REBOOT,       /* struct warden_id */
    WARDEN_VPC,          /* struct warden_vpc, ends, rules; the reply may carry its listeners */
    WARDEN_VPC_GONE,     /* struct warden_id */
    WARDEN_IMAGE,        /* struct warden_image */
    WARDEN_IMAGE_GONE,   /* struct warden_id */
    WARDEN_EXEC,    /* struct warden_exec, arguments, input; reply: struct warden_output, text */
    WARDEN_SOCKETS, /* struct warden_id: TCP sockets inside the VPC; the reply carries them */
    WARDEN_HAPROXY, /* struct warden_haproxy, configuration */
    WARDEN_HAPROXY_GONE, /* struct warden_id */
    WARDEN_INVENTORY,    /* Nothing; reply: struct warden_found[] */
    WARDEN_CONSOLE,      /* struct warden_id; reply: struct warden_output, its output alone */
    /* From the warden, with serial 0. */
    WARDEN_EVENT_INSTANCE, /* struct warden_event */
    WARDEN_EVENT_HAPROXY,  /* struct warden_event */
};

struct warden_header {
    uint32_t magic;
    uint32_t op;
    uint64_t serial;
    uint32_t payload_bytes;
    int32_t code; /* Replies: enum error_code, 0 when done; then text says why not. */
    char text[WARDEN_TEXT_BYTES];
};

struct warden_id {
    char id[WARDEN_ID_BYTES];
};

enum warden_state { WARDEN_GONE, WARDEN_STOPPED, WARDEN_RUNNING };

struct warden_instance {
    char id[WARDEN_ID_BYTES];
    char vpc[WARDEN_ID_BYTES];
    char image[WARDEN_ID_BYTES];
    uint32_t address;
    struct network subnet;
    uint8_t mac[8]; /* Six are used. */
    int32_t cpu_millicores;
    uint32_t state; /* enum warden_state */
    int64_t memory_bytes;
    int64_t disk_bytes;
};

struct warden_vpc {
    char id[WARDEN_ID_BYTES];
    struct network cidr;
    struct network subnets[WARDEN_SUBNETS_MAX];
    uint32_t subnet_count;
    uint8_t internet, allow_lan, want_listeners, reserved;
    uint32_t group_count;
    uint32_t end_count;  /* struct network_end[] follow, */
    uint32_t rule_count; /* then struct network_rule[]. */
};

struct warden_image {
    char instance[WARDEN_ID_BYTES];
    char image[WARDEN_ID_BYTES];
};

struct warden_exec {
    char instance[WARDEN_ID_BYTES];
    int64_t timeout_ms;
    uint32_t output_bytes_max;
    uint32_t argument_count; /* NUL-terminated texts follow, */
    uint32_t argument_bytes;
    uint32_t input_bytes; /* then the input. */
};

struct warden_output {
    int32_t status; /* As struct compute_result has it. */
    uint32_t output_bytes, errors_bytes;
    uint8_t output_cut, errors_cut, reserved[2];
};

struct warden_haproxy {
    char id[WARDEN_ID_BYTES];
    char vpc[WARDEN_ID_BYTES];
    struct {
        uint32_t address;
        uint16_t port;
        uint16_t reserved;
        int32_t fd;
    } listeners[WARDEN_LISTENERS_MAX];
    uint32_t listener_count;
    uint32_t sources[WARDEN_SUBNETS_MAX];
    uint32_t source_count;
    uint8_t reload, reserved[3];
    uint32_t config_bytes; /* The text follows. */
};

struct warden_found {
    char id[WARDEN_ID_BYTES];
    uint32_t state;
};

struct warden_event {
    char id[WARDEN_ID_BYTES];
    uint32_t state;
    char reason[128];
};

#endif /* WARDEN_PROTOCOL_H */
