/* CreateTable, UpdateTable, DeleteTable, DescribeTable, ListTables. */
#include "aws/id.h"
#include "base/alloc.h"
#include "base/macros.h"
#include "services/dynamodb/private.h"

#include <stdlib.h>
#include <string.h>

#define UNITS_MAX 1000000000000LL

static int invalid(struct error *err, const char *text)
{
    return error_api(err, "ValidationException", "%s%s", PARAMETER_INVALID, text);
}

/* "[a, b]": the names in the list of structs @member. */
static void names_text(const struct doc *in, int member, struct buf *text)
{
    buf_add_byte(text, '[');
    for (size_t i = 0; i < doc_count(in, member); i++) {
        buf_add_z(text, i == 0 ? "" : ", ");
        buf_add(text, doc_text(doc_at(in, member, i), M_AttributeName));
    }
    buf_add_byte(text, ']');
}

static const struct doc *definition_of(const struct doc *in, struct slice name)
{
    for (size_t i = 0; i < doc_count(in, M_AttributeDefinitions); i++) {
        const struct doc *definition = doc_at(in, M_AttributeDefinitions, i);

        if (slice_equal(doc_text(definition, M_AttributeName), name)) {
            return definition;
        }
    }
    return NULL;
}

static int check_units(const struct doc *throughput, struct error *err)
{
    static const struct {
        int member;
        const char *name;
    } units[] = {{M_ReadCapacityUnits, "ReadCapacityUnits"},
                 {M_WriteCapacityUnits, "WriteCapacityUnits"}};

    for (size_t i = 0; i < COUNT_OF(units); i++) {
        int64_t value = doc_int(throughput, units[i].member);

        if (value > UNITS_MAX) {
            return error_api(err, "ValidationException", "Given value %lld for %s is out of bounds",
                             (long long)value, units[i].name);
        }
    }
    return 0;
}

static int check_billing(const struct doc *in, struct error *err)
{
    bool on_demand = slice_equal_z(doc_text(in, M_BillingMode), "PAY_PER_REQUEST");
    bool provisioned = doc_has(in, M_ProvisionedThroughput);

    if (on_demand && provisioned) {
        return invalid(err, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when"
                            " BillingMode is PAY_PER_REQUEST");
    }
    if (!on_demand && !provisioned) {
        return invalid(err, "ReadCapacityUnits and WriteCapacityUnits must both be specified when"
                            " BillingMode is PROVISIONED");
    }
    return check_units(doc_get(in, M_ProvisionedThroughput), err);
}

static int undefined_key(const struct doc *in, struct error *err)
{
    struct buf keys = {0}, definitions = {0};

    names_text(in, M_KeySchema, &keys);
    names_text(in, M_AttributeDefinitions, &definitions);
    error_api(err, "ValidationException",
              PARAMETER_INVALID "Some index key attributes are not defined in AttributeDefinitions."
                                " Keys: %s, AttributeDefinitions: %s",
              buf_z(&keys), buf_z(&definitions));
    buf_close(&keys);
    buf_close(&definitions);
    return ERR_API;
}

static int check_schema(const struct doc *in, struct error *err)
{
    size_t keys = doc_count(in, M_KeySchema);
    const struct doc *first = doc_at(in, M_KeySchema, 0), *second = doc_at(in, M_KeySchema, 1);

    if (keys > doc_count(in, M_AttributeDefinitions)) {
        return error_api(err, "ValidationException",
                         "Invalid KeySchema: Some index key attribute have no definition");
    }
    for (size_t i = 0; i < keys; i++) {
        if (definition_of(in, doc_text(doc_at(in, M_KeySchema, i), M_AttributeName)) == NULL) {
            return undefined_key(in, err);
        }
    }
    if (second != NULL &&
        slice_equal(doc_text(first, M_AttributeName), doc_text(second, M_AttributeName))) {
        return error_api(err, "ValidationException",
                         "Both the Hash Key and the Range Key element in the KeySchema have the"
                         " same name");
    }
    if (!slice_equal_z(doc_text(first, M_KeyType), "HASH")) {
        return error_api(err, "ValidationException",
                         "Invalid KeySchema: The first KeySchemaElement is not a HASH key type");
    }
    if (second != NULL && !slice_equal_z(doc_text(second, M_KeyType), "RANGE")) {
        return error_api(err, "ValidationException",
                         "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type");
    }
    if (keys != doc_count(in, M_AttributeDefinitions)) {
        return invalid(err, "Number of attributes in KeySchema does not exactly match number of"
                            " attributes defined in AttributeDefinitions");
    }
    return 0;
}

