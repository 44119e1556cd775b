/* How a request to launch and a template's data become one: members of the request replace those
 * of the template; tags of the same resource type are united, the request's winning by key.
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/launch-instances-from-launch-template.html */
#include "services/ec2/private.h"

#include <string.h>

static bool has_tag(const struct doc *spec, struct slice key)
{
    for (size_t i = 0; i < doc_count(spec, M_Tags); i++) {
        if (slice_equal(doc_text(doc_at(spec, M_Tags, i), M_Key), key)) {
            return true;
        }
    }
    return false;
}

static struct doc *spec_for(struct doc *specs, struct slice type)
{
    struct doc *spec;

    for (size_t i = 0; i < specs->u.list.count; i++) {
        if (slice_equal(doc_text(specs->u.list.elements[i], M_ResourceType), type)) {
            return specs->u.list.elements[i];
        }
    }
    spec = doc_list_add_struct(specs);
    doc_set_text(spec, M_ResourceType, type);
    return spec;
}

static void unite(struct doc *specs, const struct doc *from)
{
    for (size_t i = 0; i < doc_count(from, M_TagSpecifications); i++) {
        const struct doc *spec = doc_at(from, M_TagSpecifications, i);
        struct doc *into = spec_for(specs, doc_text(spec, M_ResourceType));

        for (size_t j = 0; j < doc_count(spec, M_Tags); j++) {
            const struct doc *tag = doc_at(spec, M_Tags, j);

            if (!has_tag(into, doc_text(tag, M_Key))) {
                struct doc *copy = doc_add_struct(into, M_Tags);

                doc_set_text(copy, M_Key, doc_text(tag, M_Key));
                doc_set_text(copy, M_Value, doc_text(tag, M_Value));
            }
        }
    }
}

/* The members of either group say where an instance's interface lies; a request that has any of
 * them means none of the template's. */
static bool in_list(int member, const int *members, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (members[i] == member) {
            return true;
        }
    }
    return false;
}

struct doc *template_merge(struct arena *arena, const struct doc *base, const struct doc *over)
{
    static const int flat[] = {M_SubnetId, M_SecurityGroupIds, M_SecurityGroups};
    struct doc *merged = doc_new(arena, DOC_STRUCT);
    bool over_interfaces = doc_count(over, M_NetworkInterfaces) > 0;

    for (size_t i = 0; base != NULL && i < base->u.fields.count; i++) {
        const struct doc_member *member = &base->u.fields.members[i];

        if (!(over_interfaces && in_list(member->id, flat, COUNT_OF(flat)))) {
            doc_set(merged, member->id, member->value);
        }
    }
    for (size_t i = 0; i < over->u.fields.count; i++) {
        doc_set(merged, over->u.fields.members[i].id, over->u.fields.members[i].value);
    }
    if (doc_has(base, M_TagSpecifications)) {
        struct doc *specs = doc_new(arena, DOC_LIST);

        unite(specs, over);
        unite(specs, base);
        doc_set(merged, M_TagSpecifications, specs);
    }
    return merged;
}
