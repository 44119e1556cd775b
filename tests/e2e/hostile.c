/* What a hostile root does inside an instance; test_lxc_hostile.py compiles it and carries it in.
 * Every subcommand tries one thing and prints what came of it; the judgement is the test's. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/keyctl.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void raise_files(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Escapes: each prints "NAME: errno", or "NAME: DONE" when it was not refused. */

static void tell(const char *name, long result)
{
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "DONE");
}

static long put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    long result = fd < 0 ? -1 : write(fd, text, strlen(text));
    int problem = errno;

    if (fd >= 0) {
        close(fd);
    }
    errno = problem;
    return result;
}

static void try_all(const char *who)
{
    static const char *const writes[][2] = {
        {"/proc/sys/kernel/core_pattern", "|/tmp/escape"},
        {"/proc/sys/kernel/modprobe", "/tmp/escape"},
        {"/proc/sys/fs/file-max", "100"},
        {"/proc/sys/vm/drop_caches", "3"},
        {"/proc/sysrq-trigger", "b"},
        {"/sys/kernel/uevent_helper", "/tmp/escape"},
        {"/sys/kernel/mm/transparent_hugepage/enabled", "never"},
        {"/sys/module/kernel/parameters/panic", "1"},
    };
    static const char *const opens[] = {
        "/proc/kcore", "/dev/mem", "/dev/kmem",  "/dev/port",         "/dev/kmsg", "/proc/kmsg",
        "/dev/vda",    "/dev/sda", "/dev/loop0", "/dev/loop-control", "/dev/fuse"};
    union bpf_attr map = {
        .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
    struct timeval when = {0};
    struct timespec time = {0};
    char name[128], handle[136] = {8, 0};

    for (size_t i = 0; i < sizeof(writes) / sizeof(writes[0]); i++) {
        snprintf(name, sizeof(name), "%s write %s", who, writes[i][0]);
        tell(name, put(writes[i][0], writes[i][1]));
    }
    for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
        snprintf(name, sizeof(name), "%s open %s", who, opens[i]);
        tell(name, open(opens[i], O_RDWR | O_NONBLOCK | O_CLOEXEC));
    }
#define TRY(what, call)                                                                            \
    do {                                                                                           \
        snprintf(name, sizeof(name), "%s %s", who, what);                                          \
        tell(name, (call));                                                                        \
    } while (0)
    unlink("/tmp/disk");
    TRY("mknod a disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
    TRY("mknod memory", mknod("/tmp/memory", S_IFCHR | 0600, makedev(1, 1)));
    TRY("mount a disk", mount("/dev/vda", "/mnt", "ext4", 0, ""));
    TRY("mount debugfs", mount("none", "/mnt", "debugfs", 0, ""));
    TRY("mount securityfs", mount("none", "/mnt", "securityfs", 0, ""));
    TRY("module load", syscall(SYS_init_module, "x", 1, ""));
    TRY("module unload", syscall(SYS_delete_module, "veth", 0));
    TRY("kexec", syscall(SYS_kexec_load, 0, 0, NULL, 0));
    TRY("bpf map", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof(map)));
    TRY("open_by_handle_at", syscall(SYS_open_by_handle_at, open("/", O_RDONLY), handle, O_RDONLY));
    TRY("userfaultfd", syscall(SYS_userfaultfd, 0));
    TRY("ports", iopl(3));
    TRY("the time of day", settimeofday(&when, NULL));
    TRY("the clock", clock_settime(CLOCK_REALTIME, &time));
    TRY("swap", swapon("/tmp", 0));
    TRY("the kernel's log", syscall(SYS_syslog, 3, handle, sizeof(handle)));
    TRY("a higher priority", setpriority(PRIO_PROCESS, 0, -10));
    TRY("quotas", syscall(SYS_quotactl, 0x800002, "/dev/vda", 0, NULL));
    TRY("a process of the host's", ptrace(PTRACE_SEIZE, 2, 0, 0)); /* kthreadd there. */
    TRY("more files than allowed", setrlimit(RLIMIT_NOFILE, &(struct rlimit){1L << 29, 1L << 29}));
#undef TRY
}

