/* What a request is about: the ARNs that its action is authorised on, by the model's templates. */
#include "wire/codec.h"

#include "base/buf.h"
#include "wire/server.h"

#include <string.h>

struct judging {
    const struct wire_hooks *hooks;
    struct ctx *ctx;
    const struct model_op *op;
    const char *action;
    size_t judged; /* ARNs so far. */
};

/* "{Member}", "{List.Member}" or "{Member:kind}" in a template. */
struct place {
    struct slice before, member, part, kind, after;
};

/* The first one; false when there is none. */
static bool find_place(struct slice template, struct place *place)
{
    size_t open = slice_find(template, '{'), close = slice_find(template, '}'), colon, dot;
    struct slice name;

    if (open == template.bytes || close == template.bytes) {
        return false;
    }
    name = slice_sub(template, open + 1, close - open - 1);
    colon = slice_find(name, ':');
    *place = (struct place){.before = slice_sub(template, 0, open),
                            .kind = slice_sub(name, colon + 1, name.bytes),
                            .after = slice_sub(template, close + 1, template.bytes)};
    name = slice_sub(name, 0, colon);
    dot = slice_find(name, '.');
    place->member = slice_sub(name, 0, dot);
    place->part = slice_sub(name, dot + 1, name.bytes);
    return true;
}

static bool is_fixed(struct slice member)
{
    return slice_equal_z(member, "region") || slice_equal_z(member, "account");
}

/* The place of the template's member; false when it has none. */
static bool find_member(struct slice template, struct place *place)
{
    while (find_place(template, place)) {
        if (!is_fixed(place->member)) {
            return true;
        }
        template = place->after;
    }
    return false;
}

/* The ARN of the thing that is called @value, which is NULL when the request names none. */
static const char *arn_of(const struct judging *judging, struct slice template, struct slice value)
{
    struct ctx *ctx = judging->ctx;
    struct buf arn = {0};
    struct place place;
    const char *copy;

    while (find_place(template, &place)) {
        struct slice text = value;

        if (slice_equal_z(place.member, "region")) {
            text = slice_z(judging->hooks->region);
        } else if (slice_equal_z(place.member, "account")) {
            text = slice_z(ctx->caller.account);
        } else if (place.kind.bytes > 0) {
            text = slice_z(judging->hooks->resource(ctx, place.kind, value));
            if (text.data == NULL) {
                buf_close(&arn);
                return NULL;
            }
        }
        buf_add(&arn, place.before);
        if (!is_fixed(place.member) && slice_starts(text, SLICE_LIT("arn:")) &&
            (place.kind.bytes > 0 || slice_starts(text, buf_slice(&arn)))) {
            buf_close(&arn); /* Things may be named by their ARNs, too. */
            return arena_strdup(ctx->arena, text);
        }
        if (text.bytes > 0 && text.data[0] == '/' && arn.bytes > 0 &&
            arn.data[arn.bytes - 1] == '/') {
            text = slice_sub(text, 1, text.bytes); /* parameter/a/b is called /a/b. */
        }
        buf_add(&arn, text.bytes > 0 ? text : SLICE_LIT("*"));
        template = place.after;
    }
    buf_add(&arn, template);
    copy = arena_strdup(ctx->arena, buf_slice(&arn));
    buf_close(&arn);
    return copy;
}

static int judge(struct judging *judging, struct slice template, struct slice value,
                 struct error *err)
{
    const char *arn = arn_of(judging, template, value);

    if (arn == NULL) {
        return 0;
    }
    judging->judged++;
    return judging->hooks->authorize(judging->ctx, judging->action, arn, err);
}

static int judge_template(struct judging *judging, struct slice template, const struct doc *in,
                          struct error *err)
{
    const struct model_member *member, *part = NULL;
    struct place place;
    int rc = 0;

    if (!find_member(template, &place)) {
        return judge(judging, template, SLICE_EMPTY, err);
    }
    member = model_member_named(judging->op->in, place.member); /* tools/api.py saw to it. */
    if (member->shape->kind != DOC_LIST) {
        struct slice value = doc_text(in, member->id);

        return value.bytes == 0 ? 0 : judge(judging, template, value, err);
    }
    if (place.part.bytes > 0) {
        part = model_member_named(member->shape->element, place.part);
    }
    for (size_t i = 0; rc == 0 && i < doc_count(in, member->id); i++) {
        rc = judge(judging, template,
                   part == NULL ? slice_z(doc_z_at(in, member->id, i))
                                : doc_text(doc_at(in, member->id, i), part->id),
                   err);
    }
    return rc;
}

int wire_authorize(const struct wire_hooks *hooks, struct ctx *ctx, const char *action,
                   const struct model_op *op, const struct doc *in, struct error *err)
{
    struct judging judging = {.hooks = hooks, .ctx = ctx, .op = op, .action = action};
    struct slice rest = slice_z(op->arn), template;
    int rc = 0;

    while (rc == 0 && slice_next(&rest, ',', &template)) {
        rc = judge_template(&judging, template, in, err);
    }
    if (rc != 0 || judging.judged > 0) {
        return rc;
    }
    rest = slice_z(op->arn);
    slice_next(&rest, ',', &template);
    rc = judge(&judging, template, SLICE_EMPTY, err);
    return rc != 0 || judging.judged > 0 ? rc : hooks->authorize(ctx, action, "*", err);
}
