#include "services/imds/resolver.h"

#include "aws/id.h"
#include "base/alloc.h"
#include "base/log.h"
#include "network/address.h"
#include "services/ec2/ec2.h"
#include "services/imds/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RELAYS_MAX 256
#define RELAYS_PER_CLIENT_MAX 64 /* Who asks for more waits; the others do not. */
#define SERVERS_MAX 3            /* As resolv.conf(5) has it. */
#define TRY_MS 2000
#define TICK_MS 250
#define DNS_PORT 53

struct resolver_socket {
    struct resolver *resolver;
    char *vpc;
    uv_udp_t udp;
};

/* A query that the host's resolvers have. */
struct relay {
    struct resolver_socket *from; /* NULL: free. */
    struct sockaddr_in client;
    uint16_t id; /* Ours, random. */
    uint16_t client_id;
    size_t server;     /* Which was asked. */
    uint64_t asked_ms; /* uv_now() */
    size_t bytes;
    uint8_t query[DNS_MESSAGE_BYTES_MAX];
};

struct resolver {
    struct control *control;
    uv_udp_t upstream;
    uv_timer_t timer;
    int handles;
    struct sockaddr_in servers[SERVERS_MAX];
    size_t server_count;
    size_t relay_count;
    struct relay relays[RELAYS_MAX];
};

static char incoming[DNS_MESSAGE_BYTES_MAX];

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
    (void)handle;
    (void)suggested;
    *room = uv_buf_init(incoming, sizeof(incoming));
}

/* What cannot be sent at once is lost, as datagrams are. */
static void send_to(uv_udp_t *udp, const struct sockaddr_in *to, const uint8_t *bytes, size_t count)
{
    uv_buf_t part = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)count);

    uv_udp_try_send(udp, &part, 1, (const struct sockaddr *)to);
}

/* Own names. */

static const char *zone_of(const struct resolver *resolver, const char *kind, char zone[96])
{
    bool first = strcmp(resolver->control->options.region, "us-east-1") == 0;

    if (strcmp(kind, "internal") == 0) {
        snprintf(zone, 96, first ? ".ec2.internal" : ".%.40s.compute.internal",
                 resolver->control->options.region);
    } else {
        snprintf(zone, 96, first ? ".compute-1.amazonaws.com" : ".%.40s.compute.amazonaws.com",
                 resolver->control->options.region);
    }
    return zone;
}

/* The first label of a name in @zone; empty when it is in none. */
static struct slice label_in(const char *name, const char *zone)
{
    size_t bytes = strlen(name), tail = strlen(zone);

    return bytes > tail && strcmp(name + bytes - tail, zone) == 0 ? slice_of(name, bytes - tail)
                                                                  : SLICE_EMPTY;
}

static const struct ec2_instance *with_public(const struct control *control, const char *vpc,
                                              const char *address)
{
    const struct ec2_instance *instance;

    for (size_t at = 0; (instance = ec2_instance_next(control, &at)) != NULL;) {
        if (instance->public_address != NULL && strcmp(instance->public_address, address) == 0 &&
            strcmp(instance->vpc, vpc) == 0) {
            return instance;
        }
    }
    return NULL;
}

static size_t answer_instance(struct slice message, const struct dns_question *question,
                              const struct ec2_instance *instance, uint8_t *answer)
{
    uint32_t address;

    if (instance == NULL || instance->address == NULL ||
        address_parse(slice_z(instance->address), &address, NULL) != 0) {
        return dns_write_code(message, question, DNS_NO_NAME, answer);
    }
    return question->type == DNS_A ? dns_write_address(message, question, address, answer)
                                   : dns_write_code(message, question, DNS_OK, answer);
}

static size_t answer_reverse(const struct resolver *resolver, struct slice message,
                             const struct dns_question *question, const char *vpc, uint32_t address,
                             uint8_t *answer)
{
    char text[ADDRESS_TEXT_BYTES], name[DNS_NAME_BYTES], zone[96];

    address_text(address, text);
    if (ec2_instance_at(resolver->control, vpc, text) == NULL) {
        return dns_write_code(message, question, DNS_NO_NAME, answer);
    }
    if (question->type != DNS_PTR) {
        return dns_write_code(message, question, DNS_OK, answer);
    }
    snprintf(name, sizeof(name), "ip-%u-%u-%u-%u%s", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255, zone_of(resolver, "internal", zone));
    return dns_write_name(message, question, name, answer);
}

