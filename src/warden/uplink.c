/* A VPC's way to the internet: a veth from its namespace to the host's, masqueraded at both ends,
 * for VPCs may overlap each other and the host's networks. The host forwards for these two
 * interfaces only; what arrives is let in nowhere but as an answer (nft.c). */
#include "warden/private.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UPLINKS_MAX 512 /* Of a site: /30 networks in its /21. */
#define INSIDE "up0"

struct uplink {
    uint32_t number;
    char outside[IFNAMSIZ];
};

/* The site's name in it: a VPC's id may be another site's. */
static struct uplink uplink_of(const struct site *site, int64_t number)
{
    struct uplink uplink = {.number = (uint32_t)number};

    snprintf(uplink.outside, sizeof(uplink.outside), "mu-%.6s-%u", site->name,
             uplink.number % 1000);
    return uplink;
}

static bool there(const struct uplink *uplink)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/class/net/%s", uplink->outside);
    return access(path, F_OK) == 0;
}

/* Numbers are files: STATE/uplinks/VPC holds its own. */

static bool read_number(const struct site *site, const char *vpc, int64_t *number)
{
    char path[PATH_BYTES], text[32];
    bool good = false;
    FILE *file;

    site_path(site, path, "uplinks/%s", vpc);
    file = fopen(path, "re");
    if (file != NULL) {
        good = fgets(text, sizeof(text), file) != NULL &&
               text_to_i64(slice_trim(slice_z(text)), 0, UPLINKS_MAX - 1, number, NULL) == 0;
        fclose(file);
    }
    return good;
}

struct used {
    const struct site *site;
    bool numbers[UPLINKS_MAX];
};

static void note_used(void *data, const char *name)
{
    struct used *used = data;
    int64_t number;

    if (id_has(name, WARDEN_ID_BYTES, "vpc-") && read_number(used->site, name, &number)) {
        used->numbers[number] = true;
    }
}

static int take_number(const struct site *site, const char *vpc, int64_t *number, struct error *err)
{
    struct used used = {.site = site};
    char path[PATH_BYTES], text[32];
    int lock, rc;

    if (read_number(site, vpc, number)) {
        return 0;
    }
    rc = site_lock(site, "uplinks", &lock, err);
    if (rc != 0) {
        return rc;
    }
    site_path(site, path, "uplinks");
    each_name(path, "vpc-", note_used, &used);
    for (*number = 0; *number < UPLINKS_MAX && used.numbers[*number]; ++*number) {
    }
    if (*number == UPLINKS_MAX) {
        rc = error_set(err, ERR_SYSTEM, "no uplink network is left");
    } else {
        snprintf(text, sizeof(text), "%lld\n", (long long)*number);
        site_path(site, path, "uplinks/%s", vpc);
        rc = keep_file(path, slice_z(text), err);
    }
    close(lock);
    return rc;
}

/* The interface of the host's default route: answers come in there. */
static bool find_egress(char name[IFNAMSIZ])
{
    char line[256], device[IFNAMSIZ + 1];
    unsigned destination, mask;
    int metric, best = -1;
    FILE *file = fopen("/proc/net/route", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "%16s %x %*x %*x %*d %*d %d %x", device, &destination, &metric, &mask) ==
                4 &&
            destination == 0 && mask == 0 && (best < 0 || metric < best)) {
            snprintf(name, IFNAMSIZ, "%.15s", device);
            best = metric;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return best >= 0;
}

/* Docker's rules drop what they do not know, and cannot be overruled by ours. */
static void warn_of_others(void)
{
    static const char *const argv[] = {"nft", "list", "chain", "ip", "filter", "FORWARD", NULL};
    struct buf text = {0};

    if (run_program(argv, SLICE_EMPTY, &text, NULL) == 0 &&
        strstr(buf_z(&text), "policy drop") != NULL) {
        log_warn(
            "uplink.blocked reason=\"the host's FORWARD chain drops (Docker's does); allow it: "
            "iptables -I FORWARD -i mu-+ -j ACCEPT; iptables -I FORWARD -o mu-+ -j ACCEPT\"");
    }
    buf_close(&text);
}

