/* Templates as JSON trees: YAML or JSON text in, with YAML's short forms (!Ref, !Sub, !GetAtt)
 * spelled out as {"Ref": ...}, {"Fn::Sub": ...}, {"Fn::GetAtt": [...]}. Pure; bounded by the text's
 * size, TEMPLATE_DEPTH_MAX and the refusal of YAML aliases (as on AWS), so that a template cannot
 * grow while it is read. */
#ifndef SERVICES_CLOUDFORMATION_TEMPLATE_H
#define SERVICES_CLOUDFORMATION_TEMPLATE_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>
#include <stdbool.h>

#define TEMPLATE_BODY_BYTES_MAX 51200 /* "Template may not exceed 51200 bytes": AWS's quota. */
#define TEMPLATE_DEPTH_MAX 64

/* A new reference in *@json. The error is AWS's ValidationError, with line and column. Keys keep
 * the order of the text. Every scalar but null is a text, what type it has is for the property to
 * say: a YAML one as it was written ("007", "yes"), as CloudFormation has it; JSON's numbers as
 * short as they can be. */
int template_parse(struct slice text, json_t **json, struct error *err);

/* Names of resources that @value needs (Ref, GetAtt, Sub): call @fn for each occurrence. */
typedef void template_reference_fn(void *data, const char *name, const char *attribute);
void template_references(json_t *value, template_reference_fn *fn, void *data);

/* A ${Name} or ${Name.Attr} in a Fn::Sub text: the next one at or after *@at, which moves past it.
 * ${!Literal} is skipped. False at the end. */
bool template_sub_next(struct slice text, size_t *at, struct slice *before, struct slice *name);

#endif /* SERVICES_CLOUDFORMATION_TEMPLATE_H */
