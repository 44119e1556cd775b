/* The instance types that muster offers: AWS's own names, CPUs and memory.
 * https://docs.aws.amazon.com/ec2/latest/instancetypes/ */
#include "services/ec2/private.h"

#include <string.h>

/* clang-format off */
static const struct instance_type types[] = {
    /* name, vCPUs, MiB, burstable, current, interfaces, addresses each */
    {"m1.small",    1,  1740,  false, false, 2, 4},
    {"t1.micro",    1,  627,   true,  false, 2, 2},
    {"t2.nano",     1,  512,   true,  true,  2, 2},
    {"t2.micro",    1,  1024,  true,  true,  2, 2},
    {"t2.small",    1,  2048,  true,  true,  3, 4},
    {"t2.medium",   2,  4096,  true,  true,  3, 6},
    {"t2.large",    2,  8192,  true,  true,  3, 12},
    {"t2.xlarge",   4,  16384, true,  true,  3, 15},
    {"t2.2xlarge",  8,  32768, true,  true,  3, 15},
    {"t3.nano",     2,  512,   true,  true,  2, 2},
    {"t3.micro",    2,  1024,  true,  true,  2, 2},
    {"t3.small",    2,  2048,  true,  true,  3, 4},
    {"t3.medium",   2,  4096,  true,  true,  3, 6},
    {"t3.large",    2,  8192,  true,  true,  3, 12},
    {"t3.xlarge",   4,  16384, true,  true,  4, 15},
    {"t3.2xlarge",  8,  32768, true,  true,  4, 15},
    {"t3a.nano",    2,  512,   true,  true,  2, 2},
    {"t3a.micro",   2,  1024,  true,  true,  2, 2},
    {"t3a.small",   2,  2048,  true,  true,  2, 4},
    {"t3a.medium",  2,  4096,  true,  true,  3, 6},
    {"t3a.large",   2,  8192,  true,  true,  3, 12},
    {"t3a.xlarge",  4,  16384, true,  true,  4, 15},
    {"t3a.2xlarge", 8,  32768, true,  true,  4, 15},
    {"m5.large",    2,  8192,  false, true,  3, 10},
    {"m5.xlarge",   4,  16384, false, true,  4, 15},
    {"m5.2xlarge",  8,  32768, false, true,  4, 15},
    {"m5.4xlarge",  16, 65536, false, true,  8, 30},
    {"m6i.large",   2,  8192,  false, true,  3, 10},
    {"m6i.xlarge",  4,  16384, false, true,  4, 15},
    {"m6i.2xlarge", 8,  32768, false, true,  4, 15},
    {"m7i.large",   2,  8192,  false, true,  3, 10},
    {"m7i.xlarge",  4,  16384, false, true,  4, 15},
    {"c5.large",    2,  4096,  false, true,  3, 10},
    {"c5.xlarge",   4,  8192,  false, true,  4, 15},
    {"c5.2xlarge",  8,  16384, false, true,  4, 15},
    {"c6i.large",   2,  4096,  false, true,  3, 10},
    {"c6i.xlarge",  4,  8192,  false, true,  4, 15},
    {"c7i.large",   2,  4096,  false, true,  3, 10},
    {"r5.large",    2,  16384, false, true,  3, 10},
    {"r5.xlarge",   4,  32768, false, true,  4, 15},
    {"r6i.large",   2,  16384, false, true,  3, 10},
};
/* clang-format on */

const struct instance_type *instance_type_find(const char *name)
{
    for (size_t i = 0; name != NULL && i < COUNT_OF(types); i++) {
        if (strcmp(types[i].name, name) == 0) {
            return &types[i];
        }
    }
    return NULL;
}

static bool is_nitro(const struct instance_type *type)
{
    return type->name[1] != '1' && strncmp(type->name, "t2.", 3) != 0;
}

static int64_t cores(const struct instance_type *type)
{
    bool one_thread = !is_nitro(type);

    return one_thread || type->vcpus == 1 ? type->vcpus : type->vcpus / 2;
}