static int write_map(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CLOEXEC);
    int result = fd < 0 ? -1 : (int)write(fd, text, strlen(text));

    if (fd >= 0) {
        close(fd);
    }
    return result;
}

/* A root of one's own making has all capabilities, for what they are worth. */
static void nested(void)
{
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWPID) != 0) {
        printf("no user namespace: %m\n");
        return;
    }
    write_map("/proc/self/setgroups", "deny");
    write_map("/proc/self/uid_map", "0 0 1");
    write_map("/proc/self/gid_map", "0 0 1");
    try_all("nested");
    mount("none", "/mnt", "cgroup", 0, "memory"); /* Of its own part, if at all. */
    tell("nested release_agent", put("/mnt/release_agent", "/tmp/escape"));
}

/* Exhaustion: takes what it can, says how much, holds it until its time is over or /tmp/release is
 * there. */

static void hold(int seconds)
{
    fflush(stdout);
    for (double end = now_s() + seconds; now_s() < end && access("/tmp/release", F_OK) != 0;) {
        usleep(50000);
    }
}

/* "I have it": the test waits for that. */
static void announce(void)
{
    char path[64];

    snprintf(path, sizeof(path), "/tmp/holding.%d", getpid());
    close(open(path, O_WRONLY | O_CREAT, 0644));
}

static void forks(int seconds)
{
    int count = 0, problem = 0;

    for (pid_t child; count < 100000; count++) {
        child = fork();
        if (child == 0) {
            for (double end = now_s() + seconds; now_s() < end;) {
                usleep(200000);
            }
            _exit(0);
        }
        if (child < 0) {
            problem = errno;
            break;
        }
    }
    printf("%d %s\n", count, strerrorname_np(problem));
    hold(seconds);
    kill(0, SIGKILL);
}

static void memory(void)
{
    for (size_t total = 0;; total += 16 << 20) {
        if (mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
                 -1, 0) == MAP_FAILED) {
            return;
        }
    }
}

/* @count of a kind, by as many users as it takes. */
static void many(const char *kind, long count, int seconds)
{
    long got = 0;
    int ends[2], problem = 0;
    sigset_t all;

    raise_files();
    sigfillset(&all);
    for (uid_t user = 0; user < 64 && got < count; user++) {
        char result[32] = "";
        pid_t child;

        if (pipe(ends) != 0) {
            break;
        }
        child = fork();
        if (child == 0) {
            long mine = 0;

            if (user > 0 && setresuid(2000 + user, 2000 + user, 2000 + user) != 0) {
                _exit(1);
            }
            sigprocmask(SIG_BLOCK, &all, NULL);
            while (got + mine < count) {
                int rc = -1;

                if (strcmp(kind, "inotify") == 0) {
                    rc = inotify_init1(IN_CLOEXEC);
                } else if (strcmp(kind, "signals") == 0) {
                    rc = sigqueue(getpid(), SIGRTMIN + 1, (union sigval){0});
                } else if (strcmp(kind, "uts") == 0) {
                    rc = user > 0 ? -1 : unshare(CLONE_NEWUTS);
                    rc = rc < 0 ? rc : open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
                } else if (strcmp(kind, "keys") == 0) {
                    char name[32];

                    snprintf(name, sizeof(name), "%ld", mine);
                    rc = (int)syscall(SYS_add_key, "user", name, "x", 1, KEY_SPEC_PROCESS_KEYRING);
                }
                if (rc < 0) {
                    break;
                }
                mine++;
            }
            snprintf(result, sizeof(result), "%ld %d", mine, errno);
            if (write(ends[1], result, sizeof(result)) < 0) {
                _exit(1);
            }
            hold(seconds);
            _exit(0);
        }
        close(ends[1]);
        if (read(ends[0], result, sizeof(result)) > 0) {
            long mine = 0;

            sscanf(result, "%ld %d", &mine, &problem);
            got += mine;
        }
        close(ends[0]);
    }
    printf("%ld %s\n", got, got >= count ? "0" : strerrorname_np(problem));
    fflush(stdout);
    announce();
    while (seconds > 0 && wait(NULL) > 0) {
    }
}