static int check_name(struct slice name, struct error *err)
{
    if (name.bytes < 3 || name.bytes > 255) {
        return error_api(err, "ValidationException",
                         "TableName must be at least 3 characters long and at most 255 characters"
                         " long");
    }
    for (size_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '.' || c == '-')) {
            return error_api(err, "ValidationException",
                             "1 validation error detected: Value '%.*s' at 'tableName' failed to"
                             " satisfy constraint: Member must satisfy regular expression pattern:"
                             " [a-zA-Z0-9_.-]+",
                             SLICE_ARG(name));
        }
    }
    return 0;
}

static int check_key_count(const struct doc *in, struct error *err)
{
    struct buf text = {0};

    if (doc_count(in, M_KeySchema) == 0) {
        return error_api(err, "ValidationException",
                         "1 validation error detected: Value null at 'keySchema' failed to satisfy"
                         " constraint: Member must not be null");
    }
    if (doc_count(in, M_KeySchema) <= 2) {
        return 0;
    }
    for (size_t i = 0; i < doc_count(in, M_KeySchema); i++) {
        const struct doc *key = doc_at(in, M_KeySchema, i);

        buf_printf(&text, "%sKeySchemaElement(attributeName=%.*s, keyType=%.*s)",
                   i == 0 ? "" : ", ", SLICE_ARG(doc_text(key, M_AttributeName)),
                   SLICE_ARG(doc_text(key, M_KeyType)));
    }
    error_api(err, "ValidationException",
              "1 validation error detected: Value '[%s]' at 'keySchema' failed to satisfy"
              " constraint: Member must have length less than or equal to 2",
              buf_z(&text));
    buf_close(&text);
    return ERR_API;
}

/* What AWS has and muster has not (docs/fidelity.md) is refused, not dropped. */
static int check_supported(const struct doc *in, struct error *err)
{
    static const struct legacy_parameter unsupported[] = {
        {M_LocalSecondaryIndexes, "LocalSecondaryIndexes"},
        {M_GlobalSecondaryIndexes, "GlobalSecondaryIndexes"},
        {M_GlobalSecondaryIndexUpdates, "GlobalSecondaryIndexUpdates"},
    };

    for (size_t i = 0; i < COUNT_OF(unsupported); i++) {
        if (doc_count(in, unsupported[i].member) > 0) {
            return error_api(err, "ValidationException", "muster has no secondary indexes: %s",
                             unsupported[i].name);
        }
    }
    if (doc_bool(doc_get(in, M_StreamSpecification), M_StreamEnabled)) {
        return error_api(err, "ValidationException", "muster has no table streams");
    }
    if (doc_bool(doc_get(in, M_SSESpecification), M_Enabled)) {
        return error_api(err, "ValidationException",
                         "muster does not encrypt tables: SSESpecification");
    }
    if (doc_has(in, M_OnDemandThroughput) || doc_has(in, M_WarmThroughput)) {
        return error_api(err, "ValidationException",
                         "muster does not limit throughput: OnDemandThroughput, WarmThroughput");
    }
    return 0;
}

static int check_create(const struct doc *in, struct error *err)
{
    int rc = check_name(doc_text(in, M_TableName), err);

    if (rc == 0) {
        rc = check_key_count(in, err);
    }
    if (rc == 0) {
        rc = check_billing(in, err);
    }
    if (rc == 0) {
        rc = check_supported(in, err);
    }
    return rc != 0 ? rc : check_schema(in, err);
}

static enum value_type key_type(const struct doc *in, const struct doc *key)
{
    enum value_type type = VALUE_S;

    value_type_parse(doc_text(definition_of(in, doc_text(key, M_AttributeName)), M_AttributeType),
                     &type);
    return type;
}

static struct table *table_make(struct ctx *ctx, const struct doc *in)
{
    const struct doc *hash = doc_at(in, M_KeySchema, 0), *range = doc_at(in, M_KeySchema, 1);
    const struct doc *throughput = doc_get(in, M_ProvisionedThroughput);
    struct table *table = mem_calloc(1, sizeof(*table));
    char id[UUID_BYTES];