static void fill_network(const struct instance_type *type, struct doc *out)
{
    struct doc *network = doc_set_struct(out, M_NetworkInfo);
    struct doc *card;
    bool nitro = is_nitro(type);

    doc_set_z(network, M_NetworkPerformance, nitro ? "Up to 5 Gigabit" : "Low to Moderate");
    doc_set_int(network, M_MaximumNetworkInterfaces, type->interfaces);
    doc_set_int(network, M_MaximumNetworkCards, 1);
    doc_set_int(network, M_DefaultNetworkCardIndex, 0);
    card = doc_add_struct(network, M_NetworkCards);
    doc_set_int(card, M_NetworkCardIndex, 0);
    doc_set_z(card, M_NetworkPerformance, nitro ? "Up to 5 Gigabit" : "Low to Moderate");
    doc_set_int(card, M_MaximumNetworkInterfaces, type->interfaces);
    doc_set_int(network, M_Ipv4AddressesPerInterface, type->addresses);
    doc_set_int(network, M_Ipv6AddressesPerInterface, 0);
    doc_set_bool(network, M_Ipv6Supported, false);
    doc_set_z(network, M_EnaSupport, nitro ? "required" : "unsupported");
    doc_set_bool(network, M_EfaSupported, false);
    doc_set_bool(network, M_EncryptionInTransitSupported, false);
}

static void fill_type(const struct instance_type *type, struct doc *out)
{
    bool nitro = is_nitro(type);
    struct doc *part;

    doc_set_z(out, M_InstanceType, type->name);
    doc_set_bool(out, M_CurrentGeneration, type->current);
    doc_set_bool(out, M_FreeTierEligible,
                 strcmp(type->name, "t2.micro") == 0 || strcmp(type->name, "t3.micro") == 0);
    doc_list_add_z(doc_set_list(out, M_SupportedUsageClasses), "on-demand");
    doc_list_add_z(doc_set_list(out, M_SupportedRootDeviceTypes), "ebs");
    doc_list_add_z(doc_set_list(out, M_SupportedVirtualizationTypes), "hvm");
    doc_set_bool(out, M_BareMetal, false);
    doc_set_z(out, M_Hypervisor, nitro ? "nitro" : "xen");
    part = doc_set_struct(out, M_ProcessorInfo);
    doc_list_add_z(doc_set_list(part, M_SupportedArchitectures), "x86_64");
    part = doc_set_struct(out, M_VCpuInfo);
    doc_set_int(part, M_DefaultVCpus, type->vcpus);
    doc_set_int(part, M_DefaultCores, cores(type));
    doc_set_int(part, M_DefaultThreadsPerCore, type->vcpus / cores(type));
    doc_set_int(doc_set_struct(out, M_MemoryInfo), M_SizeInMiB, type->memory_mib);
    doc_set_bool(out, M_InstanceStorageSupported, false);
    part = doc_set_struct(out, M_EbsInfo);
    doc_set_z(part, M_EbsOptimizedSupport, nitro ? "default" : "unsupported");
    doc_set_z(part, M_EncryptionSupport, "supported");
    doc_set_z(part, M_NvmeSupport, nitro ? "required" : "unsupported");
    fill_network(type, out);
    doc_list_add_z(doc_set_list(doc_set_struct(out, M_PlacementGroupInfo), M_SupportedStrategies),
                   "spread");
    doc_set_bool(out, M_HibernationSupported, false);
    doc_set_bool(out, M_BurstablePerformanceSupported, type->burstable);
    doc_set_bool(out, M_DedicatedHostsSupported, false);
    doc_set_bool(out, M_AutoRecoverySupported, true);
    doc_list_add_z(doc_set_list(out, M_SupportedBootModes), "legacy-bios");
}

FILTER_TEXT(by_name, struct instance_type, name)
FILTER_BOOL(by_burstable, struct instance_type, burstable)
FILTER_BOOL(by_current, struct instance_type, current)
FILTER_IS(by_architecture, "x86_64")
FILTER_IS(by_root, "ebs")
FILTER_IS(by_virtualization, "hvm")
FILTER_IS(by_usage, "on-demand")
FILTER_IS(by_bare, "false")

static void by_vcpus(struct ctx *ctx, const void *type, struct match *match)
{
    (void)ctx;
    match_int(match, ((const struct instance_type *)type)->vcpus);
}

static void by_memory(struct ctx *ctx, const void *type, struct match *match)
{
    (void)ctx;
    match_int(match, ((const struct instance_type *)type)->memory_mib);
}

