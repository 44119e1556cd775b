/* Launch templates and their versions.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-launch-templates.html */
#include "services/ec2/private.h"

#include "aws/id.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define VERSIONS_MAX 10000 /* AWS's quota. */
#define LISTED_MAX 200

static struct launch_template *named(const struct control *control, const char *name)
{
    struct launch_template *found;

    for (size_t at = 0; (found = thing_next(control, KIND_TEMPLATE, &at)) != NULL;) {
        if (name != NULL && strcmp(found->name, name) == 0) {
            return found;
        }
    }
    return NULL;
}

int template_need(struct ctx *ctx, const char *id, const char *name, struct launch_template **found,
                  struct error *err)
{
    if (id != NULL && name != NULL) {
        return error_api(err, "InvalidParameterCombination",
                         "The parameters launch template ID and launch template name cannot both "
                         "be specified.");
    }
    if (id != NULL) {
        return thing_need(ctx, KIND_TEMPLATE, id, (void **)found, err);
    }
    if (name == NULL) {
        return error_api(err, "MissingParameter",
                         "Either a launch template ID or a launch template name must be "
                         "specified in the request.");
    }
    *found = named(ctx->control, name);
    return *found != NULL ? 0
                          : error_api(err, "InvalidLaunchTemplateName.NotFoundException",
                                      "At least one of the launch templates specified in the "
                                      "request does not exist.");
}

static struct version *version_numbered(struct launch_template *from, int64_t number)
{
    for (size_t i = 0; i < from->versions_count; i++) {
        if (from->versions[i].number == number) {
            return &from->versions[i];
        }
    }
    return NULL;
}

int version_need(struct launch_template *from, const char *text, struct version **version,
                 struct error *err)
{
    int64_t number = from->version_default;

    if (text != NULL && *text != '\0' && strcmp(text, "$Default") != 0) {
        if (strcmp(text, "$Latest") == 0) {
            number = from->version_latest;
        } else if (text_to_i64(slice_z(text), 1, INT64_MAX, &number, NULL) != 0) {
            return error_api(err, "InvalidLaunchTemplateId.VersionNotFound",
                             "Could not find the specified version %s for the launch template with "
                             "ID %s.",
                             text, from->id);
        }
    }
    *version = version_numbered(from, number);
    return *version != NULL
               ? 0
               : error_api(err, "InvalidLaunchTemplateId.VersionNotFound",
                           "Could not find the specified version %lld for the launch template "
                           "with ID %s.",
                           (long long)number, from->id);
}

int version_data(struct ctx *ctx, const struct version *version, struct doc **data,
                 struct error *err)
{
    return template_data_load(ctx->arena, version->data, data, err);
}

int ec2_template_find(struct ctx *ctx, const char *id, const char *name, const char *version,
                      struct ec2_template *found, struct error *err)
{
    struct launch_template *from;
    struct version *which;
    struct doc *data;
    int rc = template_need(ctx, id, id != NULL ? NULL : name, &from, err);

    rc = rc != 0 ? rc : version_need(from, version, &which, err);
    rc = rc != 0 ? rc : version_data(ctx, which, &data, err);
    if (rc == 0) {
        *found = (struct ec2_template){.id = from->id,
                                       .name = from->name,
                                       .version = which->number,
                                       .image = doc_z(data, M_ImageId),
                                       .type = doc_z(data, M_InstanceType)};
    }
    return rc;
}

static const char *creator(struct ctx *ctx)
{
    return ctx->caller.arn[0] != '\0'
               ? ctx->caller.arn
               : arena_printf(ctx->arena, "arn:aws:iam::%s:root", ctx->control->options.account)
                     .data;
}

