#include "warden/check.h"

#include "warden/private.h"

#include <string.h>

static const char *text_of_id(const struct warden_header *header, const char *payload,
                              const char *prefix)
{
    const struct warden_id *id = (const struct warden_id *)(const void *)payload;

    if (header->payload_bytes != sizeof(*id) || !id_has(id->id, sizeof(id->id), prefix)) {
        return NULL;
    }
    return id->id;
}

/* NUL-terminated texts that fill @bytes; 0 when the last has no end. */
static size_t count_texts(const char *texts, size_t bytes)
{
    size_t count = 0;

    if (bytes == 0 || texts[bytes - 1] != '\0') {
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        count += texts[i] == '\0';
    }
    return count;
}

static bool is_startable(const struct warden_instance *instance)
{
    return id_has(instance->vpc, sizeof(instance->vpc), "vpc-") &&
           id_has(instance->image, sizeof(instance->image), "ami-") && instance->subnet.bits >= 8 &&
           instance->subnet.bits <= 30 && network_has(instance->subnet, instance->address) &&
           instance->cpu_millicores >= 0 && instance->cpu_millicores <= 1000000 &&
           instance->memory_bytes >= 32 << 20 && instance->memory_bytes <= 1LL << 50 &&
           instance->disk_bytes >= 64 << 20 && instance->disk_bytes <= 64LL << 40 &&
           instance->state <= WARDEN_RUNNING;
}

/* Sizes, counts and ids of a request: nothing is believed. */
static bool sound(const struct warden_header *header, const char *payload)
{
    const struct warden_instance *instance = (const void *)payload;
    const struct warden_vpc *vpc = (const void *)payload;
    const struct warden_image *image = (const void *)payload;
    const struct warden_exec *exec = (const void *)payload;
    const struct warden_haproxy *haproxy = (const void *)payload;
    size_t bytes = header->payload_bytes;

    switch (header->op) {
    case WARDEN_INSTANCE:
        /* To end one its id is enough: it may be known by nothing else. */
        return bytes == sizeof(*instance) && id_has(instance->id, sizeof(instance->id), "i-") &&
               (instance->state == WARDEN_GONE || is_startable(instance));
    case WARDEN_REBOOT:
    case WARDEN_CONSOLE:
        return text_of_id(header, payload, "i-") != NULL;
    case WARDEN_VPC_GONE:
    case WARDEN_SOCKETS:
        return text_of_id(header, payload, "vpc-") != NULL;
    case WARDEN_IMAGE_GONE:
        return text_of_id(header, payload, "ami-") != NULL;
    case WARDEN_VPC:
        if (bytes < sizeof(*vpc) || !id_has(vpc->id, sizeof(vpc->id), "vpc-") ||
            vpc->subnet_count > WARDEN_SUBNETS_MAX || vpc->end_count > ENDS_PER_VPC_MAX ||
            vpc->rule_count > RULES_PER_VPC_MAX || vpc->group_count > GROUPS_PER_VPC_MAX ||
            vpc->cidr.bits < 8 || vpc->cidr.bits > 30 || vpc->internet > 1 || vpc->allow_lan > 1 ||
            vpc->want_listeners > 1 ||
            bytes != sizeof(*vpc) + vpc->end_count * sizeof(struct network_end) +
                         vpc->rule_count * sizeof(struct network_rule)) {
            return false;
        }
        for (uint32_t i = 0; i < vpc->subnet_count; i++) {
            if (vpc->subnets[i].bits < 8 || vpc->subnets[i].bits > 30) {
                return false;
            }
        }
        for (uint32_t i = 0; i < vpc->end_count; i++) {
            const struct network_end *end =
                (const struct network_end *)(const void *)(payload + sizeof(*vpc)) + i;

            if ((end->instance[0] != '\0' && !id_has(end->instance, sizeof(end->instance), "i-")) ||
                end->group_count > GROUPS_PER_END_MAX || end->internet > 1) {
                return false;
            }
            for (uint16_t g = 0; g < end->group_count; g++) {
                if (end->groups[g] >= vpc->group_count) {
                    return false;
                }
            }
        }
        for (uint32_t i = 0; i < vpc->rule_count; i++) {
            const struct network_rule *rule =
                (const struct network_rule *)(const void *)(payload + sizeof(*vpc) +
                                                            vpc->end_count *
                                                                sizeof(struct network_end)) +
                i;

            if (rule->group >= vpc->group_count || rule->protocol > RULE_ICMP ||
                rule->from_port > rule->to_port || rule->peer.bits < 0 || rule->peer.bits > 32 ||
                rule->egress > 1 || rule->by_group > 1 ||
                (rule->by_group && rule->peer_group >= vpc->group_count)) {
                return false;
            }
        }
        return true;
    case WARDEN_IMAGE:
        return bytes == sizeof(*image) && id_has(image->instance, sizeof(image->instance), "i-") &&
               id_has(image->image, sizeof(image->image), "ami-");
    case WARDEN_EXEC:
        return bytes >= sizeof(*exec) && id_has(exec->instance, sizeof(exec->instance), "i-") &&
               exec->timeout_ms > 0 && exec->timeout_ms <= 48LL * 3600 * 1000 &&
               exec->output_bytes_max <= WARDEN_OUTPUT_BYTES_MAX &&
               exec->argument_bytes <= WARDEN_EXEC_BYTES_MAX && exec->argument_bytes > 0 &&
               exec->argument_count > 0 && exec->input_bytes <= WARDEN_EXEC_BYTES_MAX &&
               bytes == sizeof(*exec) + exec->argument_bytes + exec->input_bytes &&
               count_texts(payload + sizeof(*exec), exec->argument_bytes) == exec->argument_count;
    case WARDEN_HAPROXY:
        if (bytes < sizeof(*haproxy) ||
            !(id_has(haproxy->id, sizeof(haproxy->id), "lb-") ||
              id_has(haproxy->id, sizeof(haproxy->id), "pub-")) ||
            !id_has(haproxy->vpc, sizeof(haproxy->vpc), "vpc-") ||
            haproxy->listener_count > WARDEN_LISTENERS_MAX ||
            haproxy->source_count > WARDEN_SUBNETS_MAX ||
            haproxy->config_bytes > WARDEN_CONFIG_BYTES_MAX || haproxy->reload > 1 ||
            bytes != sizeof(*haproxy) + haproxy->config_bytes) {
            return false;
        }
        for (uint32_t i = 0; i < haproxy->listener_count; i++) {
            if (haproxy->listeners[i].fd < WARDEN_FIRST_FD ||
                haproxy->listeners[i].fd >= WARDEN_FIRST_FD + 800 ||
                haproxy->listeners[i].port == 0 ||
                (haproxy->listeners[i].address & 0xfffe0000u) != 0x7f400000u) {
                return false; /* 127.64.0.0/15 only. */
            }
            for (uint32_t j = 0; j < i; j++) {
                if (haproxy->listeners[j].fd == haproxy->listeners[i].fd) {
                    return false;
                }
            }
        }
        return true;
    case WARDEN_HAPROXY_GONE:
        return text_of_id(header, payload, "lb-") != NULL ||
               text_of_id(header, payload, "pub-") != NULL;
    case WARDEN_INVENTORY:
        return bytes == 0;
    default:
        return false;
    }
}

bool warden_check(const void *message, size_t bytes)
{
    const struct warden_header *header = message;

    return bytes >= sizeof(*header) && bytes <= WARDEN_MESSAGE_BYTES_MAX &&
           header->magic == WARDEN_MAGIC && header->payload_bytes == bytes - sizeof(*header) &&
           sound(header, (const char *)message + sizeof(*header));
}
