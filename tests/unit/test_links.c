/* The kernel's answers about links: whole ones are read, broken ones end the reading. */
#include "check.h"

#include "compute/links.h"

#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define SEQUENCE 7

static struct {
    _Alignas(8) char bytes[4096];
    size_t used, message;
} reply;

static struct link_bytes seen[8];
static size_t seen_count;

static void note(void *data, const struct link_bytes *link)
{
    (void)data;
    assert_true(seen_count < COUNT_OF(seen));
    seen[seen_count++] = *link;
}

static void put(const void *data, size_t bytes)
{
    memcpy(reply.bytes + reply.used, data, bytes);
    reply.used += NLMSG_ALIGN(bytes);
}

static struct nlmsghdr *header(void)
{
    return (struct nlmsghdr *)(void *)(reply.bytes + reply.message);
}

static void begin(uint16_t type)
{
    const struct nlmsghdr head = {.nlmsg_type = type, .nlmsg_seq = SEQUENCE};
    const struct ifinfomsg link = {0};

    reply.message = reply.used;
    put(&head, sizeof(head));
    put(&link, sizeof(link));
}

static void attribute(uint16_t type, const void *data, size_t bytes)
{
    const struct rtattr head = {.rta_len = (uint16_t)(sizeof(head) + bytes), .rta_type = type};

    put(&head, sizeof(head));
    put(data, bytes);
    header()->nlmsg_len = (uint32_t)(reply.used - reply.message);
}

static void add_link(const char *name, uint64_t in, uint64_t out)
{
    const struct rtnl_link_stats64 stats = {.rx_bytes = in, .tx_bytes = out};

    begin(RTM_NEWLINK);
    attribute(IFLA_IFNAME, name, strlen(name) + 1);
    attribute(IFLA_STATS64, &stats, sizeof(stats));
}

static bool parse(size_t bytes)
{
    seen_count = 0;
    return links_parse(slice_of(reply.bytes, bytes), SEQUENCE, note, NULL);
}

static void instances_links_are_read(void **state)
{
    (void)state;
    memset(&reply, 0, sizeof(reply));
    add_link("lo", 1, 2);
    add_link("m0123456789abc", 300, 40);
    add_link("up0", 5, 6);
    add_link("mfedcba987654", 7, 1LL << 40);
    check_int("more may follow", true, parse(reply.used));
    check_int("links of instances", 2, seen_count);
    check_text("name", "m0123456789abc", slice_z(seen[0].name));
    check_int("what came in the instance sent", 300, seen[0].sent);
    check_int("what went out it received", 40, seen[0].received);
    check_int("large", 1LL << 40, seen[1].received);
    begin(NLMSG_DONE);
    header()->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    check_int("the end", false, parse(reply.used));
    check_int("what was before it counts", 2, seen_count);
}

static void what_is_broken_ends_it(void **state)
{
    size_t whole;

    (void)state;
    memset(&reply, 0, sizeof(reply));
    add_link("m0123456789abc", 300, 40);
    whole = reply.used;
    for (size_t i = sizeof(struct nlmsghdr); i < whole; i++) {
        check_int("cut", false, parse(i));
        check_int("cut", 0, seen_count);
    }
    header()->nlmsg_seq = SEQUENCE - 1;
    check_int("an earlier request's", false, parse(whole));
    header()->nlmsg_seq = SEQUENCE;
    for (uint16_t bytes = 0; bytes < 300; bytes++) {
        struct rtattr *first =
            (struct rtattr *)(void *)(reply.bytes + NLMSG_SPACE(sizeof(struct ifinfomsg)));
        uint16_t before = first->rta_len;

        first->rta_len = bytes; /* Whatever it says, nothing is read beyond the end. */
        parse(whole);
        first->rta_len = before;
    }
    check_int("as it was", true, parse(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_links_are_read),
        cmocka_unit_test(what_is_broken_ends_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
