#include "aws/page.h"
#include "api/members.h"
#include "services/iam/private.h"

#define ITEMS_DEFAULT 100

int iam_page(struct ctx *ctx, const struct doc *in, struct doc *out, const char *action, int member,
             struct error *err)
{
    size_t limit = (size_t)doc_int_or(in, M_MaxItems, ITEMS_DEFAULT), from;
    const char *next;

    doc_set_list(out, member);
    if (page_window(ctx->arena, action, doc_z(in, M_Marker), limit, doc_count(out, member), &from,
                    &next, err) != 0) {
        return error_api(err, "ValidationError", "Invalid Marker.");
    }
    doc_list_keep(out, member, from, limit);
    doc_set_bool(out, M_IsTruncated, next != NULL);
    doc_set_z(out, M_Marker, next);
    return 0;
}