    id_new_uuid(id);
    table->name = mem_strdup(doc_z(in, M_TableName));
    table->id = mem_strdup(id);
    table->number = ++ctx->control->dynamodb->number_last;
    table->created_ms = ctx->now_ms;
    table->ready_ms = ctx->now_ms + TABLE_READY_MS;
    table->hash_name = mem_strdup(doc_z(hash, M_AttributeName));
    table->hash_type = key_type(in, hash);
    table->range_name = mem_strdup(doc_z(range, M_AttributeName));
    table->range_type = range == NULL ? VALUE_S : key_type(in, range);
    table->on_demand = throughput == NULL;
    table->on_demand_ms = table->on_demand ? ctx->now_ms : 0;
    table->read_units = doc_int(throughput, M_ReadCapacityUnits);
    table->write_units = doc_int(throughput, M_WriteCapacityUnits);
    table->protected = doc_bool(in, M_DeletionProtectionEnabled);
    table->table_class = mem_strdup(doc_z(in, M_TableClass));
    return table;
}

int dynamodb_create_table(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct dynamodb *dynamodb = ctx->control->dynamodb;
    struct table *table;
    const char *arn;
    int rc = check_create(in, err);

    if (rc != 0) {
        return rc;
    }
    if (map_get(&dynamodb->tables, doc_text(in, M_TableName)) != NULL) {
        return error_api(err, "ResourceInUseException", "Table already exists: %s",
                         doc_z(in, M_TableName));
    }
    if (dynamodb->tables.count >= TABLES_MAX) {
        return error_api(err, "LimitExceededException",
                         "Subscriber limit exceeded: There is a limit of %d tables per subscriber",
                         TABLES_MAX);
    }
    table = table_make(ctx, in);
    map_put(&dynamodb->tables, slice_z(table->name), table);
    table_put(ctx, table);
    arn = table_arn(ctx, table);
    for (size_t i = 0; i < doc_count(in, M_Tags); i++) {
        const struct doc *tag = doc_at(in, M_Tags, i);

        ctx_tag_put(ctx, arn, doc_z(tag, M_Key), doc_z(tag, M_Value));
    }
    table_describe(ctx, table, doc_set_struct(out, M_TableDescription));
    return 0;
}

/* Changes are refused while another one is under way. */
static int check_settled(const struct ctx *ctx, const struct table *table, struct error *err)
{
    const char *status = table_status(table, ctx->now_ms);

    if (strcmp(status, "ACTIVE") == 0) {
        return 0;
    }
    return error_api(err, "ResourceInUseException",
                     "Attempt to change a resource which is still in use: Table is being %s: %s",
                     strcmp(status, "CREATING") == 0   ? "created"
                     : strcmp(status, "UPDATING") == 0 ? "updated"
                                                       : "deleted",
                     table->name);
}