/* A connection to each ADDRESS PORT, all at once, its packets marked as packet rules mark them;
 * those that came about are printed. */
static void connects(int count, char **words, int wait_ms, int mark)
{
    int fds[512];
    double end = now_s() + wait_ms / 1000.0;

    for (int i = 0; i < count / 2; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)atoi(words[2 * i + 1]))};

        inet_pton(AF_INET, words[2 * i], &to.sin_addr);
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (mark != 0 && setsockopt(fds[i], SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) != 0) {
            printf("no mark\n");
        }
        connect(fds[i], (struct sockaddr *)&to, sizeof(to));
    }
    while (now_s() < end) {
        usleep(50000);
    }
    for (int i = 0; i < count / 2; i++) {
        struct pollfd one = {.fd = fds[i], .events = POLLOUT};
        int problem = 0;
        socklen_t bytes = sizeof(problem);

        if (poll(&one, 1, 0) == 1 &&
            getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &problem, &bytes) == 0 && problem == 0) {
            printf("%s:%s\n", words[2 * i], words[2 * i + 1]);
        }
    }
}

/* @count connections to one place, held; how many the other side keeps. */
static void crowd(const char *address, int port, int count, int seconds)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int *fds = calloc((size_t)count, sizeof(int)), kept = 0;

    raise_files();
    inet_pton(AF_INET, address, &to.sin_addr);
    for (int i = 0; i < count; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        connect(fds[i], (struct sockaddr *)&to, sizeof(to));
    }
    usleep(700000);
    for (int i = 0; i < count; i++) {
        struct pollfd one = {.fd = fds[i], .events = POLLIN | POLLOUT};

        poll(&one, 1, 0);
        kept += one.revents == POLLOUT;
    }
    printf("%d\n", kept);
    announce();
    hold(seconds);
}

/* A datagram from each of many ports: so many flows. */
static void flows(const char *address, int port, int count)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int sent = 0;

    inet_pton(AF_INET, address, &to.sin_addr);
    for (int i = 0; i < count; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET, .sin_port = htons((uint16_t)(10000 + i))};
        int fd = socket(AF_INET, SOCK_DGRAM, 0);

        if (bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0) {
            sent += sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1;
        }
        close(fd);
    }
    printf("%d\n", sent);
}

/* A datagram to each of many addresses: so many neighbours. */
static void neighbours(const char *first, int count)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), sent = 0, problem = 0;
    uint32_t base;

    inet_pton(AF_INET, first, &to.sin_addr);
    base = ntohl(to.sin_addr.s_addr);
    for (int i = 0; i < count; i++) {
        to.sin_addr.s_addr = htonl(base + (uint32_t)i);
        if (sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1) {
            sent++;
        } else {
            problem = errno;
        }
    }
    printf("%d %s\n", sent, strerrorname_np(problem));
}

/* Frames. */

static int packet_socket(struct sockaddr_ll *link, unsigned char mac[6])
{
    int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    struct ifreq request = {.ifr_name = "eth0"};

    *link = (struct sockaddr_ll){.sll_family = AF_PACKET,
                                 .sll_protocol = htons(ETH_P_ALL),
                                 .sll_ifindex = (int)if_nametoindex("eth0")};
    if (fd < 0 || bind(fd, (struct sockaddr *)link, sizeof(*link)) != 0 ||
        ioctl(fd, SIOCGIFHWADDR, &request) != 0) {
        perror("packet socket");
        exit(1);
    }
    memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    return fd;
}

static uint16_t checksum(uint32_t sum, const void *data, size_t bytes)
{
    const unsigned char *at = data;

    for (size_t i = 0; i + 1 < bytes; i += 2) {
        sum += (uint32_t)(at[i] << 8 | at[i + 1]);
    }
    if (bytes % 2 != 0) {
        sum += (uint32_t)at[bytes - 1] << 8;
    }
    while (sum >> 16 != 0) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return htons((uint16_t)~sum);
}

