/* VPCs as network namespaces: no bridge, every instance alone on its veth, all packets routed and
 * so seen by the ip hooks. Runs in forked children. */
#include "warden/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#define IMDS_ADDRESS "169.254.169.254"
#define API_ADDRESS "169.254.169.252"
#define DNS_ADDRESS "169.254.169.253"
#define IMDS_PORT 80
#define API_PORT 4566
#define DNS_PORT 53
#define VPCS_MAX 64 /* As the compute driver has it. */

static void namespace_path(const char *name, char path[128])
{
    snprintf(path, 128, "/run/netns/%s", name);
}

/* Not just its name, which is what is left when its maker was killed. */
static bool namespace_exists(const char *name)
{
    struct statfs status;
    char path[128];

    namespace_path(name, path);
    return statfs(path, &status) == 0 && status.f_type == NSFS_MAGIC;
}

static int ip(const char *namespace, const char *text, struct error *err)
{
    const char *const argv[] = {"ip", "-n", namespace, "-batch", "-", NULL};

    return run_program(argv, slice_z(text), NULL, err);
}

/* In a child of its own, for the namespace is the process's. */
static int set_sysctls(const struct site *site, const char *vpc)
{
    static const struct {
        const char *file, *value;
    } settings[] = {
        {"/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"},
        {"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"},
        {"/proc/sys/net/ipv4/ip_forward", "1"},
        {"/proc/sys/net/ipv4/conf/all/proxy_arp", "1"},
        {"/proc/sys/net/ipv4/conf/default/proxy_arp", "1"},
        {"/proc/sys/net/ipv4/conf/all/send_redirects", "0"},
        {"/proc/sys/net/ipv4/conf/default/send_redirects", "0"},
        {"/proc/sys/net/ipv4/conf/all/rp_filter", "1"},
        {"/proc/sys/net/ipv4/conf/default/rp_filter", "1"},
        {"/proc/sys/net/ipv4/ip_nonlocal_bind", "1"},
        {"/proc/sys/net/ipv4/conf/all/accept_redirects", "0"},
    };
    pid_t child = fork();

    if (child == 0) {
        if (enter_namespace(site, vpc, NULL) != 0) {
            _exit(1);
        }
        for (size_t i = 0; i < COUNT_OF(settings); i++) {
            int fd = open(settings[i].file, O_WRONLY | O_CLOEXEC);

            if (fd >= 0 && write(fd, settings[i].value, strlen(settings[i].value)) < 0) {
                close(fd); /* IPv6 may be off altogether. */
                continue;
            }
            if (fd >= 0) {
                close(fd);
            }
        }
        _exit(0);
    }
    return process_wait(child);
}

static void count_name(void *data, const char *name)
{
    (void)name;
    ++*(size_t *)data;
}

static int add_namespace(const struct site *site, const char *name, bool *made, struct error *err)
{
    const char *const argv[] = {"ip", "netns", "add", name, NULL};
    char prefix[64], path[128];
    size_t count = 0;

    *made = !namespace_exists(name);
    if (!*made) {
        return 0;
    }
    site_namespace(site, "vpc-", prefix);
    each_name("/run/netns", prefix, count_name, &count);
    if (count >= VPCS_MAX) {
        return error_set(err, ERR_SYSTEM, "at most %d VPCs", VPCS_MAX);
    }
    namespace_path(name, path);
    unlink(path);
    return run_program(argv, SLICE_EMPTY, NULL, err);
}

/* Gateways, the link-local services and load balancers' own addresses live on lo. */
static int add_addresses(const struct warden_vpc *vpc, const char *name,
                         const struct network_end *ends, struct error *err)
{
    char address[ADDRESS_TEXT_BYTES];
    struct buf text = {0};
    int rc;

    buf_add_z(&text, "link set lo up\naddress replace " IMDS_ADDRESS "/32 dev lo\n"
                     "address replace " API_ADDRESS "/32 dev lo\n"
                     "address replace " DNS_ADDRESS "/32 dev lo\n");
    address_text(vpc_resolver(vpc->cidr), address);
    buf_printf(&text, "address replace %s/32 dev lo\n", address);
    for (uint32_t i = 0; i < vpc->subnet_count; i++) {
        address_text(subnet_gateway(vpc->subnets[i]), address);
        buf_printf(&text, "address replace %s/32 dev lo\n", address);
    }
    for (uint32_t i = 0; i < vpc->end_count; i++) {
        if (ends[i].instance[0] == '\0') {
            address_text(ends[i].address, address);
            buf_printf(&text, "address replace %s/32 dev lo\n", address);
        }
    }
    rc = ip(name, buf_z(&text), err);
    buf_close(&text);
    return rc;
}

