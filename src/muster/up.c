/* muster up: the stack in three phases (deploy/stack.yaml has them), and a validation.
 *
 * 1. Everything with 0 instances and a generic image. 2. The service is baked into an image of its
 * own. 3. The stack is updated to that image and its instances. Every phase finds out what is there
 * already, so that a second run converges: what a killed one began is finished, a changed service
 * gets a new image and instances one after the other, and nothing goes through 0 instances. */
#include "base/alloc.h"
#include "base/clock.h"
#include "muster/bake.h"
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/deploy.h"
#include "muster/duration.h"
#include "muster/service.h"
#include "muster/stack.h"
#include "muster/validate.h"

#include <stdlib.h>
#include <string.h>

#define TEMPLATE_BYTES_MAX 51200 /* CloudFormation's. */

struct up {
    struct cli *cli;
    const char *name;
    char *file;
    struct buf text;
    json_t *parameters; /* Of the command line. */
    json_t *declared;   /* The template's. */
    char *image;        /* NULL: the template has no phases. */
    bool changed, baked;
    int replaced; /* Instances of an older image. */
    json_t *stack, *checks;
    struct service service;
};

static int read_template(struct up *up, struct error *err)
{
    const char *word = up->cli->arguments.words[0];
    json_t *answer = NULL;
    int rc;

    if (word != NULL) {
        up->file = mem_strdup(word);
        rc = 0;
    } else {
        rc = deploy_file("stack.yaml", &up->file, err);
    }
    if (rc == 0) {
        rc = deploy_read(up->file, TEMPLATE_BYTES_MAX, &up->text, err);
    }
    if (rc == 0) {
        rc = cli_call(up->cli, AWS_CLOUD_FORMATION, "GetTemplateSummary", &answer, err,
                      "TemplateBody", buf_z(&up->text), NULL);
        if (rc != 0) {
            error_wrap(err, "%s", up->file);
        }
        up->declared = json_incref(tree_list(answer, "Parameters"));
        json_decref(answer);
    }
    return rc;
}

static bool declares(const struct up *up, const char *name)
{
    return tree_find(up->declared, "ParameterKey", name) != NULL;
}

static int read_parameters(struct up *up, struct error *err)
{
    const char *text;
    size_t at = 0;

    up->parameters = json_object();
    while ((text = arguments_next(&up->cli->arguments, "parameter", &at)) != NULL) {
        size_t equals = slice_find(slice_z(text), '=');
        char *name = mem_strndup(text, equals);
        bool known = declares(up, name);

        if (text[equals] == '\0' || !known) {
            free(name);
            return text[equals] == '\0'
                       ? error_set(err, ERR_CONFIG, "--parameter takes NAME=VALUE, not '%s'", text)
                       : error_set(err, ERR_CONFIG, "%s has no parameter %.*s", up->file,
                                   (int)equals, text);
        }
        json_object_set_new(up->parameters, name, json_string(text + equals + 1));
        free(name);
    }
    return 0;
}

static void add_parameter(json_t *all, const char *name, const char *value)
{
    if (json_object_get(all, name) == NULL) {
        json_object_set_new(all, name, json_string(value));
    }
}

static int apply(struct up *up, json_t *parameters, struct error *err)
{
    const struct stack_spec spec = {
        .name = up->name, .template_body = buf_z(&up->text), .parameters = parameters};
    bool changed = false;
    int rc;

    json_decref(up->stack);
    up->stack = NULL;
    rc = stack_apply(up->cli, &spec, &changed, &up->stack, err);
    up->changed |= rc == 0 && changed;
    return rc;
}

/* Phase 1, once in a stack's life. */
static int lay_ground(struct up *up, const char *base_image, struct error *err)
{
    int rc = stack_ready(up->cli, up->name, &up->stack, err);

    if (rc == 0) {
        terminal_good(&up->cli->terminal, "stack %s is there", up->name);
    } else if (rc == ERR_NOT_FOUND) {
        json_t *parameters = json_copy(up->parameters);

        json_object_set_new(parameters, "ImageId", json_string(base_image));
        json_object_set_new(parameters, "MinSize", json_string("0"));
        json_object_set_new(parameters, "DesiredCapacity", json_string("0"));
        rc = apply(up, parameters, err);
        json_decref(parameters);
    }
    return rc;
}