int dynamodb_delete_table(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct table *table;
    int rc = table_find(ctx, doc_text(in, M_TableName), &table, err);

    if (rc == 0 && !table->deleting) {
        rc = check_settled(ctx, table, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (table->protected) {
        return error_api(err, "ValidationException",
                         "1 validation error detected: Table '%s' can't be deleted while"
                         " DeletionProtectionEnabled is set to True",
                         table->name);
    }
    if (!table->deleting) {
        table->deleting = true;
        table->gone_ms = ctx->now_ms + TABLE_READY_MS;
        table_put(ctx, table);
        control_timer_at_ms(ctx->control->dynamodb->timer, ctx->now_ms);
    }
    table_describe(ctx, table, doc_set_struct(out, M_TableDescription));
    return 0;
}

int dynamodb_describe_table(struct ctx *ctx, const struct doc *in, struct doc *out,
                            struct error *err)
{
    struct table *table;
    int rc = table_find(ctx, doc_text(in, M_TableName), &table, err);

    if (rc == 0) {
        table_describe(ctx, table, doc_set_struct(out, M_Table));
    }
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int dynamodb_list_tables(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    struct dynamodb *dynamodb = ctx->control->dynamodb;
    const char **names = arena_calloc(ctx->arena, dynamodb->tables.count + 1, sizeof(*names));
    const char *after = doc_z(in, M_ExclusiveStartTableName);
    int64_t limit = doc_int_or(in, M_Limit, 100), given = 0;
    struct doc *list = doc_set_list(out, M_TableNames);
    const struct table *table;
    size_t count = 0;

    (void)err;
    for (size_t at = 0; (table = map_next(&dynamodb->tables, &at)) != NULL;) {
        names[count++] = table->name;
    }
    qsort(names, count, sizeof(*names), compare_names);
    for (size_t i = 0; i < count; i++) {
        if (after != NULL && strcmp(names[i], after) <= 0) {
            continue;
        }
        if (given == limit) {
            doc_set_text(out, M_LastEvaluatedTableName,
                         doc_value_text(doc_element(list, doc_length(list) - 1)));
            break;
        }
        doc_list_add_z(list, names[i]);
        given++;
    }
    return 0;
}

/* UpdateTable. */

static int same_throughput(const struct table *table, const struct doc *throughput,
                           struct error *err)
{
    int64_t read = doc_int(throughput, M_ReadCapacityUnits);
    int64_t write = doc_int(throughput, M_WriteCapacityUnits);

    if (table->on_demand || read != table->read_units || write != table->write_units) {
        return 0;
    }
    return error_api(err, "ValidationException",
                     "The provisioned throughput for the table will not change. The requested value"
                     " equals the current value. Current ReadCapacityUnits provisioned for the"
                     " table: %lld. Requested ReadCapacityUnits: %lld. Current WriteCapacityUnits"
                     " provisioned for the table: %lld. Requested WriteCapacityUnits: %lld. Refer"
                     " to the Amazon DynamoDB Developer Guide for current limits and how to request"
                     " higher limits.",
                     (long long)table->read_units, (long long)read, (long long)table->write_units,
                     (long long)write);
}

static int check_update(const struct table *table, const struct doc *in, struct error *err)
{
    const struct doc *throughput = doc_get(in, M_ProvisionedThroughput);
    struct slice mode = doc_text(in, M_BillingMode);
    int rc = check_supported(in, err);

    if (rc != 0) {
        return rc;
    }
    if (throughput == NULL && mode.bytes == 0 && !doc_has(in, M_DeletionProtectionEnabled) &&
        !doc_has(in, M_TableClass) && !doc_has(in, M_SSESpecification)) {
        return error_api(err, "ValidationException",
                         "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled,"
                         " GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is"
                         " required");
    }
    if (slice_equal_z(mode, "PAY_PER_REQUEST") && throughput != NULL) {
        return invalid(err, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when"
                            " BillingMode is PAY_PER_REQUEST");
    }
    if (slice_equal_z(mode, "PROVISIONED") && throughput == NULL && table->on_demand) {
        return invalid(err,
                       "ProvisionedThroughput must be specified when BillingMode is PROVISIONED");
    }
    if (mode.bytes == 0 && throughput != NULL && table->on_demand) {
        return invalid(err, "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when"
                            " BillingMode is PAY_PER_REQUEST");
    }
    if (throughput != NULL) {
        rc = check_units(throughput, err);
        return rc != 0 ? rc : same_throughput(table, throughput, err);
    }
    return 0;
}

int dynamodb_update_table(struct ctx *ctx, const struct doc *in, struct doc *out, struct error *err)
{
    const struct doc *throughput = doc_get(in, M_ProvisionedThroughput);
    struct table *table;
    int rc = table_find(ctx, doc_text(in, M_TableName), &table, err);

    if (rc == 0) {
        rc = check_settled(ctx, table, err);
    }
    if (rc == 0) {
        rc = check_update(table, in, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (throughput != NULL) {
        table->on_demand = false;
        table->read_units = doc_int(throughput, M_ReadCapacityUnits);
        table->write_units = doc_int(throughput, M_WriteCapacityUnits);
    } else if (slice_equal_z(doc_text(in, M_BillingMode), "PAY_PER_REQUEST") && !table->on_demand) {
        table->on_demand = true;
        table->on_demand_ms = ctx->now_ms;
    }
    table->protected = doc_bool_or(in, M_DeletionProtectionEnabled, table->protected);
    if (doc_has(in, M_TableClass)) {
        free(table->table_class);
        table->table_class = mem_strdup(doc_z(in, M_TableClass));
    }
    table->created = true;
    table->ready_ms = ctx->now_ms + TABLE_READY_MS;
    table_put(ctx, table);
    table_describe(ctx, table, doc_set_struct(out, M_TableDescription));
    return 0;
}
