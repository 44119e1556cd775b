/* Constraints of the model. AWS's query and json services report all that fail in one message,
 * "2 validation errors detected: Value ... at 'x' failed to satisfy constraint: ...; Value ...";
 * ec2 reports the first, in its own words. */
#include "wire/codec.h"

#include "base/text.h"

#define REPORTED_MAX 10

struct checking {
    enum family family;
    int count;
    struct buf text; /* The failures, joined. */
    struct error *err;
    int rc; /* ec2's: set by the first. */
};

/* A path of members as AWS prints it: 'tags.1.member.key'. */
static void add_name(struct buf *path, const char *name, bool lower)
{
    if (path->bytes > 0) {
        buf_add_byte(path, '.');
    }
    buf_add_byte(path,
                 lower && name[0] >= 'A' && name[0] <= 'Z' ? (char)(name[0] - 'A' + 'a') : name[0]);
    buf_add_z(path, name + 1);
}

static void add_value(struct buf *text, const struct doc *value)
{
    if (value == NULL) {
        buf_add_z(text, "Value null");
    } else if (value->kind == DOC_TEXT) {
        buf_printf(text, "Value '%.*s'", SLICE_ARG(value->u.text));
    } else if (value->kind == DOC_INT) {
        buf_printf(text, "Value '%lld'", (long long)value->u.integer);
    } else if (value->kind == DOC_DOUBLE) {
        buf_add_z(text, "Value '");
        buf_add_double(text, value->u.number);
        buf_add_byte(text, '\'');
    } else if (value->kind == DOC_LIST || value->kind == DOC_MAP) {
        buf_add_z(text, "Value '[");
        for (size_t i = 0; i < doc_length(value) && i < 5; i++) {
            buf_printf(text, "%s%.*s", i == 0 ? "" : ", ",
                       SLICE_ARG(doc_value_text(doc_element(value, i))));
        }
        buf_add_z(text, "]'");
    } else {
        buf_add_z(text, "Value");
    }
}

static void report(struct checking *checking, const struct buf *path, const struct doc *value,
                   const char *constraint)
{
    if (checking->family == FAMILY_EC2) {
        if (checking->rc == 0 && value == NULL) {
            checking->rc = error_api(checking->err, "MissingParameter",
                                     "The request must contain the parameter %s", buf_z(path));
        } else if (checking->rc == 0) {
            struct buf says = {0};

            add_value(&says, value);
            checking->rc = error_api(checking->err, "InvalidParameterValue",
                                     "%s for parameter %s is invalid. %s", buf_z(&says),
                                     buf_z(path), constraint);
            buf_close(&says);
        }
        return;
    }
    checking->count++;
    if (checking->count > REPORTED_MAX) {
        return;
    }
    if (checking->text.bytes > 0) {
        buf_add_z(&checking->text, "; ");
    }
    add_value(&checking->text, value);
    buf_printf(&checking->text, " at '%s' failed to satisfy constraint: %s", buf_z(path),
               constraint);
}

static void check_enum(struct checking *checking, const struct model_shape *shape,
                       const struct doc *value, const struct buf *path)
{
    struct buf constraint = {0};

    for (const char *const *name = shape->values; *name != NULL; name++) {
        if (slice_equal_z(value->u.text, *name)) {
            return;
        }
    }
    buf_add_z(&constraint, "Member must satisfy enum value set: [");
    for (const char *const *name = shape->values; *name != NULL; name++) {
        buf_printf(&constraint, "%s%s", name == shape->values ? "" : ", ", *name);
    }
    buf_add_byte(&constraint, ']');
    report(checking, path, value, buf_z(&constraint));
    buf_close(&constraint);
}

/* Characters, not bytes. */
static int64_t length_of(const struct doc *value)
{
    int64_t count = 0;

    if (value->kind != DOC_TEXT) {
        return value->kind == DOC_BLOB ? (int64_t)value->u.text.bytes : (int64_t)doc_length(value);
    }
    for (size_t i = 0; i < value->u.text.bytes; i++) {
        count += ((unsigned char)value->u.text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

static void check_bounds(struct checking *checking, const struct model_shape *shape,
                         const struct doc *value, const struct buf *path)
{
    bool is_number = shape->kind == DOC_INT || shape->kind == DOC_DOUBLE;
    double size = is_number ? doc_value_double(value) : (double)length_of(value);
    struct buf constraint = {0};

    if (shape->min != MODEL_NO_MIN && size < (double)shape->min) {
        buf_printf(&constraint, "Member must have %s greater than or equal to %lld",
                   is_number ? "value" : "length", (long long)shape->min);
    } else if (shape->max != MODEL_NO_MAX && size > (double)shape->max) {
        buf_printf(&constraint, "Member must have %s less than or equal to %lld",
                   is_number ? "value" : "length", (long long)shape->max);
    }
    if (constraint.bytes > 0) {
        report(checking, path, value, buf_z(&constraint));
    }
    buf_close(&constraint);
}

static void check_value(struct checking *checking, const struct model_shape *shape,
                        const struct doc *value, struct buf *path);

static void check_members(struct checking *checking, const struct model_shape *shape,
                          const struct doc *doc, struct buf *path)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        const struct model_member *member = &shape->members[i];
        const struct doc *value = doc_get(doc, member->id);
        size_t mark = path->bytes;

        if (value == NULL && !member->required) {
            continue;
        }
        add_name(path, member->name, checking->family != FAMILY_EC2);
        if (value == NULL) {
            report(checking, path, NULL, "Member must not be null");
        } else {
            check_value(checking, member->shape, value, path);
        }
        path->bytes = mark;
        path->data[mark] = '\0';
    }
}

static void check_elements(struct checking *checking, const struct model_shape *shape,
                           const struct doc *doc, struct buf *path)
{
    for (size_t i = 0; i < doc_length(doc); i++) {
        size_t mark = path->bytes;

        if (shape->kind == DOC_MAP) {
            buf_printf(path, ".%.*s.member", SLICE_ARG(doc_key(doc, i)));
        } else {
            buf_printf(path, checking->family == FAMILY_EC2 ? ".%zu" : ".%zu.member", i + 1);
        }
        check_value(checking, shape->element, doc_element(doc, i), path);
        path->bytes = mark;
        path->data[mark] = '\0';
    }
}

static void check_value(struct checking *checking, const struct model_shape *shape,
                        const struct doc *value, struct buf *path)
{
    if (shape->values != NULL) {
        check_enum(checking, shape, value, path);
    }
    if (shape->min != MODEL_NO_MIN || shape->max != MODEL_NO_MAX) {
        check_bounds(checking, shape, value, path);
    }
    if (shape->kind == DOC_STRUCT) {
        check_members(checking, shape, value, path);
    } else if (shape->kind == DOC_LIST || shape->kind == DOC_MAP) {
        check_elements(checking, shape, value, path);
    }
}

int check_input(const struct model_shape *shape, const struct doc *in, enum family family,
                struct error *err)
{
    struct checking checking = {.family = family, .err = err};
    struct buf path = {0};
    int rc;

    check_members(&checking, shape, in, &path);
    rc = checking.rc;
    if (checking.count > 0) {
        rc = error_api(err, family == FAMILY_JSON ? "ValidationException" : "ValidationError",
                       "%d validation error%s detected: %s", checking.count,
                       checking.count == 1 ? "" : "s", buf_z(&checking.text));
    }
    buf_close(&checking.text);
    buf_close(&path);
    return rc;
}
