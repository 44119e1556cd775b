/* Attributes of load balancers, target groups and listeners: keys, defaults and values. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define COOKIE_NAME_BYTES_MAX 128

/* @values: what may be set. "bool", "MIN-MAX", "a|b|c", "cookie", or NULL for any text. */
struct attribute_rule {
    const char *key, *otherwise, *values;
};

static const struct attribute_rule balancer_rules[] = {
    {"access_logs.s3.enabled", "false", "bool"},
    {"access_logs.s3.bucket", "", NULL},
    {"access_logs.s3.prefix", "", NULL},
    {"idle_timeout.timeout_seconds", "60", "1-4000"},
    {"deletion_protection.enabled", "false", "bool"},
    {"routing.http2.enabled", "true", "bool"},
    {"routing.http.drop_invalid_header_fields.enabled", "false", "bool"},
    {"routing.http.xff_client_port.enabled", "false", "bool"},
    {"routing.http.preserve_host_header.enabled", "false", "bool"},
    {"routing.http.xff_header_processing.mode", "append", "append|preserve|remove"},
    {"load_balancing.cross_zone.enabled", "true", "true"},
    {"routing.http.desync_mitigation_mode", "defensive", "monitor|defensive|strictest"},
    {"client_keep_alive.seconds", "3600", "60-604800"},
    {"waf.fail_open.enabled", "false", "bool"},
    {"routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", "bool"},
    {"zonal_shift.config.enabled", "false", "bool"},
    {"connection_logs.s3.enabled", "false", "bool"},
    {"connection_logs.s3.bucket", "", NULL},
    {"connection_logs.s3.prefix", "", NULL},
    {"health_check_logs.s3.enabled", "false", "bool"},
    {"health_check_logs.s3.bucket", "", NULL},
    {"health_check_logs.s3.prefix", "", NULL},
    {"ipv6.deny_all_igw_traffic", "false", "bool"},
    {NULL, NULL, NULL},
};

static const struct attribute_rule group_rules[] = {
    {"deregistration_delay.timeout_seconds", "300", "0-3600"},
    {"stickiness.enabled", "false", "bool"},
    {"stickiness.type", "lb_cookie", "lb_cookie|app_cookie"},
    {"stickiness.lb_cookie.duration_seconds", "86400", "1-604800"},
    {"stickiness.app_cookie.cookie_name", "", "cookie"},
    {"stickiness.app_cookie.duration_seconds", "86400", "1-604800"},
    {"slow_start.duration_seconds", "0", "0|30-900"},
    {"load_balancing.algorithm.type", "round_robin",
     "round_robin|least_outstanding_requests|weighted_random"},
    {"load_balancing.algorithm.anomaly_mitigation", "off", "on|off"},
    {"load_balancing.cross_zone.enabled", "use_load_balancer_configuration",
     "true|false|use_load_balancer_configuration"},
    {"target_group_health.dns_failover.minimum_healthy_targets.count", "1", NULL},
    {"target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", NULL},
    {"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", NULL},
    {"target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off", NULL},
    {NULL, NULL, NULL},
};

static const struct attribute_rule listener_rules[] = {
    {"routing.http.response.server.enabled", "true", "true"},
    {NULL, NULL, NULL},
};

static const struct attribute_rule *rule_find(const struct attribute_rule *rules, const char *key)
{
    for (; rules->key != NULL; rules++) {
        if (strcmp(rules->key, key) == 0) {
            return rules;
        }
    }
    return NULL;
}

static const char *value_of(const struct attributes *attributes, const struct attribute_rule *rules,
                            const char *key)
{
    const struct attribute_rule *rule = rule_find(rules, key);

    for (size_t i = 0; i < attributes->list_count; i++) {
        if (strcmp(attributes->list[i].key, key) == 0) {
            return attributes->list[i].value;
        }
    }
    return rule == NULL ? "" : rule->otherwise;
}

const char *elbv2_balancer_default(const char *key)
{
    const struct attribute_rule *rule = rule_find(balancer_rules, key);

    return rule == NULL ? NULL : rule->otherwise;
}

const char *elbv2_group_default(const char *key)
{
    const struct attribute_rule *rule = rule_find(group_rules, key);

    return rule == NULL ? NULL : rule->otherwise;
}

const char *elb_group_attribute(const struct target_group *group, const char *key)
{
    return value_of(&group->attributes, group_rules, key);
}

const char *elb_balancer_attribute(const struct load_balancer *balancer, const char *key)
{
    return value_of(&balancer->attributes, balancer_rules, key);
}

static int64_t number_of(const char *text)
{
    int64_t number = 0;

    return text_to_i64(slice_z(text), 0, INT32_MAX, &number, NULL) == 0 ? number : 0;
}

int64_t elb_group_number(const struct target_group *group, const char *key)
{
    return number_of(elb_group_attribute(group, key));
}

int64_t elb_balancer_number(const struct load_balancer *balancer, const char *key)
{
    return number_of(elb_balancer_attribute(balancer, key));
}

/* A name of RFC 6265 that means nothing to HAProxy, in whose configuration it will stand; AWS keeps
 * those with its own prefix. */
static bool is_cookie(struct slice value)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-_.~!*+^|";

    for (size_t i = 0; i < value.bytes; i++) {
        if (value.data[i] == '\0' || strchr(allowed, value.data[i]) == NULL) {
            return false;
        }
    }
    return value.bytes <= COOKIE_NAME_BYTES_MAX && !slice_starts(value, SLICE_LIT("AWSALB"));
}