static int load_table(const struct site *site, struct error *err)
{
    static const char *const argv[] = {"nft", "-f", "-", NULL};
    struct buf text = {0};
    int rc;

    nft_uplinks(&text, site);
    rc = run_program(argv, buf_slice(&text), NULL, err);
    buf_close(&text);
    return rc;
}

static int add_link(const struct site *site, const char *vpc, const struct uplink *uplink,
                    struct error *err)
{
    static const char *const in_host[] = {"ip", "-batch", "-", NULL};
    char namespace[64], ours[ADDRESS_TEXT_BYTES], its[ADDRESS_TEXT_BYTES];
    const char *const in_vpc[] = {"ip", "-n", namespace, "-batch", "-", NULL};
    uint32_t base = uplink_network(site).address + uplink->number * 4;
    struct buf text = {0};
    int rc;

    site_namespace(site, vpc, namespace);
    address_text(base + 1, ours);
    address_text(base + 2, its);
    buf_printf(&text, "link add %s type veth peer name " INSIDE " netns %s\n", uplink->outside,
               namespace);
    buf_printf(&text, "address add %s/30 dev %s\nlink set %s up\n", ours, uplink->outside,
               uplink->outside);
    rc = run_program(in_host, buf_slice(&text), NULL, err);
    buf_clear(&text);
    buf_printf(&text,
               "address add %s/30 dev " INSIDE "\nlink set " INSIDE " up\n"
               "route replace default via %s dev " INSIDE "\n",
               its, ours);
    if (rc == 0) {
        rc = run_program(in_vpc, buf_slice(&text), NULL, err);
    }
    buf_close(&text);
    return rc;
}

/* One that lost its number, or has a name of an earlier version's. */
static void drop_inside(const struct site *site, const char *vpc)
{
    char namespace[64];
    const char *const argv[] = {"ip", "-n", namespace, "link", "delete", INSIDE, NULL};

    site_namespace(site, vpc, namespace);
    run_program(argv, SLICE_EMPTY, NULL, NULL);
}

int uplink_ensure(const struct site *site, const char *vpc, struct error *err)
{
    char egress[IFNAMSIZ], name[64];
    struct uplink uplink;
    int64_t number;
    int file, rc = take_number(site, vpc, &number, err);

    if (rc != 0) {
        return rc;
    }
    uplink = uplink_of(site, number);
    if (there(&uplink)) {
        return 0;
    }
    drop_inside(site, vpc);
    rc = load_table(site, err); /* First: the link opens nothing of the host. */
    if (rc == 0) {
        rc = add_link(site, vpc, &uplink, err);
    }
    if (rc != 0) {
        uplink_drop(site, vpc);
        return rc;
    }
    snprintf(name, sizeof(name), "/proc/sys/net/ipv4/conf/%s/forwarding", uplink.outside);
    file = open(name, O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, "1", 1) != 1) {
        log_warn("uplink.forwarding reason=\"%s\"", strerror(errno));
    }
    close(file);
    if (find_egress(egress)) {
        snprintf(name, sizeof(name), "net/ipv4/conf/%s/forwarding", egress);
        sysctl_set(name, 1);
    }
    warn_of_others();
    return 0;
}

void uplink_drop(const struct site *site, const char *vpc)
{
    struct uplink uplink;
    const char *const argv[] = {"ip", "link", "delete", uplink.outside, NULL};
    char path[PATH_BYTES];
    int64_t number;

    if (!read_number(site, vpc, &number)) {
        return;
    }
    uplink = uplink_of(site, number);
    if (there(&uplink)) {
        run_program(argv, SLICE_EMPTY, NULL, NULL);
    }
    site_path(site, path, "uplinks/%s", vpc);
    unlink(path);
}
