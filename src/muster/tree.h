/* Reading the JSON trees that AWS's answers become (client/xml.h). Pure. */
#ifndef MUSTER_TREE_H
#define MUSTER_TREE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* The node at @path ("State.Name"), or NULL. Borrowed. */
json_t *tree_at(const json_t *tree, const char *path);
/* Its text, "" if it is absent or none. Borrowed. */
const char *tree_text(const json_t *tree, const char *path);
/* Its list, or NULL, which jansson takes for an empty one. Borrowed. */
json_t *tree_list(const json_t *tree, const char *path);
/* Its number, also when it is written as text; @otherwise if it is none. */
int64_t tree_int(const json_t *tree, const char *path, int64_t otherwise);
double tree_double(const json_t *tree, const char *path, double otherwise);
bool tree_is(const json_t *tree, const char *path, const char *text);
/* The element of @list whose @member is @text, or NULL. */
json_t *tree_find(const json_t *list, const char *member, const char *text);
/* The value of tag @key in a list of {Key, Value} (or {key, value}); "" if there is none. */
const char *tree_tag(const json_t *tags, const char *key);

#endif /* MUSTER_TREE_H */
