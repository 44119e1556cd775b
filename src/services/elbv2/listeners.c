/* Listeners, their default rules, and tags of everything: the actions. */
#include "services/elbv2/private.h"

#include "base/alloc.h"
#include "base/text.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

int elb_listener_find(const struct elbv2 *elbv2, const char *arn, struct listener **found,
                      struct error *err)
{
    *found = arn == NULL ? NULL : map_get_z(&elbv2->listeners, arn);
    if (*found != NULL) {
        return 0;
    }
    if (arn == NULL || strstr(arn, ":listener/") == NULL) {
        return error_api(err, "ValidationError", "'%s' is not a valid listener ARN",
                         arn == NULL ? "" : arn);
    }
    return error_api(err, "ListenerNotFound", "One or more listeners not found");
}

bool elb_listener_uses(const struct listener *listener, const char *group_arn)
{
    for (size_t i = 0; i < listener->actions_count; i++) {
        for (size_t j = 0; j < listener->actions[i].shares_count; j++) {
            if (strcmp(listener->actions[i].shares[j].group, group_arn) == 0) {
                return true;
            }
        }
    }
    return false;
}

/* Answers. */

static void describe_forward(const struct action *action, struct doc *item)
{
    struct doc *config, *list, *sticky;

    if (action->shares_count == 1) {
        doc_set_z(item, M_TargetGroupArn, action->shares[0].group);
    }
    config = doc_set_struct(item, M_ForwardConfig);
    list = doc_set_list(config, M_TargetGroups);
    for (size_t i = 0; i < action->shares_count; i++) {
        struct doc *share = doc_list_add_struct(list);

        doc_set_z(share, M_TargetGroupArn, action->shares[i].group);
        doc_set_int(share, M_Weight, action->shares[i].weight);
    }
    sticky = doc_set_struct(config, M_TargetGroupStickinessConfig);
    doc_set_bool(sticky, M_Enabled, action->sticky);
    if (action->sticky) {
        doc_set_int(sticky, M_DurationSeconds, action->sticky_s);
    }
}

static void describe_action(const struct action *action, struct doc *list)
{
    struct doc *item = doc_list_add_struct(list), *config;

    if (action->order != 0) {
        doc_set_int(item, M_Order, action->order);
    }
    switch (action->type) {
    case ACTION_FORWARD:
        doc_set_z(item, M_Type, "forward");
        describe_forward(action, item);
        break;
    case ACTION_REDIRECT:
        doc_set_z(item, M_Type, "redirect");
        config = doc_set_struct(item, M_RedirectConfig);
        doc_set_z(config, M_Protocol, action->protocol);
        doc_set_z(config, M_Port, action->port);
        doc_set_z(config, M_Host, action->host);
        doc_set_z(config, M_Path, action->path);
        doc_set_z(config, M_Query, action->query);
        doc_set_format(config, M_StatusCode, "HTTP_%d", action->status);
        break;
    case ACTION_FIXED_RESPONSE:
        doc_set_z(item, M_Type, "fixed-response");
        config = doc_set_struct(item, M_FixedResponseConfig);
        doc_set_z(config, M_MessageBody, action->body);
        doc_set_format(config, M_StatusCode, "%d", action->status);
        doc_set_z(config, M_ContentType, action->content_type);
        break;
    }
}

static void describe_actions(const struct listener *listener, struct doc *out, int member)
{
    struct doc *list = doc_set_list(out, member);

    for (size_t i = 0; i < listener->actions_count; i++) {
        describe_action(&listener->actions[i], list);
    }
}

static void describe(const struct listener *listener, struct doc *list)
{
    struct doc *item = doc_list_add_struct(list);

    doc_set_z(item, M_ListenerArn, listener->arn);
    doc_set_z(item, M_LoadBalancerArn, listener->balancer);
    doc_set_int(item, M_Port, listener->port);
    doc_set_z(item, M_Protocol, "HTTP");
    describe_actions(listener, item, M_DefaultActions);
}

/* Actions of a request: checked first, then copied. */

static int check_group(struct ctx *ctx, const struct load_balancer *balancer, const char *arn,
                       struct error *err)
{
    struct target_group *group;
    struct load_balancer *other;
    int rc = elb_group_find(elbv2_of(ctx), arn, &group, err);

