/* Our region, its availability zones, and what the account may do. */
#include "services/ec2/private.h"

#include <string.h>

/* Regions that clients may ask about; ours is always among them. */
static const char *const region_names[] = {
    "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1",
    "ap-southeast-2", "ca-central-1",   "eu-central-1",   "eu-north-1", "eu-west-1",
    "eu-west-2",      "eu-west-3",      "sa-east-1",      "us-east-1",  "us-east-2",
    "us-west-1",      "us-west-2"};

const char *ec2_zone_name(const struct control *control, size_t index, char zone[32])
{
    if (index >= EC2_ZONES) {
        return NULL;
    }
    snprintf(zone, 32, "%.30s%c", control->options.region, (char)('a' + (int)index));
    return zone;
}

static bool zone_index(const struct control *control, const char *zone, size_t *index)
{
    char name[32];

    for (*index = 0; *index < EC2_ZONES; (*index)++) {
        if (zone != NULL && strcmp(ec2_zone_name(control, *index, name), zone) == 0) {
            return true;
        }
    }
    return false;
}

bool zone_exists(const struct control *control, const char *zone)
{
    size_t index;

    return zone_index(control, zone, &index);
}

/* "us-east-2a" -> "use2-az1" */
const char *zone_id(struct ctx *ctx, const char *zone)
{
    struct slice rest = slice_z(ctx->control->options.region);
    struct slice area = SLICE_EMPTY, where = SLICE_EMPTY, number = SLICE_EMPTY;
    struct buf text = {0};
    size_t index;
    const char *id;

    if (!zone_index(ctx->control, zone, &index)) {
        return NULL;
    }
    slice_next(&rest, '-', &area);
    slice_next(&rest, '-', &where);
    slice_next(&rest, '-', &number);
    buf_add(&text, area);
    if (slice_equal_z(where, "northeast") || slice_equal_z(where, "southeast") ||
        slice_equal_z(where, "northwest") || slice_equal_z(where, "southwest")) {
        buf_add_byte(&text, where.data[0]);
        buf_add_byte(&text, where.data[5]);
    } else {
        buf_add(&text, slice_sub(where, 0, 1));
    }
    buf_add(&text, number);
    id = arena_printf(ctx->arena, "%s-az%d", buf_z(&text), (int)index + 1).data;
    buf_close(&text);
    return id;
}

static void by_zone(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)ctx;
    match_z(match, zone);
}

static void by_zone_id(struct ctx *ctx, const void *zone, struct match *match)
{
    match_z(match, zone_id(ctx, zone));
}

static void by_region(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)zone;
    match_z(match, ctx->control->options.region);
}

static void by_state(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)ctx;
    (void)zone;
    match_z(match, "available");
}

static void by_opt_in(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)ctx;
    (void)zone;
    match_z(match, "opt-in-not-required");
}

static void by_zone_type(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)ctx;
    (void)zone;
    match_z(match, "availability-zone");
}

static void by_zone_group(struct ctx *ctx, const void *zone, struct match *match)
{
    (void)zone;
    match_z(match, arena_printf(ctx->arena, "%s-zg-1", ctx->control->options.region).data);
}

static const struct filter zone_filters[] = {
    {"zone-name", by_zone},        {"zone-id", by_zone_id},      {"region-name", by_region},
    {"state", by_state},           {"opt-in-status", by_opt_in}, {"zone-type", by_zone_type},
    {"group-name", by_zone_group}, {"message", by_opt_in},
};

static int check_named(struct ctx *ctx, const struct doc *in, struct error *err)
{
    for (size_t i = 0; i < doc_count(in, M_ZoneNames); i++) {
        const char *zone = doc_z_at(in, M_ZoneNames, i);

        if (!zone_exists(ctx->control, zone)) {
            return error_api(err, "InvalidParameterValue", "Invalid availability zone: [%s]", zone);
        }
    }
    return 0;
}

