/* ModifyImageAttribute and DescribeImageAttribute: descriptions. There is one account: an image is
 * shared with nobody.
 * https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifyImageAttribute.html */
#include "services/ec2/private.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static int need_own(struct ctx *ctx, const struct doc *in, struct image **image, struct error *err)
{
    int rc = thing_need(ctx, KIND_IMAGE, doc_z(in, M_ImageId), (void **)image, err);

    if (rc == 0 && !image_is_mine(ctx, *image)) {
        rc = error_api_status(err, 403, "AuthFailure", "Not authorized for image:%s", (*image)->id);
    }
    return rc;
}

/* Both forms: Description.Value, and Attribute=description with Value. */
static const char *new_description(const struct doc *in)
{
    const struct doc *description = doc_get(in, M_Description);

    if (doc_has(description, M_Value)) {
        return doc_z(description, M_Value);
    }
    return slice_equal_z(doc_text(in, M_Attribute), "description") ? doc_z(in, M_Value) : NULL;
}

static bool shares(const struct doc *in)
{
    const struct doc *permission = doc_get(in, M_LaunchPermission);

    return doc_count(permission, M_Add) > 0 ||
           ((doc_count(in, M_UserIds) > 0 || doc_count(in, M_UserGroups) > 0) &&
            !slice_equal_z(doc_text(in, M_OperationType), "remove"));
}

int ec2_modify_image_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                               struct error *err)
{
    const char *description = new_description(in);
    struct image *image;
    int rc = need_own(ctx, in, &image, err);

    (void)out;
    if (rc != 0) {
        return rc;
    }
    if (shares(in)) {
        return error_api(err, "UnsupportedOperation",
                         "This muster has one account: an image cannot be shared with others.");
    }
    if (description == NULL && !doc_has(in, M_LaunchPermission) &&
        !slice_equal_z(doc_text(in, M_Attribute), "launchPermission")) {
        return error_api(err, "InvalidParameterCombination", "No attributes specified.");
    }
    DRY_RUN(in, err)
    if (description != NULL) {
        char *copy = mem_strdup(description);

        free(image->description);
        image->description = copy;
        thing_put(ctx, KIND_IMAGE, image);
    }
    return 0;
}

int ec2_describe_image_attribute(struct ctx *ctx, const struct doc *in, struct doc *out,
                                 struct error *err)
{
    struct slice name = doc_text(in, M_Attribute);
    struct image *image;
    int rc = need_own(ctx, in, &image, err);

    if (rc != 0) {
        return rc;
    }
    DRY_RUN(in, err)
    doc_set_z(out, M_ImageId, image->id);
    if (slice_equal_z(name, "description")) {
        doc_set_z(doc_set_struct(out, M_Description), M_Value, image->description);
    } else if (slice_equal_z(name, "launchPermission")) {
        doc_set_list(out, M_LaunchPermissions);
    } else {
        return error_api(err, "UnsupportedOperation", "This muster does not describe %.*s.",
                         SLICE_ARG(name));
    }
    return 0;
}