    if (rc != 0) {
        return rc;
    }
    if (strcmp(group->vpc, balancer->vpc) != 0) {
        return error_api(err, "InvalidConfigurationRequest",
                         "The target group '%s' is not in the load balancer's VPC '%s'", arn,
                         balancer->vpc);
    }
    other = elb_group_balancer(elbv2_of(ctx), arn);
    if (other != NULL && other != balancer) {
        return error_api(err, "TargetGroupAssociationLimit",
                         "The following target groups cannot be associated with more than one "
                         "load balancer: %s",
                         arn);
    }
    return 0;
}

static int check_forward(struct ctx *ctx, const struct load_balancer *balancer,
                         const struct doc *action, struct error *err)
{
    const struct doc *config = doc_get(action, M_ForwardConfig);
    const char *arn = doc_z(action, M_TargetGroupArn);
    size_t count = doc_count(config, M_TargetGroups);
    int rc = 0;

    if (arn == NULL && count == 0) {
        return error_api(err, "ValidationError", "A target group ARN must be specified");
    }
    if (count > GROUPS_PER_FORWARD_MAX) {
        return error_api(err, "TooManyTargetGroups",
                         "A forward action cannot have more than %d target groups",
                         GROUPS_PER_FORWARD_MAX);
    }
    if (arn != NULL && count != 0 &&
        (count != 1 ||
         !slice_equal_z(doc_text(doc_at(config, M_TargetGroups, 0), M_TargetGroupArn), arn))) {
        return error_api(err, "ValidationError",
                         "You cannot specify both a target group ARN and a target group tuple "
                         "list with other target groups");
    }
    if (arn != NULL) {
        rc = check_group(ctx, balancer, arn, err);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        const struct doc *tuple = doc_at(config, M_TargetGroups, i);
        int64_t weight = doc_int_or(tuple, M_Weight, 1);

        if (weight < 0 || weight > 999) {
            return error_api(err, "ValidationError", "Weight '%d' must be between '0' and '999'",
                             (int)weight);
        }
        rc = check_group(ctx, balancer, doc_z(tuple, M_TargetGroupArn), err);
    }
    return rc;
}

/* Neither control characters nor quotes can reach HAProxy's file: it escapes them; but a header
 * must not be broken. */
static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] > '~') {
            return false;
        }
    }
    return true;
}

static int check_redirect(const struct doc *action, struct error *err)
{
    static const int members[] = {M_Protocol, M_Port, M_Host, M_Path, M_Query};
    const struct doc *config = doc_get(action, M_RedirectConfig);
    struct slice path = doc_text(config, M_Path), protocol = doc_text(config, M_Protocol);
    bool changes = false;

    if (config == NULL) {
        return error_api(err, "ValidationError", "A redirect configuration must be specified");
    }
    for (size_t i = 0; i < COUNT_OF(members); i++) {
        struct slice text = doc_text(config, members[i]);

        changes |= text.bytes != 0 && memchr(text.data, '#', text.bytes) == NULL;
        changes |= members[i] == M_Path && path.bytes != 0 && !slice_equal_z(path, "/#{path}");
        if (!is_plain(text)) {
            return error_api(err, "ValidationError",
                             "The redirect configuration contains invalid characters");
        }
    }
    if (protocol.bytes != 0 && !slice_equal_z(protocol, "HTTP") &&
        !slice_equal_z(protocol, "HTTPS") && !slice_equal_z(protocol, "#{protocol}")) {
        return error_api(err, "ValidationError",
                         "Protocol '%.*s' must be HTTP, HTTPS or "
                         "#{protocol}",
                         SLICE_ARG(protocol));
    }
    if (path.bytes != 0 && path.data[0] != '/') {
        return error_api(err, "ValidationError",
                         "The Path parameter must be a valid path, should "
                         "start with a '/', and may contain up to one of each of these "
                         "placeholders: '#{path}', '#{host}', '#{port}'.");
    }
    if (!changes) {
        return error_api(err, "InvalidLoadBalancerAction",
                         "The redirect configuration is not valid because it creates a loop.");
    }
    return 0;
}

