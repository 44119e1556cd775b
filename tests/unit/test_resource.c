/* Which ARNs a request is authorised on: the model's arn=. */
#include "check.h"

#include "base/buf.h"
#include "wire/server.h"

#include <stdio.h>

enum { ONE = 1, OTHER, MANY, ROWS, ID };

static const struct model_shape text = {
    .kind = DOC_TEXT, .name = "", .min = MODEL_NO_MIN, .max = MODEL_NO_MAX};
static const struct model_shape texts = {.kind = DOC_LIST, .name = "", .element = &text};
static const struct model_member row_members[] = {{.id = ID, .name = "Id", .shape = &text}};
static const struct model_shape row = {
    .kind = DOC_STRUCT, .name = "Row", .members = row_members, .member_count = 1};
static const struct model_shape rows = {.kind = DOC_LIST, .name = "", .element = &row};
static const struct model_member members[] = {{.id = ONE, .name = "One", .shape = &text},
                                              {.id = OTHER, .name = "Other", .shape = &text},
                                              {.id = MANY, .name = "Many", .shape = &texts},
                                              {.id = ROWS, .name = "Rows", .shape = &rows}};
static const struct model_shape input = {
    .kind = DOC_STRUCT, .name = "In", .members = members, .member_count = COUNT_OF(members)};

static struct buf judged;

/* Notes what is asked; denies whatever ends in "secret". */
static int note(struct ctx *ctx, const char *action, const char *resource, struct error *err)
{
    (void)ctx;
    check_text("action", "s:Do", slice_z(action));
    buf_printf(&judged, "%s%s", judged.bytes == 0 ? "" : " ", resource);
    return slice_ends(slice_z(resource), SLICE_LIT("secret")) ? error_set(err, ERR_DENIED, "no")
                                                              : 0;
}

static const char *resource(struct ctx *ctx, struct slice kind, struct slice value)
{
    if (slice_equal_z(value, "none")) {
        return NULL;
    }
    return slice_equal_z(kind, "whole")
               ? "arn:whole"
               : arena_printf(ctx->arena, "%.*s/path/%.*s", SLICE_ARG(kind),
                              SLICE_ARG(value.bytes > 0 ? value : SLICE_LIT("self")))
                     .data;
}

static void each_thing_is_judged(void **state)
{
    static const struct {
        const char *arn, *one, *other, *many[3], *row, *judged;
        bool denied;
    } cases[] = {
        {.arn = "*", .one = "a", .judged = "*"},
        {.arn = "arn:{region}:{account}:t/{One}", .one = "a", .judged = "arn:here:1:t/a"},
        {.arn = "arn:t/{One}", .judged = "arn:t/*"},
        {.arn = "arn:t/{One}", .one = "/a/b", .judged = "arn:t/a/b"},
        {.arn = "arn:t/{One}", .one = "arn:t/a", .judged = "arn:t/a"},
        {.arn = "arn:t/{One}", .one = "arn:another", .judged = "arn:t/arn:another"},
        {.arn = "{One}", .one = "arn:another", .judged = "arn:another"},
        {.arn = "arn:t/*,arn:u/{One}", .one = "a", .judged = "arn:t/* arn:u/a"},
        {.arn = "arn:t/{One},arn:u/{Other}", .one = "a", .judged = "arn:t/a"},
        {.arn = "arn:t/{One},arn:u/{Other}", .other = "b", .judged = "arn:u/b"},
        {.arn = "arn:t/{One},arn:u/{Other}", .judged = "arn:t/*"},
        {.arn = "arn:t/{Many}", .many = {"a", "b", "c"}, .judged = "arn:t/a arn:t/b arn:t/c"},
        {.arn = "arn:t/{Many}", .judged = "arn:t/*"},
        {.arn = "arn:t/{Many}",
         .many = {"a", "secret", "c"},
         .judged = "arn:t/a arn:t/secret",
         .denied = true},
        {.arn = "arn:t/{Rows.Id}", .row = "a", .judged = "arn:t/a"},
        {.arn = "arn:{One:role}", .one = "a", .judged = "arn:role/path/a"},
        {.arn = "arn:{One:role}", .judged = "arn:role/path/self"},
        {.arn = "arn:t/{One:whole}", .one = "a", .judged = "arn:whole"},
        {.arn = "arn:{One:role}", .one = "none", .judged = "arn:role/path/self"},
        {.arn = "arn:{One:role},arn:t/{Other}", .one = "none", .other = "b", .judged = "arn:t/b"},
        {.arn = "arn:{Rows.Id:role}", .row = "a", .judged = "arn:role/path/a"},
    };
    const struct wire_hooks hooks = {.region = "here", .authorize = note, .resource = resource};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct model_op op = {.name = "Do", .in = &input, .arn = cases[i].arn};
        struct arena arena = {0};
        struct ctx ctx = {.arena = &arena, .caller = {.account = "1"}};
        struct doc *in = doc_new(&arena, DOC_STRUCT);

        doc_set_z(in, ONE, cases[i].one);
        doc_set_z(in, OTHER, cases[i].other);
        for (size_t j = 0; j < COUNT_OF(cases[i].many) && cases[i].many[j] != NULL; j++) {
            doc_add_z(in, MANY, cases[i].many[j]);
        }
        if (cases[i].row != NULL) {
            doc_set_z(doc_add_struct(in, ROWS), ID, cases[i].row);
        }
        check_int(cases[i].arn, cases[i].denied ? ERR_DENIED : 0,
                  wire_authorize(&hooks, &ctx, "s:Do", &op, in, NULL));
        check_text(cases[i].arn, cases[i].judged, buf_slice(&judged));
        buf_close(&judged);
        arena_close(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_thing_is_judged)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