static void parse_mac(const char *text, unsigned char mac[6])
{
    sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
           &mac[5]);
}

/* A TCP SYN with any source; does a packet from there come back? */
static void syn(const char *gateway_mac, const char *source, const char *target, int port)
{
    struct {
        struct ether_header ether;
        struct iphdr ip;
        struct tcphdr tcp;
    } __attribute__((packed)) frame = {0};
    unsigned char mac[6], answer[2048];
    struct sockaddr_ll link;
    int fd = packet_socket(&link, mac);
    uint16_t from = (uint16_t)(20000 + getpid() % 30000);
    uint32_t sum = 0, parts[2];
    const char *result = "silence";

    parse_mac(gateway_mac, frame.ether.ether_dhost);
    memcpy(frame.ether.ether_shost, mac, 6);
    frame.ether.ether_type = htons(ETHERTYPE_IP);
    frame.ip = (struct iphdr){.version = 4,
                              .ihl = 5,
                              .ttl = 64,
                              .protocol = IPPROTO_TCP,
                              .tot_len = htons(sizeof(frame.ip) + sizeof(frame.tcp)),
                              .id = htons(7)};
    inet_pton(AF_INET, source, &frame.ip.saddr);
    inet_pton(AF_INET, target, &frame.ip.daddr);
    frame.ip.check = checksum(0, &frame.ip, sizeof(frame.ip));
    frame.tcp = (struct tcphdr){.source = htons(from),
                                .dest = htons((uint16_t)port),
                                .seq = htonl(4711),
                                .doff = 5,
                                .syn = 1,
                                .window = htons(1000)};
    parts[0] = ntohl(frame.ip.saddr);
    parts[1] = ntohl(frame.ip.daddr);
    for (int i = 0; i < 2; i++) {
        sum += (parts[i] >> 16) + (parts[i] & 0xffff);
    }
    frame.tcp.check =
        checksum(sum + IPPROTO_TCP + sizeof(frame.tcp), &frame.tcp, sizeof(frame.tcp));
    for (double end = now_s() + 0.8, again = 0; now_s() < end;) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (now_s() > again) {
            sendto(fd, &frame, sizeof(frame), 0, (struct sockaddr *)&link, sizeof(link));
            again = now_s() + 0.3;
        }
        if (poll(&in, 1, 50) == 1 && (got = recv(fd, answer, sizeof(answer), 0)) >= 54) {
            const struct iphdr *ip = (void *)(answer + sizeof(struct ether_header));
            const struct tcphdr *tcp = (void *)(answer + sizeof(struct ether_header) + ip->ihl * 4);

            if (ip->saddr == frame.ip.daddr && ip->protocol == IPPROTO_TCP &&
                tcp->dest == htons(from)) {
                result = "answered";
                break;
            }
        }
    }
    printf("%s\n", result);
}

/* For some seconds: frames of others that should not come here. */
static void sniff(const char *marker, int seconds)
{
    unsigned char mac[6], frame[2048];
    struct sockaddr_ll link;
    int fd = packet_socket(&link, mac), count = 0;

    printf("ready\n");
    fflush(stdout);
    for (double end = now_s() + seconds; now_s() < end;) {
        struct pollfd in = {.fd = fd, .events = POLLIN};
        ssize_t got = poll(&in, 1, 100) == 1 ? recv(fd, frame, sizeof(frame), 0) : 0;

        count += got > 0 && memmem(frame, (size_t)got, marker, strlen(marker)) != NULL;
    }
    printf("%d\n", count);
}

