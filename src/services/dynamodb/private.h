/* What DynamoDB's files share. Loop thread, but for what runs in item jobs. */
#ifndef SERVICES_DYNAMODB_PRIVATE_H
#define SERVICES_DYNAMODB_PRIVATE_H

#include "api/handlers.h"
#include "api/members.h"
#include "base/buf.h"
#include "base/map.h"
#include "services/control.h"
#include "services/dynamodb/dynamodb.h"
#include "services/dynamodb/expression.h"
#include "services/dynamodb/value.h"
#include "store/items.h"

#define TABLE_READY_MS 1000 /* CREATING and DELETING last this long on muster's clock. */
#define TABLES_MAX 2500     /* AWS's quota per region. */
#define HASH_KEY_BYTES_MAX 2048
#define RANGE_KEY_BYTES_MAX 1024
#define PAGE_BYTES_MAX (1024 * 1024)

struct table {
    char *name;
    char *id;       /* A UUID. */
    int64_t number; /* The items' table in the store; not used again while any are left. */
    int64_t created_ms;
    int64_t ready_ms; /* CREATING or UPDATING until then. */
    bool created;     /* It was ACTIVE once; what precedes ready_ms is UPDATING. */
    bool deleting;
    int64_t gone_ms; /* When deleting: not before. */
    char *hash_name;
    enum value_type hash_type;
    char *range_name; /* NULL: partition key only. */
    enum value_type range_type;
    bool on_demand;
    int64_t on_demand_ms; /* Since when; 0: never was. */
    int64_t read_units, write_units;
    bool protected;
    char *table_class;   /* NULL: never set. */
    char *ttl_attribute; /* NULL: off. */
    bool clearing;       /* Its items are being deleted. Not stored. */
};

/* A ClientRequestToken of TransactWriteItems; its row in the store is written by the transaction
 * that it names. */
#define TOKENS_TABLE 0
#define TOKEN_LIFE_MS (10 * 60 * 1000)
#define TOKEN_DIGEST_BYTES 65

struct token {
    char *text;
    char digest[TOKEN_DIGEST_BYTES];
    int64_t until_ms;
    bool done; /* Else its transaction is under way. */
};

struct dynamodb {
    struct control *control;
    struct map tables; /* By name. */
    struct map tokens; /* By text. */
    int64_t number_last;
    struct control_timer *timer; /* For the next table to be gone. */
    size_t clearing;             /* Jobs under way. */
};

/* tables.c */
extern const struct record table_record;
void table_close(struct table *table);
const char *table_arn(struct ctx *ctx, const struct table *table);
const char *table_status(const struct table *table, int64_t now_ms);
void table_put(struct ctx *ctx, const struct table *table);
/* By name or ARN. ResourceNotFoundException "Requested resource not found: Table: X not found". */
int table_find(struct ctx *ctx, struct slice name, struct table **table, struct error *err);
/* For item actions: also refuses tables that are CREATING or DELETING. */
/* May ctx's caller do @action ("dynamodb:PutItem") to the table, which is named or given by its
 * ARN? */
int table_authorize(struct ctx *ctx, const char *action, struct slice name, struct error *err);
int table_find_usable(struct ctx *ctx, struct slice name, struct table **table, struct error *err);
void table_describe(struct ctx *ctx, const struct table *table, struct doc *out);
/* Start or resume what is due among the deletions; set the timer for the rest. */
void tables_sweep(struct ctx *ctx, void *dynamodb);

/* transact.c */
int tokens_load(struct dynamodb *dynamodb, struct error *err);
void token_free(struct token *token);

/* lifecycle.c, metadata.c, single.c, batch.c, read.c and query.c hold handlers only. */

/* keys.c */
struct item_keys {
    struct buf hash, range; /* As the store sorts them. */
};

void keys_close(struct item_keys *keys);
/* How the hash column begins: items spread over the table by it, as on AWS. */
uint32_t key_spread(struct slice encoded);
void key_encode_hash(const json_t *value, struct buf *hash);
/* From an Item, in PutItem's words. */
int keys_of_item(const struct table *table, const json_t *item, struct item_keys *keys,
                 struct error *err);
/* From a Key parameter: exactly the key attributes. */
int keys_of_key(const struct table *table, const json_t *key, struct item_keys *keys,
                struct error *err);
/* The key attributes of an item; a new reference. */
json_t *key_of_item(const struct table *table, const json_t *item);

/* request.c */
/* A map member of JSON values as one object, unchecked; a new reference, NULL when absent. */
json_t *map_json(const struct doc *in, int member);
/* The same with every value checked and canonical: an Item or a Key. */
int item_json(const struct doc *in, int member, json_t **item, struct error *err);
int item_json_of(const struct doc *map, json_t **item, struct error *err);
struct legacy_parameter {
    int member;
    const char *name;
};
/* Refuse the parameters of before the expressions, naming the one that is there. */
int refuse_legacy(const struct doc *in, const struct legacy_parameter *parameters, size_t count,
                  struct error *err);
/* Names and values into @scope. @expressions are the action's, for the error when there is none:
 * "ConditionExpression is null". */
int scope_read(struct scope *scope, const struct doc *in,
               const struct legacy_parameter *expressions, size_t count, bool takes_values,
               struct error *err);
/* ReturnConsumedCapacity: fill @node (a struct) or leave @out without it. */
void capacity_set(const struct doc *in, struct doc *out, const char *table, double units);
void capacity_fill(const struct doc *in, struct doc *node, const char *table, double units);
bool capacity_wanted(const struct doc *in);
double read_units(int64_t bytes, bool consistent);
double write_units(int64_t bytes);
json_t *item_parse(struct slice text);

#endif /* SERVICES_DYNAMODB_PRIVATE_H */