static int load_rules(const struct site *site, const struct warden_vpc *vpc,
                      const struct network_end *ends, const struct network_rule *rules,
                      struct error *err)
{
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    struct buf text = {0};
    pid_t child = fork();

    if (child == 0) {
        if (enter_namespace(site, vpc->id, NULL) != 0) {
            _exit(1);
        }
        nft_vpc(&text, vpc, ends, rules, true);
        if (run_program(argv, buf_slice(&text), NULL, err) == 0) {
            _exit(0);
        }
        buf_clear(&text);
        nft_vpc(&text, vpc, ends, rules, false);
        if (run_program(argv, buf_slice(&text), NULL, err) != 0) {
            fprintf(stderr, "%s\n", err == NULL ? "nft" : err->message);
            _exit(1);
        }
        _exit(0);
    }
    return process_wait(child) == 0
               ? 0
               : error_set(err, ERR_SYSTEM, "nft refuses the rules of %s", vpc->id);
}

static int listen_at(const char *address, int port, int type, struct error *err)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int one = 1;

    inet_pton(AF_INET, address, &name.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&name, sizeof(name)) != 0 ||
        (type == SOCK_STREAM && listen(fd, 512) != 0)) {
        error_errno(err, "listen on %s:%d inside the VPC", address, port);
        close(fd);
        return -1;
    }
    return fd;
}

/* This child's last act: it stays in the namespace. */
static int open_listeners(const struct site *site, const struct warden_vpc *vpc,
                          int listeners[WARDEN_VPC_LISTENERS], struct error *err)
{
    char resolver[ADDRESS_TEXT_BYTES];
    int rc = enter_namespace(site, vpc->id, err);

    if (rc != 0) {
        return rc;
    }
    address_text(vpc_resolver(vpc->cidr), resolver);
    listeners[0] = listen_at(IMDS_ADDRESS, IMDS_PORT, SOCK_STREAM, err);
    listeners[1] = listen_at(API_ADDRESS, API_PORT, SOCK_STREAM, err);
    listeners[2] = listen_at(DNS_ADDRESS, DNS_PORT, SOCK_DGRAM, err);
    listeners[3] = listen_at(resolver, DNS_PORT, SOCK_DGRAM, err);
    listeners[4] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (listeners[4] < 0) {
        error_errno(err, "a netlink socket inside the VPC");
    }
    for (size_t i = 0; i < WARDEN_VPC_LISTENERS; i++) {
        rc = listeners[i] < 0 ? ERR_SYSTEM : rc;
    }
    return rc;
}

int vpc_ensure(const struct site *site, const struct warden_vpc *vpc,
               const struct network_end *ends, const struct network_rule *rules,
               int listeners[WARDEN_VPC_LISTENERS], struct error *err)
{
    char name[64];
    bool made;
    int rc;

    site_namespace(site, vpc->id, name);
    rc = add_namespace(site, name, &made, err);
    /* All of it each time: what made the namespace may have been killed before it went on. */
    if (rc == 0 && set_sysctls(site, vpc->id) != 0) {
        rc = error_set(err, ERR_SYSTEM, "the network namespace of %s cannot be set up", vpc->id);
    }
    if (rc == 0) {
        rc = add_addresses(vpc, name, ends, err);
    }
    if (rc == 0) {
        rc = load_rules(site, vpc, ends, rules, err);
    }
    if (rc == 0 && vpc->internet != 0) {
        rc = uplink_ensure(site, vpc->id, err);
    } else if (rc == 0) {
        uplink_drop(site, vpc->id);
    }
    if (rc == 0 && vpc->want_listeners && (made || listeners[0] < 0)) {
        rc = open_listeners(site, vpc, listeners, err);
    }
    return rc;
}

int vpc_gone(const struct site *site, const char *id, struct error *err)
{
    char name[64], path[128];
    const char *const argv[] = {"ip", "netns", "delete", name, NULL};

    site_namespace(site, id, name);
    namespace_path(name, path);
    uplink_drop(site, id);
    return access(path, F_OK) == 0 ? run_program(argv, SLICE_EMPTY, NULL, err) : 0;
}

int vpc_sockets(const struct site *site, const char *id, int *fds, size_t count, struct error *err)
{
    int rc = enter_namespace(site, id, err);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fds[i] < 0) {
            rc = error_errno(err, "socket");
        }
    }
    return rc;
}

int host_table_write(const struct site *site, const struct published *published, size_t count,
                     struct error *err)
{
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    struct buf text = {0};
    int rc;

    nft_host(&text, site, published, count);
    rc = run_program(argv, buf_slice(&text), NULL, err);
    buf_close(&text);
    return rc;
}