static int check_fixed(const struct doc *action, struct error *err)
{
    static const char *const types[] = {"text/plain", "text/css", "text/html",
                                        "application/javascript", "application/json"};
    const struct doc *config = doc_get(action, M_FixedResponseConfig);
    struct slice code = doc_text(config, M_StatusCode), type = doc_text(config, M_ContentType);
    bool known = type.bytes == 0;
    int64_t status;

    if (config == NULL) {
        return error_api(err, "ValidationError",
                         "A fixed response configuration must be specified");
    }
    if (text_to_i64(code, 200, 599, &status, NULL) != 0 || (status >= 300 && status < 400)) {
        return error_api(err, "ValidationError",
                         "The StatusCode value '%.*s' must be a 2XX, 4XX or 5XX code",
                         SLICE_ARG(code));
    }
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        known |= slice_equal_z(type, types[i]);
    }
    if (!known) {
        return error_api(err, "InvalidLoadBalancerAction",
                         "The ContentType must be one of:'text/html', 'application/json', "
                         "'application/javascript', 'text/css', 'text/plain'");
    }
    return 0;
}

static int check_actions(struct ctx *ctx, const struct load_balancer *balancer,
                         const struct doc *in, struct error *err)
{
    const struct doc *action;
    struct slice type;

    if (doc_count(in, M_DefaultActions) != 1) {
        return error_api(err, "ValidationError",
                         "A listener must have exactly one default action that is a forward, "
                         "redirect or fixed-response");
    }
    action = doc_at(in, M_DefaultActions, 0);
    type = doc_text(action, M_Type);
    if (slice_equal_z(type, "forward")) {
        return check_forward(ctx, balancer, action, err);
    }
    if (slice_equal_z(type, "redirect")) {
        return check_redirect(action, err);
    }
    if (slice_equal_z(type, "fixed-response")) {
        return check_fixed(action, err);
    }
    return error_api(err, "InvalidLoadBalancerAction",
                     "muster offers the actions forward, redirect and fixed-response only");
}

static char *text_or(const struct doc *doc, int member, const char *otherwise)
{
    const char *text = doc_z(doc, member);

    return mem_strdup(text == NULL ? otherwise : text);
}

static void take_forward(struct action *action, const struct doc *in)
{
    const struct doc *config = doc_get(in, M_ForwardConfig);
    const struct doc *sticky = doc_get(config, M_TargetGroupStickinessConfig);
    size_t count = doc_count(config, M_TargetGroups);

    action->simple = count == 0;
    action->shares = mem_calloc(count + 1, sizeof(struct share));
    action->shares_count = count == 0 ? 1 : count;
    if (count == 0) {
        action->shares[0] = (struct share){mem_strdup(doc_z(in, M_TargetGroupArn)), 1};
    }
    for (size_t i = 0; i < count; i++) {
        const struct doc *tuple = doc_at(config, M_TargetGroups, i);

        action->shares[i] = (struct share){mem_strdup(doc_z(tuple, M_TargetGroupArn)),
                                           (int32_t)doc_int_or(tuple, M_Weight, 1)};
    }
    action->sticky = doc_bool(sticky, M_Enabled);
    action->sticky_s = (int32_t)doc_int(sticky, M_DurationSeconds);
}

static void take_actions(struct listener *listener, const struct doc *in)
{
    const struct doc *given = doc_at(in, M_DefaultActions, 0), *config;
    struct action *action = mem_calloc(1, sizeof(*action));
    struct slice type = doc_text(given, M_Type);
    int64_t status = 0;

    action->order = (int32_t)doc_int(given, M_Order);
    if (slice_equal_z(type, "forward")) {
        action->type = ACTION_FORWARD;
        take_forward(action, given);
    } else if (slice_equal_z(type, "redirect")) {
        config = doc_get(given, M_RedirectConfig);
        action->type = ACTION_REDIRECT;
        action->status = slice_equal_z(doc_text(config, M_StatusCode), "HTTP_302") ? 302 : 301;
        action->protocol = text_or(config, M_Protocol, "#{protocol}");
        action->port = text_or(config, M_Port, "#{port}");
        action->host = text_or(config, M_Host, "#{host}");
        action->path = text_or(config, M_Path, "/#{path}");
        action->query = text_or(config, M_Query, "#{query}");
    } else {
        config = doc_get(given, M_FixedResponseConfig);
        action->type = ACTION_FIXED_RESPONSE;
        (void)text_to_i64(doc_text(config, M_StatusCode), 200, 599, &status, NULL);
        action->status = (int32_t)status;
        action->content_type = text_or(config, M_ContentType, "text/plain");
        action->body = text_or(config, M_MessageBody, "");
    }
    /* The old ones go as their record says. */
    if (listener->actions != NULL) {
        struct listener old = {.actions = listener->actions,
                               .actions_count = listener->actions_count};

        record_close(&elb_listener_record, &old);
    }
    listener->actions = action;
    listener->actions_count = 1;
}

