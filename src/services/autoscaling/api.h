/* What the handlers share: pages, and documents of things. */
#ifndef SERVICES_AUTOSCALING_API_H
#define SERVICES_AUTOSCALING_API_H

#include "api/handlers.h"
#include "api/members.h"
#include "services/autoscaling/group.h"
#include "wire/doc.h"

/* Which of @count things, in the order of their @keys, belong on the page that @in asks for: from
 * *@from up to *@to. Sets NextToken in @out. @limit is the most and, without MaxRecords, @usual. */
struct page_request {
    const char *action;
    size_t usual, limit;
    const char *const *keys;
    size_t count;
};
int page_choose(struct ctx *ctx, const struct doc *in, struct doc *out,
                const struct page_request *request, size_t *from, size_t *to, struct error *err);

void describe_activity(struct ctx *ctx, const struct group *group, const struct activity *activity,
                       struct doc *out);
void describe_group(struct ctx *ctx, const struct group *group, bool instances, struct doc *out);

/* A TagDescription. */
void describe_tag(const struct group *group, const struct group_tag *tag, struct doc *out);
/* Check a request's Tags; then put them on the group: what is there is replaced. */
int tags_check(const struct doc *in, struct error *err);
void tags_set(struct ctx *ctx, struct group *group, const struct doc *tag);

/* The group's elbv2 target groups as a request names them: TargetGroupARNs, and TrafficSources of
 * type elbv2. NULL at the end; in the ctx's arena. */
int target_groups_read(struct ctx *ctx, const struct doc *in, const char ***arns,
                       struct error *err);

#endif /* SERVICES_AUTOSCALING_API_H */
