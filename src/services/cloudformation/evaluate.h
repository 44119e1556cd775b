/* The intrinsic functions: a piece of a template with parameters and resources put in.
 *
 * Ref, Fn::GetAtt, Fn::Sub, Fn::Join, Fn::Select, Fn::Split, Fn::Base64, Fn::GetAZs, Fn::FindInMap,
 * Fn::If and the conditions Fn::Equals, Fn::And, Fn::Or, Fn::Not, Condition. AWS::NoValue drops the
 * member that it is the value of. Pure; bounded by the depth of the template, and by how much text
 * and how many conditions one value may come to. */
#ifndef SERVICES_CLOUDFORMATION_EVALUATE_H
#define SERVICES_CLOUDFORMATION_EVALUATE_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Give a parameter's, pseudo parameter's or resource's value: Ref when @attribute is NULL, else
 * GetAtt. A new reference in *@value; ERR_NOT_FOUND when there is none. */
typedef int evaluate_lookup_fn(void *data, const char *name, const char *attribute, json_t **value,
                               struct error *err);

struct evaluation {
    json_t *template; /* Borrowed: Mappings and Conditions. */
    evaluate_lookup_fn *lookup;
    void *data;
    const char *const *zones; /* What Fn::GetAZs gives, NULL-terminated. */
    int64_t *room;            /* What is left of its bounds; evaluate.c sets it. */
};

/* A new reference in *@result; NULL when the value is AWS::NoValue. */
int evaluate(const struct evaluation *evaluation, json_t *value, json_t **result,
             struct error *err);

/* The named condition of the template. */
int evaluate_condition(const struct evaluation *evaluation, const char *name, bool *holds,
                       struct error *err);

#endif /* SERVICES_CLOUDFORMATION_EVALUATE_H */