static void fill(struct ctx *ctx, const void *thing, struct doc *out)
{
    const struct launch_template *from = thing;

    doc_set_z(out, M_LaunchTemplateId, from->id);
    doc_set_z(out, M_LaunchTemplateName, from->name);
    doc_set_time_ms(out, M_CreateTime, from->created_ms);
    doc_set_z(out, M_CreatedBy, from->created_by);
    doc_set_int(out, M_DefaultVersionNumber, from->version_default);
    doc_set_int(out, M_LatestVersionNumber, from->version_latest);
    ec2_tags_fill(ctx, thing_arn(ctx, KIND_TEMPLATE, from->id), out);
}

static int fill_version(struct ctx *ctx, const struct launch_template *from,
                        const struct version *version, struct doc *out, struct error *err)
{
    struct doc *data;
    int rc = version_data(ctx, version, &data, err);

    if (rc != 0) {
        return rc;
    }
    doc_set_z(out, M_LaunchTemplateId, from->id);
    doc_set_z(out, M_LaunchTemplateName, from->name);
    doc_set_int(out, M_VersionNumber, version->number);
    doc_set_z(out, M_VersionDescription, version->description);
    doc_set_time_ms(out, M_CreateTime, version->created_ms);
    doc_set_z(out, M_CreatedBy, version->created_by);
    doc_set_bool(out, M_DefaultVersion, version->number == from->version_default);
    doc_set(out, M_LaunchTemplateData, data);
    return 0;
}

static bool name_is_fit(struct slice name)
{
    for (size_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr("().-/_", c) != NULL)) {
            return false;
        }
    }
    return name.bytes >= 3 && name.bytes <= 128;
}

/* What RunInstances would complain about in any case. */
static int check_data(const struct doc *data, struct error *err)
{
    const char *type = doc_z(data, M_InstanceType);

    if (doc_length(data) == 0) {
        return error_api(err, "MissingParameter",
                         "The request must contain the parameter LaunchTemplateData");
    }
    if (type != NULL && instance_type_find(type) == NULL) {
        return error_api(err, "InvalidParameterValue", "Invalid value '%s' for InstanceType.",
                         type);
    }
    return 0;
}

static void add_version(struct ctx *ctx, struct launch_template *to, const char *description,
                        const struct doc *data)
{
    struct version *version;

    to->versions = mem_realloc(to->versions, to->versions_count + 1, sizeof(*to->versions));
    version = &to->versions[to->versions_count++];
    *version = (struct version){.number = ++to->version_latest,
                                .description = mem_strdup(description),
                                .created_by = mem_strdup(creator(ctx)),
                                .created_ms = ctx->now_ms,
                                .data = template_data_save(data)};
}

static void version_remove(struct launch_template *from, struct version *version)
{
    size_t index = (size_t)(version - from->versions);

    free(version->description);
    free(version->created_by);
    free(version->data);
    from->versions_count--;
    memmove(version, version + 1, (from->versions_count - index) * sizeof(*version));
}

int ec2_create_launch_template(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    const struct doc *data = doc_get(in, M_LaunchTemplateData);
    const char *name = doc_z(in, M_LaunchTemplateName);
    const char *token = doc_z(in, M_ClientToken);
    const char *made;
    struct launch_template *templ;
    int rc = tag_specs_check(in, "launch-template", err);

    rc = rc != 0 ? rc : ec2_token_check(ctx, "CreateLaunchTemplate", token, in, &made, err);
    rc = rc != 0 ? rc : check_data(data, err);
    if (rc != 0) {
        return rc;
    }
    templ = thing_get(ctx->control, KIND_TEMPLATE, made);
    if (templ != NULL) {
        fill(ctx, templ, doc_set_struct(out, M_LaunchTemplate));
        return 0;
    }
    if (!name_is_fit(slice_z(name))) {
        return error_api(err, "InvalidLaunchTemplateName.MalformedException",
                         "A launch template name must be between 3 and 128 characters, and may "
                         "contain letters, numbers, and the following characters: - ( ) . / _.");
    }
    if (named(ctx->control, name) != NULL) {
        return error_api(err, "InvalidLaunchTemplateName.AlreadyExistsException",
                         "Launch template name already in use.");
    }
    DRY_RUN(in, err)
    if (quota_check(ctx->control, KIND_TEMPLATE, NULL, 1, err) != 0) {
        return ERR_API;
    }
    templ = thing_new(ctx, KIND_TEMPLATE, NULL);
    templ->name = mem_strdup(name);
    templ->created_by = mem_strdup(creator(ctx));
    templ->created_ms = ctx->now_ms;
    templ->version_default = 1;
    add_version(ctx, templ, doc_z(in, M_VersionDescription), data);
    thing_put(ctx, KIND_TEMPLATE, templ);
    tag_specs_apply(ctx, in, "launch-template", KIND_TEMPLATE, templ->id);
    if (made == NULL) {
        ec2_token_note(ctx, "CreateLaunchTemplate", token, in, templ->id);
    }
    fill(ctx, templ, doc_set_struct(out, M_LaunchTemplate));
    return 0;
}