/* Phase 2. */
static int bake(struct up *up, const char *base_image, struct error *err)
{
    const char *given = cli_option(up->cli, "candidate");
    struct bake_options options = {.stack = up->name,
                                   .vpc = stack_output(up->stack, "VpcId"),
                                   .subnet = stack_output(up->stack, "BuildSubnetId"),
                                   .base_image = base_image,
                                   .ssh_user = "admin"};
    char *candidate = given == NULL ? NULL : mem_strdup(given), *script = NULL, *unit = NULL;
    int rc = given == NULL ? deploy_program("candidate", &candidate, err) : 0;

    if (rc == 0) {
        rc = deploy_file("packer/bake.sh", &script, err);
    }
    if (rc == 0) {
        rc = deploy_file("packer/candidate.service", &unit, err);
    }
    if (rc == 0 && (options.vpc[0] == '\0' || options.subnet[0] == '\0')) {
        rc = error_set(err, ERR_CONFIG,
                       "stack %s has no outputs VpcId and BuildSubnetId, so there is no place to "
                       "bake; say which image to use with --parameter ImageId=...",
                       up->name);
    }
    options.candidate = candidate;
    options.bake_script = script;
    options.service_unit = unit;
    if (rc == 0) {
        rc = bake_image(up->cli, &options, &up->image, &up->baked, err);
    }
    if (rc == 0) {
        terminal_good(&up->cli->terminal, "image %s %s", up->image,
                      !up->baked           ? "has this service already"
                      : up->cli->about.sim ? "is a model; nothing was baked into it"
                                           : "has the service in it");
    }
    free(candidate);
    free(script);
    free(unit);
    return rc;
}

/* Phase 3. */
static int populate(struct up *up, struct error *err)
{
    json_t *parameters = json_copy(up->parameters);
    int rc;

    add_parameter(parameters, "ImageId", up->image);
    /* Back from phase 1: what the template says. */
    for (size_t i = 0; i < json_array_size(up->declared); i++) {
        const json_t *row = json_array_get(up->declared, i);
        const char *name = tree_text(row, "ParameterKey");

        if (json_object_get(row, "DefaultValue") != NULL) {
            add_parameter(parameters, name, tree_text(row, "DefaultValue"));
        }
    }
    rc = apply(up, parameters, err);
    json_decref(parameters);
    return rc;
}

/* An instance of the group whose image is not the stack's; "" if there is none. */
static int find_old(struct up *up, char id[64], struct error *err)
{
    json_t *instances = NULL, *row;
    size_t i;
    int rc = service_instances(up->cli, &up->service, false, &instances, err);

    id[0] = '\0';
    json_array_foreach(instances, i, row)
    {
        json_t *answer = NULL;
        const json_t *instance;

        if (rc != 0 || id[0] != '\0') {
            break;
        }
        rc = cli_call(up->cli, AWS_EC2, "DescribeInstances", &answer, err, "InstanceId.1",
                      tree_text(row, "InstanceId"), NULL);
        instance = json_array_get(
            tree_list(json_array_get(tree_list(answer, "reservationSet"), 0), "instancesSet"), 0);
        if (rc == 0 && !tree_is(instance, "imageId", up->image)) {
            snprintf(id, 64, "%s", tree_text(row, "InstanceId"));
        }
        json_decref(answer);
    }
    json_decref(instances);
    return rc;
}

/* One instance after the other, each when all are well. */
static int replace_old(struct up *up, struct error *err)
{
    char id[64];
    int rc = find_old(up, id, err);

    while (rc == 0 && id[0] != '\0') {
        terminal_note(&up->cli->terminal, "instance %s has an older image and is replaced", id);
        rc = cli_call(up->cli, AWS_AUTO_SCALING, "TerminateInstanceInAutoScalingGroup", NULL, err,
                      "InstanceId", id, "ShouldDecrementDesiredCapacity", "false", NULL);
        if (rc == 0) {
            up->replaced++;
            rc = service_wait(up->cli, &up->service, err);
        }
        if (rc == 0) {
            rc = find_old(up, id, err);
        }
    }
    return rc;
}

static int check_service(struct up *up, struct error *err)
{
    int rc = service_find(up->cli, up->name, &up->service, err);

    if (rc == ERR_NOT_FOUND) {
        return 0; /* A stack without a group: there is nothing to wait for. */
    }
    if (rc == 0) {
        rc = service_wait(up->cli, &up->service, err);
    }
    if (rc == 0 && up->image != NULL) {
        rc = replace_old(up, err);
    }
    if (rc == 0 && cli_option(up->cli, "no-validation") == NULL) {
        terminal_head(&up->cli->terminal, "Validation");
        rc = validate_service(up->cli, &up->service, &up->checks, err);
    }
    return rc;
}