/* 0 when the name is not ours. */
static size_t answer_own(const struct resolver *resolver, const char *vpc, struct slice message,
                         const struct dns_question *question, uint8_t *answer)
{
    const struct ec2_vpc *network = ec2_vpc_find(resolver->control, vpc);
    const struct ec2_instance *instance;
    char zone[96], text[ADDRESS_TEXT_BYTES];
    struct network cidr;
    struct slice label;
    uint32_t address;

    label = label_in(question->name, zone_of(resolver, "internal", zone));
    if (label.bytes > 0) {
        instance = NULL;
        if (dns_dashed(label, "ip-", &address)) {
            address_text(address, text);
            instance = ec2_instance_at(resolver->control, vpc, text);
        }
        return answer_instance(message, question, instance, answer);
    }
    label = label_in(question->name, zone_of(resolver, "public", zone));
    if (label.bytes > 0 && dns_dashed(label, "ec2-", &address)) {
        address_text(address, text);
        instance = with_public(resolver->control, vpc, text);
        return instance == NULL ? 0 : answer_instance(message, question, instance, answer);
    }
    if (network != NULL && dns_reverse(question->name, &address) &&
        network_parse(slice_z(network->cidr), &cidr, NULL) == 0 && network_has(cidr, address)) {
        return answer_reverse(resolver, message, question, vpc, address, answer);
    }
    return 0;
}

/* The host's resolvers. */

static void read_servers(struct resolver *resolver)
{
    FILE *file = fopen("/etc/resolv.conf", "re");
    char line[256], word[64];

    resolver->server_count = 0;
    while (file != NULL && fgets(line, sizeof(line), file) != NULL &&
           resolver->server_count < SERVERS_MAX) {
        struct sockaddr_in *server = &resolver->servers[resolver->server_count];

        *server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
        if (sscanf(line, "nameserver %63s", word) == 1 &&
            inet_pton(AF_INET, word, &server->sin_addr) == 1) {
            resolver->server_count++;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void drop(struct resolver *resolver, struct relay *relay)
{
    relay->from = NULL;
    if (--resolver->relay_count == 0) {
        uv_timer_stop(&resolver->timer);
    }
}

static void give_up(struct resolver *resolver, struct relay *relay)
{
    uint8_t answer[DNS_MESSAGE_BYTES_MAX];
    struct dns_question question;
    struct slice message = slice_of((const char *)relay->query, relay->bytes);

    dns_read(message, &question);
    question.id = relay->client_id;
    send_to(&relay->from->udp, &relay->client, answer,
            dns_write_code(message, &question, DNS_FAILED, answer));
    drop(resolver, relay);
}

static void ask(struct resolver *resolver, struct relay *relay)
{
    relay->asked_ms = uv_now(resolver->control->loop);
    send_to(&resolver->upstream, &resolver->servers[relay->server], relay->query, relay->bytes);
}

static void on_tick(uv_timer_t *timer)
{
    struct resolver *resolver = timer->data;
    uint64_t now = uv_now(resolver->control->loop);

    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *relay = &resolver->relays[i];

        if (relay->from == NULL || now - relay->asked_ms < TRY_MS) {
            continue;
        }
        if (++relay->server < resolver->server_count) {
            ask(resolver, relay);
        } else {
            give_up(resolver, relay);
        }
    }
}

/* False when all places are taken, or the client's: it asks again. */
static bool relay(struct resolver_socket *from, const struct sockaddr_in *client,
                  struct slice message)
{
    struct resolver *resolver = from->resolver;
    struct relay *free_row = NULL;
    size_t own = 0;

    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *row = &resolver->relays[i];

        if (row->from == NULL) {
            free_row = row;
        } else if (row->from == from && row->client.sin_addr.s_addr == client->sin_addr.s_addr) {
            own++;
        }
    }
    if (free_row == NULL || own >= RELAYS_PER_CLIENT_MAX) {
        return false;
    }
    if (resolver->relay_count++ == 0) {
        read_servers(resolver); /* They may have changed. */
        uv_timer_start(&resolver->timer, on_tick, TICK_MS, TICK_MS);
    }
    free_row->from = from;
    free_row->client = *client;
    free_row->server = 0;
    free_row->bytes = message.bytes;
    memcpy(free_row->query, message.data, message.bytes);
    free_row->client_id = (uint16_t)(free_row->query[0] << 8 | free_row->query[1]);
    id_random(&free_row->id, sizeof(free_row->id));
    free_row->query[0] = (uint8_t)(free_row->id >> 8);
    free_row->query[1] = (uint8_t)free_row->id;
    if (resolver->server_count == 0) {
        give_up(resolver, free_row);
    } else {
        ask(resolver, free_row);
    }
    return true;
}

/* An answer counts when it comes from whom we asked, with our number and question. */
static void on_upstream(uv_udp_t *udp, ssize_t got, const uv_buf_t *room,
                        const struct sockaddr *sender, unsigned flags)
{
    struct resolver *resolver = udp->data;
    const struct sockaddr_in *server = (const struct sockaddr_in *)(const void *)sender;
    uint8_t *bytes = (uint8_t *)room->base;
    struct dns_question question;
    uint16_t id;

    if (got < 12 || sender == NULL || sender->sa_family != AF_INET ||
        (flags & UV_UDP_PARTIAL) != 0 || (bytes[2] & 0x80) == 0) {
        return;
    }
    id = (uint16_t)(bytes[0] << 8 | bytes[1]);
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        struct relay *relay = &resolver->relays[i];

        if (relay->from == NULL || relay->id != id || server->sin_port != htons(DNS_PORT) ||
            server->sin_addr.s_addr != resolver->servers[relay->server].sin_addr.s_addr ||
            !dns_read(slice_of((const char *)relay->query, relay->bytes), &question) ||
            (size_t)got < question.bytes ||
            memcmp(bytes + 12, relay->query + 12, question.bytes - 12) != 0) {
            continue;
        }
        bytes[0] = (uint8_t)(relay->client_id >> 8);
        bytes[1] = (uint8_t)relay->client_id;
        send_to(&relay->from->udp, &relay->client, bytes, (size_t)got);
        drop(resolver, relay);
        return;
    }
}