/* Broadcast, multicast and lies: everything carries the marker. */
static void shout(const char *marker, const char *victim, const char *victim_mac,
                  const char *gateway)
{
    static const char *const targets[] = {"ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb",
                                          "33:33:00:00:00:01"};
    static const uint16_t types[] = {ETHERTYPE_IP, ETHERTYPE_ARP, ETHERTYPE_IPV6, 0x88cc, 0x8100};
    unsigned char mac[6], frame[256] = {0};
    struct sockaddr_ll link;
    int fd = packet_socket(&link, mac), sent = 0;

    for (int round = 0; round < 5; round++) {
        for (size_t t = 0; t < 4; t++) {
            for (size_t k = 0; k < sizeof(types) / sizeof(types[0]); k++) {
                memset(frame, 0, sizeof(frame));
                parse_mac(t < 3 ? targets[t] : victim_mac, frame);
                memcpy(frame + 6, mac, 6);
                frame[12] = (unsigned char)(types[k] >> 8);
                frame[13] = (unsigned char)types[k];
                frame[14] = 0x45;
                memcpy(frame + 60, marker, strlen(marker));
                sent += sendto(fd, frame, 200, 0, (struct sockaddr *)&link, sizeof(link)) == 200;
            }
        }
        for (int who = 0; who < 2; who++) { /* "The victim, and the gateway, are at my MAC." */
            static const unsigned char head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 2};

            memset(frame, 0xff, 6);
            memcpy(frame + 6, mac, 6);
            memcpy(frame + 12, head, sizeof(head));
            memcpy(frame + 22, mac, 6);
            inet_pton(AF_INET, who == 0 ? victim : gateway, frame + 28);
            memset(frame + 32, 0xff, 6);
            memcpy(frame + 38, frame + 28, 4);
            memcpy(frame + 60, marker, strlen(marker));
            sent += sendto(fd, frame, 100, 0, (struct sockaddr *)&link, sizeof(link)) == 100;
        }
    }
    printf("%d\n", sent);
}

/* Directories in directories, with long names, each made from within the last. */
static void deep(const char *top, int depth, int name_bytes)
{
    char name[256];
    int made = 0;

    memset(name, 'd', sizeof(name));
    name[name_bytes] = '\0';
    if (chdir(top) != 0) {
        perror(top);
        return;
    }
    while (made < depth && mkdir(name, 0755) == 0 && chdir(name) == 0) {
        made++;
    }
    printf("%d\n", made);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (strcmp(what, "escapes") == 0) {
        try_all("root");
        umount2("/proc/sys", MNT_DETACH);
        umount2("/sys", MNT_DETACH);
        mount("none", "/mnt", "proc", 0, "");
        tell("root write in a new proc", put("/mnt/sys/kernel/core_pattern", "|/tmp/escape"));
        nested();
    } else if (strcmp(what, "forks") == 0) {
        setpgid(0, 0);
        forks(atoi(argv[2]));
    } else if (strcmp(what, "memory") == 0) {
        memory();
    } else if (strcmp(what, "many") == 0) {
        many(argv[2], atol(argv[3]), atoi(argv[4]));
    } else if (strcmp(what, "connects") == 0) {
        connects(argc - 3, argv + 3, atoi(argv[2]), 0);
    } else if (strcmp(what, "marked") == 0) {
        connects(argc - 3, argv + 3, atoi(argv[2]), 1);
    } else if (strcmp(what, "crowd") == 0) {
        crowd(argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
    } else if (strcmp(what, "flows") == 0) {
        flows(argv[2], atoi(argv[3]), atoi(argv[4]));
    } else if (strcmp(what, "neighbours") == 0) {
        neighbours(argv[2], atoi(argv[3]));
    } else if (strcmp(what, "syn") == 0) {
        syn(argv[2], argv[3], argv[4], atoi(argv[5]));
    } else if (strcmp(what, "sniff") == 0) {
        sniff(argv[2], atoi(argv[3]));
    } else if (strcmp(what, "shout") == 0) {
        shout(argv[2], argv[3], argv[4], argv[5]);
    } else if (strcmp(what, "deep") == 0) {
        deep(argv[2], atoi(argv[3]), atoi(argv[4]));
    } else {
        fprintf(stderr, "hostile: what?\n");
        return 2;
    }
    return 0;
}