/* Targets of all groups may have come into use, or gone out of it. */
static void touch(struct ctx *ctx, struct load_balancer *balancer)
{
    struct target_group *group;

    plane_touch(ctx, balancer);
    for (size_t at = 0; (group = map_next(&elbv2_of(ctx)->groups, &at)) != NULL;) {
        elb_group_touch(ctx, group);
    }
}

static int check_protocol(const struct doc *in, struct error *err)
{
    struct slice protocol = doc_text(in, M_Protocol);

    if (protocol.bytes == 0 || slice_equal_z(protocol, "HTTP")) {
        return 0;
    }
    if (slice_equal_z(protocol, "HTTPS")) {
        return error_api(err, "UnsupportedProtocol", "muster offers HTTP listeners only");
    }
    return error_api(err, "ValidationError",
                     "Listener protocol '%.*s' must be one of 'HTTPS, HTTP'", SLICE_ARG(protocol));
}

static int check_port(const struct elbv2 *elbv2, const struct load_balancer *balancer,
                      const struct listener *but, int64_t port, struct error *err)
{
    struct listener *listener;
    size_t count = 0;

    for (size_t at = 0; (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
        if (listener == but || strcmp(listener->balancer, balancer->arn) != 0) {
            continue;
        }
        count++;
        if (listener->port == port) {
            return error_api(err, "DuplicateListener",
                             "A listener already exists on this port for this load balancer '%s'",
                             balancer->arn);
        }
    }
    if (count >= LISTENERS_PER_BALANCER_MAX) {
        return error_api(err, "TooManyListeners",
                         "The quota of %d listeners per load balancer has been reached",
                         LISTENERS_PER_BALANCER_MAX);
    }
    return 0;
}

/* The actions. */

int elbv2_create_listener(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer;
    struct listener *listener;
    char id[ID_BYTES], rule_id[ID_BYTES];
    int rc = elb_balancer_find(elbv2, doc_z(in, M_LoadBalancerArn), &balancer, err);

    if (rc == 0 && !doc_has(in, M_Protocol)) {
        rc = error_api(err, "ValidationError", "A listener protocol must be specified");
    }
    if (rc == 0 && !doc_has(in, M_Port)) {
        rc = error_api(err, "ValidationError", "A listener port must be specified");
    }
    rc = rc != 0 ? rc : check_protocol(in, err);
    rc = rc != 0 ? rc : check_port(elbv2, balancer, NULL, doc_int(in, M_Port), err);
    rc = rc != 0 ? rc : elb_tags_check(in, err);
    rc = rc != 0 ? rc : check_actions(ctx, balancer, in, err);
    if (rc != 0) {
        return rc;
    }
    id_new_hex(id, 16);
    id_new_hex(rule_id, 16);
    listener = mem_calloc(1, sizeof(*listener));
    listener->arn =
        mem_strdup(ctx_arn(ctx, "elasticloadbalancing", "listener/%s/%s", balancer->path, id));
    listener->rule = mem_strdup(ctx_arn(ctx, "elasticloadbalancing", "listener-rule/%s/%s/%s",
                                        balancer->path, id, rule_id));
    listener->balancer = mem_strdup(balancer->arn);
    listener->port = (int32_t)doc_int(in, M_Port);
    listener->created_ms = ctx->now_ms;
    take_actions(listener, in);
    map_put(&elbv2->listeners, slice_z(listener->arn), listener);
    elb_listener_save(ctx, listener);
    elb_tags_store(ctx, listener->arn, in);
    touch(ctx, balancer);
    describe(listener, doc_set_list(out, M_Listeners));
    return 0;
}

int elbv2_modify_listener(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer;
    struct listener *listener;
    int rc = elb_listener_find(elbv2, doc_z(in, M_ListenerArn), &listener, err);

    if (rc != 0) {
        return rc;
    }
    balancer = map_get_z(&elbv2->balancers, listener->balancer);
    rc = check_protocol(in, err);
    if (rc == 0 && doc_has(in, M_Port)) {
        rc = check_port(elbv2, balancer, listener, doc_int(in, M_Port), err);
    }
    if (rc == 0 && doc_has(in, M_DefaultActions)) {
        rc = check_actions(ctx, balancer, in, err);
    }
    if (rc != 0) {
        return rc;
    }
    listener->port = (int32_t)doc_int_or(in, M_Port, listener->port);
    if (doc_has(in, M_DefaultActions)) {
        take_actions(listener, in);
    }
    elb_listener_save(ctx, listener);
    touch(ctx, balancer);
    describe(listener, doc_set_list(out, M_Listeners));
    return 0;
}

int elbv2_delete_listener(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct load_balancer *balancer;
    struct listener *listener;
    int rc = elb_listener_find(elbv2, doc_z(in, M_ListenerArn), &listener, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    balancer = map_get_z(&elbv2->balancers, listener->balancer);
    map_remove(&elbv2->listeners, slice_z(listener->arn));
    changes_del(ctx->changes, SLICE_LIT("elbv2.listener"), slice_z(listener->arn));
    ctx_tags_drop(ctx, listener->arn);
    elb_listener_free(listener);
    touch(ctx, balancer);
    return 0;
}

int elbv2_describe_listeners(struct ctx *ctx, const struct doc *in, struct doc *out,
                             struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct doc *list = doc_set_list(out, M_Listeners);
    struct load_balancer *balancer;
    struct listener *listener;
    int rc = 0;

    if (doc_count(in, M_ListenerArns) == 0 && !doc_has(in, M_LoadBalancerArn)) {
        return error_api(err, "ValidationError",
                         "You must specify either listener ARNs or a load balancer ARN");
    }
    for (size_t i = 0; i < doc_count(in, M_ListenerArns); i++) {
        rc = elb_listener_find(elbv2, doc_z_at(in, M_ListenerArns, i), &listener, err);
        if (rc != 0) {
            return rc;
        }
        describe(listener, list);
    }
    if (doc_has(in, M_LoadBalancerArn)) {
        rc = elb_balancer_find(elbv2, doc_z(in, M_LoadBalancerArn), &balancer, err);
        for (size_t at = 0; rc == 0 && (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
            if (strcmp(listener->balancer, balancer->arn) == 0) {
                describe(listener, list);
            }
        }
    }
    return rc != 0 ? rc : elb_page_keep(ctx, in, out, "DescribeListeners", M_Listeners, err);
}

/* Only default rules exist here. */
static void describe_rule(const struct listener *listener, struct doc *list)
{
    struct doc *item = doc_list_add_struct(list);

    doc_set_z(item, M_RuleArn, listener->rule);
    doc_set_z(item, M_Priority, "default");
    doc_set_list(item, M_Conditions);
    describe_actions(listener, item, M_Actions);
    doc_set_bool(item, M_IsDefault, true);
}

static struct listener *rule_listener(const struct elbv2 *elbv2, const char *rule)
{
    struct listener *listener;

    for (size_t at = 0; (listener = map_next(&elbv2->listeners, &at)) != NULL;) {
        if (strcmp(listener->rule, rule) == 0) {
            return listener;
        }
    }
    return NULL;
}

int elbv2_describe_rules(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct elbv2 *elbv2 = elbv2_of(ctx);
    struct doc *list = doc_set_list(out, M_Rules);
    struct listener *listener;
    int rc = 0;

    if (doc_count(in, M_RuleArns) == 0 && !doc_has(in, M_ListenerArn)) {
        return error_api(err, "ValidationError",
                         "You must specify either listener rule ARNs or a listener ARN");
    }
    for (size_t i = 0; i < doc_count(in, M_RuleArns); i++) {
        listener = rule_listener(elbv2, doc_z_at(in, M_RuleArns, i));
        if (listener == NULL) {
            return error_api(err, "RuleNotFound", "One or more rules not found");
        }
        describe_rule(listener, list);
    }
    if (doc_has(in, M_ListenerArn)) {
        rc = elb_listener_find(elbv2, doc_z(in, M_ListenerArn), &listener, err);
        if (rc == 0) {
            describe_rule(listener, list);
        }
    }
    return rc;
}

/* Tags. */

#define TAGGED_ARNS_MAX 20

/* Does the ARN name one of ours? */
static int tagged(const struct elbv2 *elbv2, const char *arn, struct error *err)
{
    struct load_balancer *balancer;
    struct target_group *group;
    struct listener *listener;

    if (strstr(arn, ":loadbalancer/") != NULL) {
        return elb_balancer_find(elbv2, arn, &balancer, err);
    }
    if (strstr(arn, ":targetgroup/") != NULL) {
        return elb_group_find(elbv2, arn, &group, err);
    }
    if (strstr(arn, ":listener-rule/") != NULL) {
        return rule_listener(elbv2, arn) != NULL
                   ? 0
                   : error_api(err, "RuleNotFound", "One or more rules not found");
    }
    return elb_listener_find(elbv2, arn, &listener, err);
}

static int tagged_all(const struct elbv2 *elbv2, const struct doc *in, struct error *err)
{
    size_t count = doc_count(in, M_ResourceArns);
    int rc = 0;

    if (count == 0 || count > TAGGED_ARNS_MAX) {
        return error_api(err, "ValidationError", "Between 1 and %d resource ARNs must be specified",
                         TAGGED_ARNS_MAX);
    }
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = tagged(elbv2, doc_z_at(in, M_ResourceArns, i), err);
    }
    return rc;
}

int elbv2_add_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    int rc = tagged_all(elbv2_of(ctx), in, err);

    (void)out;
    rc = rc != 0 ? rc : elb_tags_check(in, err);
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_ResourceArns); i++) {
        const char *arn = doc_z_at(in, M_ResourceArns, i);
        size_t count = tags_of(&ctx->control->tags, arn)->count;

        for (size_t j = 0; j < doc_count(in, M_Tags); j++) {
            const char *key = doc_z(doc_at(in, M_Tags, j), M_Key);

            count += tags_value(&ctx->control->tags, arn, key) == NULL;
        }
        if (count > TAGS_PER_RESOURCE_MAX) {
            rc = error_api(err, "TooManyTags", "The maximum number of tags is '%d'",
                           TAGS_PER_RESOURCE_MAX);
        }
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_ResourceArns); i++) {
        elb_tags_store(ctx, doc_z_at(in, M_ResourceArns, i), in);
    }
    return rc;
}