/* Instances' queries. */

static void on_query(uv_udp_t *udp, ssize_t got, const uv_buf_t *room,
                     const struct sockaddr *sender, unsigned flags)
{
    struct resolver_socket *listener = udp->data;
    const struct sockaddr_in *client = (const struct sockaddr_in *)(const void *)sender;
    uint8_t answer[DNS_MESSAGE_BYTES_MAX];
    char address[ADDRESS_TEXT_BYTES];
    struct dns_question question;
    struct slice message;
    size_t bytes = 0;

    if (got <= 0 || sender == NULL || sender->sa_family != AF_INET ||
        (flags & UV_UDP_PARTIAL) != 0) {
        return;
    }
    message = slice_of(room->base, (size_t)got);
    address_text(ntohl(client->sin_addr.s_addr), address);
    if (!dns_read(message, &question)) {
        bytes = got < 12 ? 0 : dns_write_code(message, &question, DNS_FORMAT, answer);
    } else if (ec2_instance_at(listener->resolver->control, listener->vpc, address) == NULL) {
        bytes = dns_write_code(message, &question, DNS_REFUSED, answer);
    } else {
        bytes = answer_own(listener->resolver, listener->vpc, message, &question, answer);
        if (bytes == 0) {
            relay(listener, client, message);
        }
    }
    if (bytes > 0) {
        send_to(udp, client, answer, bytes);
    }
}

static void free_socket(uv_handle_t *handle)
{
    struct resolver_socket *listener = handle->data;

    free(listener->vpc);
    free(listener);
}

struct resolver_socket *resolver_listen(struct resolver *resolver, const char *vpc, int fd)
{
    struct resolver_socket *listener = mem_calloc(1, sizeof(*listener));
    int rc;

    listener->resolver = resolver;
    listener->vpc = mem_strdup(vpc);
    uv_udp_init(resolver->control->loop, &listener->udp);
    listener->udp.data = listener;
    rc = uv_udp_open(&listener->udp, fd);
    if (rc != 0) {
        close(fd);
    } else {
        rc = uv_udp_recv_start(&listener->udp, give_room, on_query);
    }
    if (rc != 0) {
        log_error("dns.listener vpc=%s error=\"%s\"", vpc, uv_strerror(rc));
        uv_close((uv_handle_t *)&listener->udp, free_socket);
        return NULL;
    }
    return listener;
}

void resolver_socket_close(struct resolver_socket *listener)
{
    if (listener == NULL) {
        return;
    }
    for (size_t i = 0; i < RELAYS_MAX; i++) {
        if (listener->resolver->relays[i].from == listener) {
            drop(listener->resolver, &listener->resolver->relays[i]);
        }
    }
    uv_close((uv_handle_t *)&listener->udp, free_socket);
}

struct resolver *resolver_open(struct control *control)
{
    struct resolver *resolver = mem_calloc(1, sizeof(*resolver));

    resolver->control = control;
    resolver->handles = 2;
    resolver->upstream.data = resolver;
    resolver->timer.data = resolver;
    uv_udp_init_ex(control->loop, &resolver->upstream, AF_INET);
    uv_timer_init(control->loop, &resolver->timer);
    uv_unref((uv_handle_t *)&resolver->timer);
    uv_udp_recv_start(&resolver->upstream, give_room, on_upstream);
    return resolver;
}

static void on_closed(uv_handle_t *handle)
{
    struct resolver *resolver = handle->data;

    if (--resolver->handles == 0) {
        free(resolver);
    }
}

void resolver_close(struct resolver *resolver)
{
    if (resolver != NULL) {
        uv_close((uv_handle_t *)&resolver->upstream, on_closed);
        uv_close((uv_handle_t *)&resolver->timer, on_closed);
    }
}
