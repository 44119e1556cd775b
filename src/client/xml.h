/* The query and ec2 protocols' XML answers as a JSON tree.
 *
 * Pure; any thread. An element with text is a string, one with elements inside an object, one whose
 * elements are all "member" or "item" a list; an empty element is "". Names that repeat become a
 * list. The root element's name is dropped; attributes, comments and declarations are skipped. What
 * the answers of AWS never have (documents of their own types, entities, CDATA) is an error. */
#ifndef CLIENT_XML_H
#define CLIENT_XML_H

#include "base/error.h"
#include "base/slice.h"

#include <jansson.h>

/* ERR_INVALID. The caller owns *@tree. */
int xml_to_json(struct slice text, json_t **tree, struct error *err);

#endif /* CLIENT_XML_H */