static int need(struct ctx *ctx, const struct doc *in, struct launch_template **found,
                struct error *err)
{
    return template_need(ctx, doc_z(in, M_LaunchTemplateId), doc_z(in, M_LaunchTemplateName), found,
                         err);
}

int ec2_delete_launch_template(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct launch_template *templ;
    int rc = need(ctx, in, &templ, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    fill(ctx, templ, doc_set_struct(out, M_LaunchTemplate));
    thing_drop(ctx, KIND_TEMPLATE, templ);
    return 0;
}

FILTER_TEXT(by_id, struct launch_template, id)
FILTER_TEXT(by_name, struct launch_template, name)

static void by_created(struct ctx *ctx, const void *thing, struct match *match)
{
    char created[TIME_TEXT_BYTES];

    (void)ctx;
    time_format_ms(((const struct launch_template *)thing)->created_ms, created);
    match_z(match, created);
}

static const struct filter filters[] = {
    {"create-time", by_created}, {"launch-template-id", by_id}, {"launch-template-name", by_name}};

static bool admits(struct ctx *ctx, const struct doc *in, const void *thing)
{
    (void)ctx;
    return doc_count(in, M_LaunchTemplateNames) == 0 ||
           doc_list_contains(in, M_LaunchTemplateNames,
                             slice_z(((const struct launch_template *)thing)->name));
}

int ec2_describe_launch_templates(struct ctx *ctx, const struct doc *in, struct doc *out,
                                  struct error *err)
{
    static const struct listing listing = {.kind = KIND_TEMPLATE,
                                           .action = "DescribeLaunchTemplates",
                                           .list = M_LaunchTemplates,
                                           .filters = filters,
                                           .filters_count = COUNT_OF(filters),
                                           .fill = fill,
                                           .admits = admits,
                                           .max_min = 1};

    for (size_t i = 0; i < doc_count(in, M_LaunchTemplateNames); i++) {
        struct launch_template *found;
        int rc = template_need(ctx, NULL, doc_z_at(in, M_LaunchTemplateNames, i), &found, err);

        if (rc != 0) {
            return rc;
        }
    }
    return list_things(ctx, in, out, &listing, err);
}

int ec2_create_launch_template_version(struct ctx *ctx, const struct doc *in, struct doc *out,
                                       struct error *err)
{
    const struct doc *data = doc_get(in, M_LaunchTemplateData);
    struct launch_template *templ;
    struct version *source;
    struct doc *base;
    const char *token = doc_z(in, M_ClientToken);
    const char *made;
    int rc = need(ctx, in, &templ, err);

    rc = rc != 0 ? rc : ec2_token_check(ctx, "CreateLaunchTemplateVersion", token, in, &made, err);
    if (rc == 0 && made != NULL && version_need(templ, made, &source, NULL) == 0) {
        return fill_version(ctx, templ, source, doc_set_struct(out, M_LaunchTemplateVersion), err);
    }
    if (rc == 0 && doc_has(in, M_SourceVersion)) {
        rc = version_need(templ, doc_z(in, M_SourceVersion), &source, err);
        rc = rc != 0 ? rc : version_data(ctx, source, &base, err);
        if (rc == 0) {
            for (size_t i = 0; i < data->u.fields.count; i++) {
                doc_set(base, data->u.fields.members[i].id, data->u.fields.members[i].value);
            }
            data = base;
        }
    }
    rc = rc != 0 ? rc : check_data(data, err);
    if (rc == 0 && templ->versions_count >= VERSIONS_MAX) {
        rc = error_api(err, "VersionLimitExceeded",
                       "You've reached your quota for launch template versions.");
    }
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    add_version(ctx, templ, doc_z(in, M_VersionDescription), data);
    thing_put(ctx, KIND_TEMPLATE, templ);
    if (made == NULL) {
        ec2_token_note(ctx, "CreateLaunchTemplateVersion", token, in,
                       arena_printf(ctx->arena, "%lld", (long long)templ->version_latest).data);
    }
    return fill_version(ctx, templ, &templ->versions[templ->versions_count - 1],
                        doc_set_struct(out, M_LaunchTemplateVersion), err);
}

int ec2_delete_launch_template_versions(struct ctx *ctx, const struct doc *in, struct doc *out,
                                        struct error *err)
{
    struct launch_template *templ;
    int rc = need(ctx, in, &templ, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_list(out, M_SuccessfullyDeletedLaunchTemplateVersions);
    doc_set_list(out, M_UnsuccessfullyDeletedLaunchTemplateVersions);
    for (size_t i = 0; i < doc_count(in, M_Versions); i++) {
        const char *text = doc_z_at(in, M_Versions, i);
        struct version *version;
        struct error why;
        bool found = version_need(templ, text, &version, &why) == 0;
        bool gone = found && version->number != templ->version_default;
        struct doc *item =
            doc_add_struct(out, gone ? M_SuccessfullyDeletedLaunchTemplateVersions
                                     : M_UnsuccessfullyDeletedLaunchTemplateVersions);
        int64_t number = 0;

        text_to_i64(slice_z(text), 0, INT64_MAX, &number, NULL);
        doc_set_z(item, M_LaunchTemplateId, templ->id);
        doc_set_z(item, M_LaunchTemplateName, templ->name);
        doc_set_int(item, M_VersionNumber, found ? version->number : number);
        if (gone) {
            version_remove(templ, version);
        } else {
            struct doc *problem = doc_set_struct(item, M_ResponseError);

            doc_set_z(problem, M_Code,
                      found ? "unexpectedError" : "launchTemplateVersionDoesNotExist");
            doc_set_z(problem, M_Message,
                      found ? "The default version of a launch template cannot be deleted."
                            : why.message);
        }
    }
    thing_put(ctx, KIND_TEMPLATE, templ);
    return 0;
}

int ec2_modify_launch_template(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    struct launch_template *templ;
    struct version *version;
    int rc = need(ctx, in, &templ, err);

    rc = rc != 0 ? rc : version_need(templ, doc_z(in, M_DefaultVersion), &version, err);
    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    templ->version_default = version->number;
    thing_put(ctx, KIND_TEMPLATE, templ);
    fill(ctx, templ, doc_set_struct(out, M_LaunchTemplate));
    return 0;
}

/* DescribeLaunchTemplateVersions: a version together with its template. */

struct row {
    const struct launch_template *of;
    const struct version *version;
    const struct doc *data;
};

static void by_row_created(struct ctx *ctx, const void *row, struct match *match)
{
    char created[TIME_TEXT_BYTES];

    (void)ctx;
    time_format_ms(((const struct row *)row)->version->created_ms, created);
    match_z(match, created);
}

static void by_row_default(struct ctx *ctx, const void *thing, struct match *match)
{
    const struct row *row = thing;

    (void)ctx;
    match_bool(match, row->version->number == row->of->version_default);
}

static void by_row_image(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, doc_z(((const struct row *)row)->data, M_ImageId));
}

static void by_row_type(struct ctx *ctx, const void *row, struct match *match)
{
    (void)ctx;
    match_z(match, doc_z(((const struct row *)row)->data, M_InstanceType));
}

static const struct filter row_filters[] = {{"create-time", by_row_created},
                                            {"is-default-version", by_row_default},
                                            {"image-id", by_row_image},
                                            {"instance-type", by_row_type}};

static bool wanted(const struct doc *in, const struct launch_template *of,
                   const struct version *version)
{
    size_t count = doc_count(in, M_Versions);
    int64_t low = 0, high = INT64_MAX;
    char number[24];

    if (doc_has(in, M_MinVersion)) {
        text_to_i64(doc_text(in, M_MinVersion), 0, INT64_MAX, &low, NULL);
    }
    if (doc_has(in, M_MaxVersion)) {
        text_to_i64(doc_text(in, M_MaxVersion), 0, INT64_MAX, &high, NULL);
    }
    snprintf(number, sizeof(number), "%lld", (long long)version->number);
    if (count == 0) {
        return version->number >= low && version->number <= high;
    }
    return doc_list_contains(in, M_Versions, slice_z(number)) ||
           (version->number == of->version_latest &&
            doc_list_contains(in, M_Versions, SLICE_LIT("$Latest"))) ||
           (version->number == of->version_default &&
            doc_list_contains(in, M_Versions, SLICE_LIT("$Default")));
}

static int list_versions(struct ctx *ctx, const struct doc *in, struct launch_template *of,
                         struct page *page, struct doc *out, struct error *err)
{
    int rc = 0;

    /* Newest first, as AWS lists them. */
    for (size_t i = of->versions_count; rc == 0 && i-- > 0;) {
        const struct version *version = &of->versions[i];
        struct slice key = arena_printf(ctx->arena, "%s/%lld", of->id, (long long)version->number);
        struct doc *data;
        struct row row = {of, version, NULL};

        if (!wanted(in, of, version)) {
            continue;
        }
        rc = version_data(ctx, version, &data, err);
        row.data = data;
        if (rc == 0 && filters_hold(ctx, in, row_filters, COUNT_OF(row_filters), "", &row) &&
            list_page_take(page, key.data)) {
            rc = fill_version(ctx, of, version, doc_add_struct(out, M_LaunchTemplateVersions), err);
        }
    }
    return rc;
}

int ec2_describe_launch_template_versions(struct ctx *ctx, const struct doc *in, struct doc *out,
                                          struct error *err)
{
    bool all = !doc_has(in, M_LaunchTemplateId) && !doc_has(in, M_LaunchTemplateName);
    struct launch_template *templ;
    struct version *version;
    struct page page;
    int rc = filters_check(in, row_filters, COUNT_OF(row_filters), err);

    rc = rc != 0 ? rc
                 : list_page_begin(ctx, in, "DescribeLaunchTemplateVersions", 1, LISTED_MAX, &page,
                                   err);
    rc = rc != 0 || all ? rc : need(ctx, in, &templ, err);
    for (size_t i = 0; rc == 0 && !all && i < doc_count(in, M_Versions); i++) {
        rc = version_need(templ, doc_z_at(in, M_Versions, i), &version, err);
    }
    if (rc == 0 && all && doc_count(in, M_Versions) == 0) {
        rc = error_api(err, "MissingParameter",
                       "Either a launch template ID or a launch template name must be specified "
                       "in the request.");
    }
    if (rc != 0) {
        return rc;
    }
    doc_set_list(out, M_LaunchTemplateVersions);
    if (all) {
        for (size_t at = 0;
             rc == 0 && (templ = thing_next(ctx->control, KIND_TEMPLATE, &at)) != NULL;) {
            rc = list_versions(ctx, in, templ, &page, out, err);
        }
    } else {
        rc = list_versions(ctx, in, templ, &page, out, err);
    }
    list_page_end(ctx, &page, "DescribeLaunchTemplateVersions", out);
    return rc;
}
