#include "compute/links.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REPLY_BYTES_MAX (64 * 1024)

/* What a message about a link says; false when it is none of an instance's. */
static bool read_link(struct slice attributes, struct link_bytes *link)
{
    struct rtnl_link_stats64 stats;
    struct rtattr attribute;
    bool counted = false;

    *link = (struct link_bytes){0};
    while (attributes.bytes >= sizeof(attribute)) {
        struct slice body;
        size_t whole;

        memcpy(&attribute, attributes.data, sizeof(attribute));
        if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > attributes.bytes) {
            return false;
        }
        body = slice_sub(attributes, sizeof(attribute), attribute.rta_len - sizeof(attribute));
        if (attribute.rta_type == IFLA_IFNAME && body.bytes > 0 &&
            body.bytes <= sizeof(link->name)) {
            snprintf(link->name, sizeof(link->name), "%.*s", (int)body.bytes, body.data);
        } else if (attribute.rta_type == IFLA_STATS64 && body.bytes >= sizeof(stats.rx_bytes) * 4) {
            memset(&stats, 0, sizeof(stats));
            memcpy(&stats, body.data, body.bytes < sizeof(stats) ? body.bytes : sizeof(stats));
            link->sent = (int64_t)stats.rx_bytes; /* What comes in here, the instance sent. */
            link->received = (int64_t)stats.tx_bytes;
            counted = true;
        }
        whole = RTA_ALIGN(attribute.rta_len);
        attributes = slice_sub(attributes, whole, attributes.bytes);
    }
    return counted && link->name[0] == 'm';
}

bool links_parse(struct slice reply, uint32_t sequence, links_fn *fn, void *data)
{
    struct nlmsghdr header;

    while (reply.bytes >= sizeof(header)) {
        struct link_bytes link;

        memcpy(&header, reply.data, sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > reply.bytes ||
            header.nlmsg_seq != sequence || header.nlmsg_type != RTM_NEWLINK) {
            return false; /* NLMSG_DONE and NLMSG_ERROR among them. */
        }
        if (header.nlmsg_len > NLMSG_SPACE(sizeof(struct ifinfomsg)) &&
            read_link(slice_sub(reply, NLMSG_SPACE(sizeof(struct ifinfomsg)),
                                header.nlmsg_len - NLMSG_SPACE(sizeof(struct ifinfomsg))),
                      &link)) {
            fn(data, &link);
        }
        reply = slice_sub(reply, NLMSG_ALIGN(header.nlmsg_len), reply.bytes);
    }
    return true;
}

void links_read(int fd, links_fn *fn, void *data)
{
    static _Alignas(8) char reply[REPLY_BYTES_MAX];
    static uint32_t sequence;
    struct {
        struct nlmsghdr header;
        struct ifinfomsg link;
    } request = {
        .header = {.nlmsg_len = sizeof(request),
                   .nlmsg_type = RTM_GETLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                   .nlmsg_seq = ++sequence},
    };
    ssize_t got;

    /* What an earlier musterd asked for and did not hear. */
    while (recv(fd, reply, sizeof(reply), MSG_DONTWAIT) > 0) {
    }
    if (send(fd, &request, sizeof(request), MSG_DONTWAIT) < 0) {
        return;
    }
    do { /* The kernel has its answer ready, part for part. */
        got = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
    } while (got > 0 && links_parse(slice_of(reply, (size_t)got), sequence, fn, data));
}
