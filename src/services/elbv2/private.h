/* What the files of this folder share: the resources, and how they change together. */
#ifndef SERVICES_ELBV2_PRIVATE_H
#define SERVICES_ELBV2_PRIVATE_H

#include "api/handlers.h"
#include "api/members.h"
#include "aws/id.h"
#include "base/map.h"
#include "services/control.h"
#include "services/ec2/ec2.h"
#include "services/elbv2/elbv2.h"
#include "services/elbv2/health.h"

#define ARN_BYTES 256
#define NAME_CHARS_MAX 32

/* AWS's quotas, "Quotas for your Application Load Balancers". */
#define BALANCERS_MAX 50
#define LISTENERS_PER_BALANCER_MAX 50
#define TARGET_GROUPS_MAX 3000
#define TARGETS_PER_GROUP_MAX 1000
#define GROUPS_PER_FORWARD_MAX 5

struct plane; /* plane.c */

struct attribute {
    char *key, *value;
};

/* A list of attributes that were set; the others have their defaults (attributes.c). */
struct attributes {
    struct attribute *list;
    size_t list_count;
};

struct zone {
    char *zone, *subnet;
    char *interface; /* "eni-...": the balancer's own address there. */
};

/*  provisioning --HAProxy serves--> active
 *  provisioning --HAProxy cannot be started--> failed
 * Not persisted: a restart finds out again. */
enum balancer_state { STATE_PROVISIONING, STATE_ACTIVE, STATE_FAILED };

struct load_balancer {
    char *arn, *name;
    char *path; /* "app/NAME/16 hex": CloudWatch's dimension. */
    char *vpc;
    bool internal;
    char *address; /* 127.65.x.y, which is its DNSName. */
    int64_t created_ms;
    char **groups; /* Security groups. */
    size_t groups_count;
    struct zone *zones;
    size_t zones_count;
    struct attributes attributes;
    /* Not stored: */
    struct elbv2 *elbv2;
    bool was_active; /* Stored: a balancer that served once is active again at once. */
    enum balancer_state state;
    char *state_reason; /* Why it failed. */
    struct plane *plane;
    bool dirty; /* Its HAProxy must be told. */
};

enum action_type { ACTION_FORWARD, ACTION_REDIRECT, ACTION_FIXED_RESPONSE };

struct share {
    char *group; /* ARN */
    int32_t weight;
};

struct action {
    enum action_type type;
    int32_t order; /* 0: not given. */
    struct share *shares;
    size_t shares_count;
    bool simple; /* Given by TargetGroupArn alone. */
    bool sticky; /* TargetGroupStickinessConfig */
    int32_t sticky_s;
    int32_t status; /* Fixed responses and redirects. */
    char *content_type, *body;
    char *protocol, *port, *host, *path, *query;
};

struct listener {
    char *arn, *balancer;
    char *rule; /* The default rule's ARN. */
    int32_t port;
    int64_t created_ms;
    struct action *actions; /* Of the default rule; the last one answers. */
    size_t actions_count;
};

struct target_group;

struct target {
    char *group; /* ARN */
    char *id;    /* "i-..." or an address. */
    int32_t port;
    char *zone; /* As given; NULL: not. */
    int64_t registered_ms;
    int64_t drain_until_ms; /* 0: not draining. */
    struct health health;
    /* Not stored: */
    struct target_group *owner;
    bool probed;                   /* At least once in this life. */
    bool probing;                  /* One is under way. */
    int64_t probe_ms;              /* The next one is due. */
    enum elbv2_target_state shown; /* What listeners of ours were told last. */
    const char *shown_reason;
};

struct target_group {
    char *arn, *name;
    char *path; /* "targetgroup/NAME/16 hex" */
    char *vpc;
    char *type;     /* "instance" or "ip" */
    char *protocol; /* "HTTP" */
    char *protocol_version;
    int32_t port;
    int64_t created_ms;
    char *check_protocol, *check_port, *check_path, *check_codes;
    int32_t check_interval_s, check_timeout_s;
    int32_t healthy_count, unhealthy_count;
    struct attributes attributes;
    /* Not stored: */
    struct target **targets; /* In order of registration. */
    size_t targets_count, targets_room;
};

struct hearer {
    elbv2_target_fn *fn;
    void *data;
};

struct elbv2 {
    struct control *control;
    struct map balancers; /* ARN -> struct load_balancer, in order of creation. */
    struct map listeners; /* ARN -> struct listener */
    struct map groups;    /* ARN -> struct target_group */
    struct hearer *hearers;
    size_t hearers_count, hearers_room;
    struct control_timer *timer;   /* Probes and ends of draining. */
    struct control_timer *metrics; /* Statistics. */
    int64_t metrics_ms;            /* Start of the period that was published last. */
    void (*haproxy_before)(void *control, const char *id); /* Who else hears of HAProxys. */
    size_t probing;                                        /* Probes under way. */
};