int ec2_describe_availability_zones(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    const char *region = ctx->control->options.region;
    char zone[32];
    int rc = filters_check(in, zone_filters, COUNT_OF(zone_filters), err);

    rc = rc != 0 ? rc : check_named(ctx, in, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_AvailabilityZones);
    for (size_t i = 0; ec2_zone_name(ctx->control, i, zone) != NULL; i++) {
        struct doc *item;

        if ((doc_count(in, M_ZoneNames) > 0 &&
             !doc_list_contains(in, M_ZoneNames, slice_z(zone))) ||
            (doc_count(in, M_ZoneIds) > 0 &&
             !doc_list_contains(in, M_ZoneIds, slice_z(zone_id(ctx, zone)))) ||
            !filters_hold(ctx, in, zone_filters, COUNT_OF(zone_filters), "", zone)) {
            continue;
        }
        item = doc_add_struct(out, M_AvailabilityZones);
        doc_set_z(item, M_OptInStatus, "opt-in-not-required");
        doc_set_list(item, M_Messages);
        doc_set_z(item, M_RegionName, region);
        doc_set_z(item, M_ZoneName, zone);
        doc_set_z(item, M_ZoneId, zone_id(ctx, zone));
        doc_set_format(item, M_GroupName, "%s-zg-1", region);
        doc_set_format(item, M_GroupLongName, "%s 1", region);
        doc_set_z(item, M_NetworkBorderGroup, region);
        doc_set_z(item, M_ZoneType, "availability-zone");
        doc_set_z(item, M_State, "available");
    }
    return 0;
}

static void by_region_name(struct ctx *ctx, const void *region, struct match *match)
{
    (void)ctx;
    match_z(match, region);
}

static void by_endpoint(struct ctx *ctx, const void *region, struct match *match)
{
    match_z(match, arena_printf(ctx->arena, "ec2.%s.amazonaws.com", (const char *)region).data);
}

static const struct filter region_filters[] = {
    {"region-name", by_region_name}, {"endpoint", by_endpoint}, {"opt-in-status", by_opt_in}};

static void add_region(struct ctx *ctx, const struct doc *in, struct doc *out, const char *region)
{
    struct doc *item;

    if ((doc_count(in, M_RegionNames) > 0 &&
         !doc_list_contains(in, M_RegionNames, slice_z(region))) ||
        !filters_hold(ctx, in, region_filters, COUNT_OF(region_filters), "", region)) {
        return;
    }
    item = doc_add_struct(out, M_Regions);
    doc_set_z(item, M_RegionName, region);
    doc_set_format(item, M_Endpoint, "ec2.%s.amazonaws.com", region);
    doc_set_z(item, M_OptInStatus, "opt-in-not-required");
}

int ec2_describe_regions(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const char *own = ctx->control->options.region;
    bool listed = false;
    int rc = filters_check(in, region_filters, COUNT_OF(region_filters), err);

    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_Regions);
    for (size_t i = 0; i < COUNT_OF(region_names); i++) {
        listed |= strcmp(region_names[i], own) == 0;
        add_region(ctx, in, out, region_names[i]);
    }
    if (!listed) {
        add_region(ctx, in, out, own);
    }
    for (size_t i = 0; i < doc_count(in, M_RegionNames); i++) {
        const char *name = doc_z_at(in, M_RegionNames, i);
        bool known = strcmp(name, own) == 0;

        for (size_t j = 0; j < COUNT_OF(region_names); j++) {
            known |= strcmp(region_names[j], name) == 0;
        }
        if (!known) {
            return error_api(err, "InvalidParameterValue", "Invalid region names: [%s]", name);
        }
    }
    return 0;
}

static void add_attribute(struct doc *out, const char *name, const char *value)
{
    struct doc *item = doc_add_struct(out, M_AccountAttributes);

    doc_set_z(item, M_AttributeName, name);
    doc_set_z(doc_add_struct(item, M_AttributeValues), M_AttributeValue, value);
}

int ec2_describe_account_attributes(struct ctx *ctx, const struct doc *in, struct doc *out,
                                    struct error *err)
{
    const struct ec2_vpc *vpc = ec2_vpc_default(ctx->control);
    const struct {
        const char *name, *value;
    } attributes[] = {
        {"supported-platforms", "VPC"}, {"default-vpc", vpc == NULL ? "none" : vpc->id},
        {"max-instances", "200"},       {"vpc-max-security-groups-per-interface", "5"},
        {"max-elastic-ips", "0"},       {"vpc-max-elastic-ips", "0"},
    };

    (void)err;
    doc_set_list(out, M_AccountAttributes);
    for (size_t i = 0; i < COUNT_OF(attributes); i++) {
        if (doc_count(in, M_AttributeNames) == 0 ||
            doc_list_contains(in, M_AttributeNames, slice_z(attributes[i].name))) {
            add_attribute(out, attributes[i].name, attributes[i].value);
        }
    }
    return 0;
}