static bool value_fits(const char *values, struct slice value)
{
    struct slice rest = slice_z(values), choice;
    int64_t number;

    if (values == NULL) {
        return true;
    }
    if (strcmp(values, "cookie") == 0) {
        return is_cookie(value);
    }
    if (strcmp(values, "bool") == 0) {
        values = "true|false";
        rest = slice_z(values);
    }
    while (slice_next(&rest, '|', &choice)) {
        size_t dash = slice_find(choice, '-');
        int64_t min, max;

        if (slice_equal(choice, value)) {
            return true;
        }
        if (dash < choice.bytes &&
            text_to_i64(slice_sub(choice, 0, dash), 0, INT32_MAX, &min, NULL) == 0 &&
            text_to_i64(slice_sub(choice, dash + 1, choice.bytes), 0, INT32_MAX, &max, NULL) == 0 &&
            text_to_i64(value, min, max, &number, NULL) == 0) {
            return true;
        }
    }
    return false;
}

/* Terraform reads "attribute key 'x' is not recognized" and goes on without the key. */
static int check_all(const struct attribute_rule *rules, const char *what, const struct doc *in,
                     struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_Attributes); i++) {
        const struct doc *item = doc_at(in, M_Attributes, i);
        const char *key = doc_z(item, M_Key);
        const struct attribute_rule *rule = key == NULL ? NULL : rule_find(rules, key);

        if (rule == NULL) {
            return error_api(err, "ValidationError", "%s attribute key '%s' is not recognized",
                             what, key == NULL ? "" : key);
        }
        if (!value_fits(rule->values, doc_text(item, M_Value))) {
            return error_api(err, "ValidationError",
                             "%s attribute key '%s' has an invalid value: '%.*s'", what, key,
                             SLICE_ARG(doc_text(item, M_Value)));
        }
    }
    return 0;
}

static void set_one(struct attributes *attributes, const char *key, const char *value)
{
    for (size_t i = 0; i < attributes->list_count; i++) {
        if (strcmp(attributes->list[i].key, key) == 0) {
            elb_text_set(&attributes->list[i].value, value);
            return;
        }
    }
    attributes->list =
        mem_realloc(attributes->list, attributes->list_count + 1, sizeof(struct attribute));
    attributes->list[attributes->list_count++] =
        (struct attribute){mem_strdup(key), mem_strdup(value)};
}

static void set_all(struct attributes *attributes, const struct doc *in)
{
    for (size_t i = 0; i < doc_count(in, M_Attributes); i++) {
        const struct doc *item = doc_at(in, M_Attributes, i);
        const char *value = doc_z(item, M_Value);

        set_one(attributes, doc_z(item, M_Key), value == NULL ? "" : value);
    }
}

static void describe(struct doc *out, const struct attribute_rule *rules,
                     const struct attributes *attributes)
{
    struct doc *list = doc_set_list(out, M_Attributes);

    for (const struct attribute_rule *rule = rules; rule->key != NULL; rule++) {
        struct doc *item = doc_list_add_struct(list);

        doc_set_z(item, M_Key, rule->key);
        doc_set_z(item, M_Value, value_of(attributes, rules, rule->key));
    }
}

/* The actions. */

int elbv2_describe_load_balancer_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                            struct error *err)
{
    struct load_balancer *balancer;
    int rc = elb_balancer_find(elbv2_of(ctx), doc_z(in, M_LoadBalancerArn), &balancer, err);

    if (rc == 0) {
        describe(out, balancer_rules, &balancer->attributes);
    }
    return rc;
}

int elbv2_modify_load_balancer_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    struct load_balancer *balancer;
    int rc = elb_balancer_find(elbv2_of(ctx), doc_z(in, M_LoadBalancerArn), &balancer, err);

    rc = rc != 0 ? rc : check_all(balancer_rules, "Load balancer", in, err);
    if (rc != 0) {
        return rc;
    }
    set_all(&balancer->attributes, in);
    elb_balancer_save(ctx, balancer);
    plane_touch(ctx, balancer);
    describe(out, balancer_rules, &balancer->attributes);
    return 0;
}

int elbv2_describe_target_group_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                           struct error *err)
{
    struct target_group *group;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    if (rc == 0) {
        describe(out, group_rules, &group->attributes);
    }
    return rc;
}

int elbv2_modify_target_group_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    struct target_group *group;
    struct load_balancer *balancer;
    int rc = elb_group_find(elbv2_of(ctx), doc_z(in, M_TargetGroupArn), &group, err);

    rc = rc != 0 ? rc : check_all(group_rules, "Target group", in, err);
    if (rc != 0) {
        return rc;
    }
    set_all(&group->attributes, in);
    elb_group_save(ctx, group);
    balancer = elb_group_balancer(elbv2_of(ctx), group->arn);
    if (balancer != NULL) {
        plane_touch(ctx, balancer);
    }
    describe(out, group_rules, &group->attributes);
    return 0;
}

int elbv2_describe_listener_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                       struct error *err)
{
    static const struct attributes none = {0};
    struct listener *listener;
    int rc = elb_listener_find(elbv2_of(ctx), doc_z(in, M_ListenerArn), &listener, err);

    if (rc == 0) {
        describe(out, listener_rules, &none);
    }
    return rc;
}