static inline struct elbv2 *elbv2_of(const struct ctx *ctx)
{
    return ctx->control->elbv2;
}

/* records.c: memory and store. Free with the matching _free; all accept NULL. */
extern const struct record elb_balancer_record, elb_listener_record, elb_group_record,
    elb_target_record;
void elb_balancer_free(struct load_balancer *balancer);
void elb_listener_free(struct listener *listener);
void elb_group_free(struct target_group *group); /* And its targets. */
void elb_target_free(struct target *target);
void elb_balancer_save(struct ctx *ctx, const struct load_balancer *balancer);
void elb_listener_save(struct ctx *ctx, const struct listener *listener);
void elb_group_save(struct ctx *ctx, const struct target_group *group);
void elb_target_save(struct ctx *ctx, const struct target *target);
void elb_target_forget(struct ctx *ctx, const struct target *target); /* In the store only. */
void elb_group_add_target(struct target_group *group, struct target *target); /* Takes it. */
int elbv2_load(struct control *control, struct slice kind, struct slice id, struct slice body,
               struct error *err);

/* Finding; the failing ones answer AWS's errors. */
int elb_balancer_find(const struct elbv2 *elbv2, const char *arn, struct load_balancer **found,
                      struct error *err);
int elb_listener_find(const struct elbv2 *elbv2, const char *arn, struct listener **found,
                      struct error *err);
int elb_group_find(const struct elbv2 *elbv2, const char *arn, struct target_group **found,
                   struct error *err);
struct load_balancer *elb_balancer_named(const struct elbv2 *elbv2, const char *name);
struct target_group *elb_group_named(const struct elbv2 *elbv2, const char *name);
struct target *elb_group_target(const struct target_group *group, const char *id, int32_t port);

/* What a listener's actions name. */
bool elb_listener_uses(const struct listener *listener, const char *group_arn);
/* The balancer whose listener forwards to the group; NULL: none. */
struct load_balancer *elb_group_balancer(const struct elbv2 *elbv2, const char *group_arn);
bool elb_balancer_has_zone(const struct load_balancer *balancer, const char *zone);

/* attributes.c */
/* The value, or the default. */
const char *elb_group_attribute(const struct target_group *group, const char *key);
const char *elb_balancer_attribute(const struct load_balancer *balancer, const char *key);
int64_t elb_group_number(const struct target_group *group, const char *key);
int64_t elb_balancer_number(const struct load_balancer *balancer, const char *key);

/* targets.c */
struct elbv2_target_health elb_target_health(const struct elbv2 *elbv2, const struct target *target,
                                             char description[HEALTH_TEXT_BYTES]);
/* After a change that may touch targets' states: tell who listens, have the balancer's HAProxy
 * told, arm the timer. */
void elb_group_touch(struct ctx *ctx, struct target_group *group);
/* Probes that are due, drains that are over; then the timer again. */
void elb_targets_tick(struct ctx *ctx, void *data);
void elb_targets_instance_changed(struct ctx *ctx, void *data, const struct ec2_instance *instance);
/* Where the target's requests go: the instance's private address, or the address itself; NULL when
 * it has none now. */
const char *elb_target_address(const struct elbv2 *elbv2, const struct target *target);
int32_t elb_target_check_port(const struct target *target);
/* NULL: an address of no instance, or an instance that is gone. */
const struct ec2_instance *elb_target_instance(const struct elbv2 *elbv2,
                                               const struct target *target);

/* targets_probe.c: probe the group's targets that are due. */
void elb_targets_probe(struct ctx *ctx, struct target_group *group);
/* Arm the timer for the next probe or end of a drain. */
void elb_targets_schedule(struct elbv2 *elbv2);

/* plane.c: the balancer's HAProxy is brought to what is wanted once ctx is on disk. */
void plane_touch(struct ctx *ctx, struct load_balancer *balancer);
/* The balancer was deleted. */
void plane_drop(struct ctx *ctx, struct load_balancer *balancer);
void plane_free(struct plane *plane);

/* metrics.c: publish, and arm the timer again. */
void elb_metrics_tick(struct ctx *ctx, void *data);

/* balancers.c and others: checks that several actions share. */
int elb_name_check(const char *what, struct slice name, struct error *err);
int elb_tags_check(const struct doc *in, struct error *err);
void elb_tags_store(struct ctx *ctx, const char *arn, const struct doc *in);
/* Sets *@from..*@to to the page, and NextMarker in @out. */
int elb_page_cut(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action,
                 size_t count, size_t *from, size_t *to, struct error *err);
/* The same for a list that is in @out as a whole. */
int elb_page_keep(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action,
                  int member, struct error *err);
void elb_group_describe(struct ctx *ctx, const struct target_group *group, struct doc *list);

/* A copy, or the old text when @text is NULL. */
void elb_text_set(char **text, const char *value);

#endif /* SERVICES_ELBV2_PRIVATE_H */
