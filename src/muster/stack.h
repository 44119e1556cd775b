/* Making, changing and deleting a CloudFormation stack, told from its events. */
#ifndef MUSTER_STACK_H
#define MUSTER_STACK_H

#include "muster/cli.h"

struct stack_spec {
    const char *name;
    const char *template_body;
    json_t *
        parameters; /* {name: text}; what is not there keeps its value, or its default. Borrowed. */
};

/* What DescribeStacks says of @name (the caller's); ERR_NOT_FOUND if there is none. */
int stack_find(struct cli *cli, const char *name, json_t **stack, struct error *err);

/* The stack @name as it can be worked with (the caller's): one that something else is changing is
 * waited for, one that never was complete is deleted. ERR_NOT_FOUND if there is none then. */
int stack_ready(struct cli *cli, const char *name, json_t **stack, struct error *err);

/* Create the stack, or update it, when it is ready, and wait. *@changed: there was something to do.
 * ERR_SYSTEM with the first reason when it failed. @stack is the caller's. */
int stack_apply(struct cli *cli, const struct stack_spec *spec, bool *changed, json_t **stack,
                struct error *err);

/* Delete and wait. ERR_NOT_FOUND if there is none. */
int stack_delete(struct cli *cli, const char *name, struct error *err);

/* Borrowed; "" if there is none. */
const char *stack_output(const json_t *stack, const char *key);
const char *stack_parameter(const json_t *stack, const char *key);

#endif /* MUSTER_STACK_H */