int elbv2_remove_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    int rc = tagged_all(elbv2_of(ctx), in, err);

    (void)out;
    for (size_t i = 0; rc == 0 && i < doc_count(in, M_ResourceArns); i++) {
        for (size_t j = 0; j < doc_count(in, M_TagKeys); j++) {
            ctx_tag_remove(ctx, doc_z_at(in, M_ResourceArns, i), doc_z_at(in, M_TagKeys, j));
        }
    }
    return rc;
}

int elbv2_describe_tags(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct doc *list = doc_set_list(out, M_TagDescriptions);
    int rc = tagged_all(elbv2_of(ctx), in, err);

    for (size_t i = 0; rc == 0 && i < doc_count(in, M_ResourceArns); i++) {
        const char *arn = doc_z_at(in, M_ResourceArns, i);
        const struct tags *tags = tags_of(&ctx->control->tags, arn);
        struct doc *item = doc_list_add_struct(list), *pairs;

        doc_set_z(item, M_ResourceArn, arn);
        pairs = doc_set_list(item, M_Tags);
        for (size_t j = 0; j < tags->count; j++) {
            struct doc *tag = doc_list_add_struct(pairs);

            doc_set_z(tag, M_Key, tags->items[j].key);
            doc_set_z(tag, M_Value, tags->items[j].value);
        }
    }
    return rc;
}