static const struct filter type_filters[] = {
    {"bare-metal", by_bare},
    {"burstable-performance-supported", by_burstable},
    {"current-generation", by_current},
    {"instance-type", by_name},
    {"memory-info.size-in-mib", by_memory},
    {"processor-info.supported-architecture", by_architecture},
    {"supported-root-device-type", by_root},
    {"supported-usage-class", by_usage},
    {"supported-virtualization-type", by_virtualization},
    {"vcpu-info.default-vcpus", by_vcpus},
};

static int check_asked(struct ctx *ctx, const struct doc *in, struct error *err)
{
    struct buf missing = {0};
    int rc = 0;

    (void)ctx;
    for (size_t i = 0; i < doc_count(in, M_InstanceTypes); i++) {
        const char *name = doc_z_at(in, M_InstanceTypes, i);

        if (instance_type_find(name) == NULL) {
            buf_printf(&missing, "%s%s", missing.bytes == 0 ? "" : ", ", name);
        }
    }
    if (missing.bytes > 0) {
        rc = error_api(err, "InvalidInstanceType",
                       "The following supplied instance types do not exist: [%s]", buf_z(&missing));
    }
    buf_close(&missing);
    return rc;
}

int ec2_describe_instance_types(struct ctx *ctx, const struct doc *in, struct doc *out,
                                struct error *err)
{
    struct page page;
    int rc = check_asked(ctx, in, err);

    rc = rc != 0 ? rc : filters_check(in, type_filters, COUNT_OF(type_filters), err);
    rc = rc != 0 ? rc : list_page_begin(ctx, in, "DescribeInstanceTypes", 5, 100, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_InstanceTypes);
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if ((doc_count(in, M_InstanceTypes) == 0 ||
             doc_list_contains(in, M_InstanceTypes, slice_z(types[i].name))) &&
            filters_hold(ctx, in, type_filters, COUNT_OF(type_filters), "", &types[i]) &&
            list_page_take(&page, types[i].name)) {
            fill_type(&types[i], doc_add_struct(out, M_InstanceTypes));
        }
    }
    list_page_end(ctx, &page, "DescribeInstanceTypes", out);
    return 0;
}

/* Every type is offered everywhere. */

struct offering {
    const char *type, *location;
};

FILTER_TEXT(by_offered, struct offering, type)
FILTER_TEXT(by_location, struct offering, location)

static const struct filter offering_filters[] = {{"instance-type", by_offered},
                                                 {"location", by_location}};

static const char *location(struct ctx *ctx, struct slice kind, size_t index)
{
    char zone[32];

    if (kind.bytes == 0 || slice_equal_z(kind, "region")) {
        return index == 0 ? ctx->control->options.region : NULL;
    }
    if (ec2_zone_name(ctx->control, index, zone) == NULL) {
        return NULL;
    }
    return slice_equal_z(kind, "availability-zone-id") ? zone_id(ctx, zone)
                                                       : arena_strdup(ctx->arena, slice_z(zone));
}

int ec2_describe_instance_type_offerings(struct ctx *ctx, const struct doc *in, struct doc *out,
                                         struct error *err)
{
    struct slice kind = doc_text(in, M_LocationType);
    const char *place;
    struct page page;
    int rc = filters_check(in, offering_filters, COUNT_OF(offering_filters), err);

    rc = rc != 0 ? rc
                 : list_page_begin(ctx, in, "DescribeInstanceTypeOfferings", 5, 1000, &page, err);
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_InstanceTypeOfferings);
    for (size_t z = 0; (place = location(ctx, kind, z)) != NULL; z++) {
        for (size_t i = 0; i < COUNT_OF(types); i++) {
            struct offering offering = {types[i].name, place};
            struct slice key = arena_printf(ctx->arena, "%s %s", place, types[i].name);

            if (filters_hold(ctx, in, offering_filters, COUNT_OF(offering_filters), "",
                             &offering) &&
                list_page_take(&page, key.data)) {
                struct doc *item = doc_add_struct(out, M_InstanceTypeOfferings);

                doc_set_z(item, M_InstanceType, offering.type);
                doc_set_z(item, M_LocationType, kind.bytes == 0 ? "region" : kind.data);
                doc_set_z(item, M_Location, place);
            }
        }
    }
    list_page_end(ctx, &page, "DescribeInstanceTypeOfferings", out);
    return 0;
}