static int phases(struct up *up, struct error *err)
{
    const char *image = cli_option(up->cli, "image");
    bool phased = declares(up, "ImageId") && declares(up, "MinSize") &&
                  declares(up, "DesiredCapacity") &&
                  json_object_get(up->parameters, "ImageId") == NULL;
    int rc = 0;

    if (phased && image == NULL && !up->cli->about.known) {
        return error_set(err, ERR_CONFIG,
                         "this is not a muster: say which Debian image to bake on with --image "
                         "ami-...");
    }
    image = image == NULL ? BASE_IMAGE_DEFAULT : image;
    cli_catch_signals(up->cli);
    if (phased) {
        terminal_head(&up->cli->terminal, "1/3 Network, table, load balancer, group: stack %s",
                      up->name);
        rc = lay_ground(up, image, err);
        if (rc == 0) {
            terminal_head(&up->cli->terminal, "2/3 An image with the service in it");
            rc = bake(up, image, err);
        }
        if (rc == 0) {
            terminal_head(&up->cli->terminal, "3/3 The group's instances");
        }
    }
    if (rc == 0 && phased) {
        rc = populate(up, err);
    } else if (rc == 0) {
        rc = apply(up, up->parameters, err);
    }
    if (rc == 0 && !up->changed) {
        terminal_good(&up->cli->terminal, "nothing had to be changed");
    }
    return rc == 0 ? check_service(up, err) : rc;
}

static void tell_end(struct up *up, int64_t took_ms)
{
    struct terminal *terminal = &up->cli->terminal;
    char took[DURATION_TEXT_BYTES];

    duration_format(took_ms, took);
    terminal_say(terminal, "%s", "");
    terminal_head(terminal, "%s is up, after %s", up->name, took);
    if (up->service.url != NULL) {
        terminal_say(terminal, "  %s/candidates", up->service.url);
        terminal_say(terminal, "  curl -X POST %s/candidate/Ada", up->service.url);
    }
    if (up->service.group != NULL) {
        terminal_say(terminal, "  muster status --watch    what the group does");
        terminal_say(terminal, "  muster stress --for 6m   make it grow, then shrink");
    }
}

static json_t *outputs_of(const json_t *stack)
{
    json_t *outputs = json_object(), *row;
    size_t i;

    json_array_foreach(tree_list(stack, "Outputs"), i, row)
    {
        json_object_set_new(outputs, tree_text(row, "OutputKey"),
                            json_string(tree_text(row, "OutputValue")));
    }
    return outputs;
}

static int run(struct cli *cli, struct error *err)
{
    struct up up = {.cli = cli, .name = deploy_stack_name(cli)};
    int64_t begin_ms = time_boot_ms();
    int rc = read_template(&up, err);

    if (rc == 0) {
        rc = read_parameters(&up, err);
    }
    if (rc == 0) {
        rc = phases(&up, err);
    }
    if (rc == 0) {
        tell_end(&up, time_boot_ms() - begin_ms);
        cli_result(cli, json_pack("{s:s, s:s, s:b, s:s*, s:b, s:i, s:s*, s:o, s:O*}", "StackName",
                                  up.name, "StackStatus", tree_text(up.stack, "StackStatus"),
                                  "Changed", up.changed, "ImageId", up.image, "Baked", up.baked,
                                  "ReplacedInstances", up.replaced, "Url", up.service.url,
                                  "Outputs", outputs_of(up.stack), "Checks", up.checks));
    } else if (cli->interrupted) {
        error_set(err, ERR_TIMEOUT,
                  "interrupted. 'muster up' goes on from here; 'muster down' "
                  "removes what there is");
    }
    service_close(&up.service);
    json_decref(up.stack);
    json_decref(up.checks);
    json_decref(up.declared);
    json_decref(up.parameters);
    buf_close(&up.text);
    free(up.file);
    free(up.image);
    return rc;
}

static const struct option_row options[] = {
    {"name", "NAME", "the stack's name (candidates)"},
    {"parameter", "NAME=VALUE", "a parameter of the template; may be repeated"},
    {"image", "AMI", "bake on this image (muster's own, ami-0deb1a12000000000)"},
    {"candidate", "FILE", "the service to bake (the installed one)"},
    {"no-validation", NULL, "do not check the service in the end"},
    {NULL, NULL, NULL},
};

const struct command up_command = {
    .name = "up",
    .words = "[FILE]",
    .says = "Deploy a CloudFormation stack: the candidates service, or FILE",
    .details =
        "In three phases: everything with 0 instances; the service baked into an image; that\n"
        "image with the group's instances. Then the service is validated. A template that\n"
        "has no parameters ImageId, MinSize and DesiredCapacity is deployed in one, and so\n"
        "is one whose ImageId is given. Run again, it changes only what differs: a new\n"
        "service becomes a new image, and instances are replaced one after the other.\n",
    .examples = "  muster up\n"
                "  muster up --parameter MaxSize=6\n"
                "  muster up my-stack.yaml --name trial\n",
    .options = options,
    .words_max = 1,
    .run = run,
};
