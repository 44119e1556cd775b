/* EC2's launches, filters, templates and metadata, without a driver: nothing is asked for before
 * the service's start. */
#include "check.h"

#include "api/members.h"
#include "base/alloc.h"
#include "network/address.h"
#include "services/ec2/key_material.h"
#include "services/ec2/private.h"
#include "services/imds/private.h"

#include <stdlib.h>

struct plane {
    struct control control;
    struct arena arena;
    struct changes changes;
    struct ctx ctx;
};

static int setup(void **state)
{
    struct plane *plane = mem_calloc(1, sizeof(*plane));

    plane->control.options = (struct control_options){
        .region = "us-east-2", .account = "000000000000", .time_scale = 1, .vcpu_share = 0.25};
    muster_clock_start(&plane->control.clock, 1000000, 1);
    plane->ctx = (struct ctx){.arena = &plane->arena,
                              .control = &plane->control,
                              .changes = &plane->changes,
                              .caller = {.kind = CALLER_ROOT, .arn = ""},
                              .now_ms = 1000000,
                              .wall_ms = 2000000};
    ec2_service.open(&plane->control, NULL);
    vpc_make_default(&plane->ctx);
    images_make_stock(&plane->ctx);
    *state = plane;
    return 0;
}

static int teardown(void **state)
{
    struct plane *plane = *state;

    ec2_service.close(&plane->control);
    tags_index_close(&plane->control.tags);
    changes_close(&plane->changes);
    arena_close(&plane->arena);
    free(plane);
    return 0;
}

static struct doc *request(struct plane *plane)
{
    return doc_new(&plane->arena, DOC_STRUCT);
}

static const char *image_id(struct plane *plane)
{
    size_t at = 0;

    return ((struct image *)thing_next(&plane->control, KIND_IMAGE, &at))->id;
}

static struct doc *launch_request(struct plane *plane, int64_t count)
{
    struct doc *in = request(plane);

    doc_set_int(in, M_MinCount, count);
    doc_set_int(in, M_MaxCount, count);
    doc_set_z(in, M_ImageId, image_id(plane));
    doc_set_z(in, M_InstanceType, "t2.micro");
    return in;
}

static void put_tag(struct doc *in, const char *type, const char *key, const char *value)
{
    struct doc *spec = doc_add_struct(in, M_TagSpecifications);
    struct doc *tag;

    doc_set_z(spec, M_ResourceType, type);
    tag = doc_add_struct(spec, M_Tags);
    doc_set_z(tag, M_Key, key);
    doc_set_z(tag, M_Value, value);
}

static struct ec2_instance *launch_one(struct plane *plane, const struct doc *in)
{
    const struct launch_options options = {0};
    const char *reservation;
    struct error err = {0};
    struct ec2_instance *instance;

    check_int(err.message, 0, launch_instances(&plane->ctx, in, &options, &reservation, &err));
    for (size_t at = 0; (instance = thing_next(&plane->control, KIND_INSTANCE, &at)) != NULL;) {
        if (strcmp(instance->reservation, reservation) == 0) {
            return instance;
        }
    }
    fail_msg("nothing was launched");
    return NULL;
}

/* Launching. */

static void test_a_launch_in_the_default_vpc(void **state)
{
    struct plane *plane = *state;
    const struct ec2_instance *instance = launch_one(plane, launch_request(plane, 1));
    const struct ec2_vpc *vpc = ec2_vpc_default(&plane->control);
    const struct ec2_subnet *subnet = ec2_subnet_find(&plane->control, instance->subnet);
    struct network network = {0};
    uint32_t address = 0;

    check_int("it is pending", EC2_PENDING, instance->state);
    check_text("in the default VPC", vpc->id, slice_z(instance->vpc));
    assert_int_equal(0, network_parse(slice_z(subnet->cidr), &network, NULL));
    assert_int_equal(0, address_parse(slice_z(instance->address), &address, NULL));
    check_int("its address is of the subnet", true, network_has(network, address));
    check_int("and not a reserved one", false, subnet_reserves(network, address));
    check_text("it got a public address", "127.64.0.1", slice_z(instance->public_address));
    check_int("it is in the default group", true,
              ec2_instance_in_group(&plane->control, instance,
                                    ec2_group_default(&plane->control, vpc->id)));
    check_int("one address fewer is free", 4091 - 1, subnet_free_count(&plane->control, subnet));
    check_int("it is found by its address", true,
              ec2_instance_at(&plane->control, vpc->id, instance->address) == instance);
}

static void test_its_life(void **state)
{
    struct plane *plane = *state;
    struct ec2_instance *instance = launch_one(plane, launch_request(plane, 1));
    const char *subnet = arena_strdup(&plane->arena, slice_z(instance->subnet));
    size_t at = 0;

    instance_is_running(&plane->ctx, instance);
    check_int("the driver says it runs", EC2_RUNNING, instance->state);
    instance_stop(&plane->ctx, instance, true);
    check_int("asked to stop", EC2_STOPPING, instance->state);
    instance_is_stopped(&plane->ctx, instance);
    check_int("stopped", EC2_STOPPED, instance->state);
    check_int("without a public address", true, instance->public_address == NULL);
    check_text("by the user", "Client.UserInitiatedShutdown", slice_z(instance->reason_code));
    instance_terminate(&plane->ctx, instance);
    check_int("asked to end", EC2_SHUTTING_DOWN, instance->state);
    instance_is_gone(&plane->ctx, instance, "");
    check_int("ended", EC2_TERMINATED, instance->state);
    check_int("its interface is gone", true,
              thing_next(&plane->control, KIND_INTERFACE, &at) == NULL);
    at = 0;
    check_int("its volume is gone", true, thing_next(&plane->control, KIND_VOLUME, &at) == NULL);
    check_int("its address is free again", 4091,
              subnet_free_count(&plane->control, ec2_subnet_find(&plane->control, subnet)));
    instance_is_running(&plane->ctx, instance);
    check_int("late news change nothing", EC2_TERMINATED, instance->state);
}

static void test_news_nobody_asked_for(void **state)
{
    struct plane *plane = *state;
    struct ec2_instance *stays = launch_one(plane, launch_request(plane, 1));
    struct doc *in = launch_request(plane, 1);
    struct ec2_instance *ends, *dies;

    doc_set_z(in, M_InstanceInitiatedShutdownBehavior, "terminate");
    ends = launch_one(plane, in);
    dies = launch_one(plane, launch_request(plane, 1));
    instance_is_running(&plane->ctx, stays);
    instance_is_running(&plane->ctx, ends);
    instance_is_running(&plane->ctx, dies);
    instance_is_stopped(&plane->ctx, stays);
    check_int("one that shut itself down is stopped", EC2_STOPPED, stays->state);
    check_text("and says so", "Client.InstanceInitiatedShutdown", slice_z(stays->reason_code));
    instance_is_stopped(&plane->ctx, ends);
    check_int("or ends, if it was launched so", EC2_SHUTTING_DOWN, ends->state);
    instance_is_gone(&plane->ctx, dies, "the container vanished");
    check_int("one that vanished has ended", EC2_TERMINATED, dies->state);
    check_text("for a reason", "Server.InternalError: the container vanished",
               slice_z(dies->reason_message));
}

static void test_client_tokens(void **state)
{
    struct plane *plane = *state;
    struct doc *in = launch_request(plane, 1);
    struct doc *other = launch_request(plane, 2);
    const struct launch_options options = {0};
    const char *first, *second;
    struct error err;

    doc_set_z(in, M_ClientToken, "t");
    doc_set_z(other, M_ClientToken, "t");
    assert_int_equal(0, launch_instances(&plane->ctx, in, &options, &first, &err));
    assert_int_equal(0, launch_instances(&plane->ctx, in, &options, &second, &err));
    check_text("the same token gives the same reservation", first, slice_z(second));
    check_int("and launches nothing", 1, plane->control.ec2->things[KIND_INSTANCE].count);
    assert_int_not_equal(0, launch_instances(&plane->ctx, other, &options, &second, &err));
    check_text("with other parameters it is refused", "IdempotentParameterMismatch",
               slice_z(err.aws_code));
}

static void test_launches_that_are_refused(void **state)
{
    struct plane *plane = *state;
    const struct {
        const char *says;
        int member;
        const char *value, *code;
    } rows[] = {
        {"no such type", M_InstanceType, "x9.huge", "InvalidParameterValue"},
        {"no such image", M_ImageId, "ami-00000000000000000", "InvalidAMIID.NotFound"},
        {"no image id", M_ImageId, "debian", "InvalidAMIID.Malformed"},
        {"no such key", M_KeyName, "none", "InvalidKeyPair.NotFound"},
        {"no such subnet", M_SubnetId, "subnet-00000000", "InvalidSubnetID.NotFound"},
        {"no base64", M_UserData, "###", "InvalidParameterValue"},
        {"a foreign address", M_PrivateIpAddress, "10.9.9.9", "InvalidParameterValue"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct doc *in = launch_request(plane, 1);
        const struct launch_options options = {0};
        const char *reservation;
        struct error err = {0};

        doc_set_z(in, rows[i].member, rows[i].value);
        check_int(rows[i].says, ERR_API,
                  launch_instances(&plane->ctx, in, &options, &reservation, &err));
        check_text(rows[i].says, rows[i].code, slice_z(err.aws_code));
    }
    check_int("nothing is left of them", 0, plane->control.ec2->things[KIND_INSTANCE].count);
    check_int("nothing at all", 0, plane->control.ec2->things[KIND_INTERFACE].count);
}

/* Templates. */

static void test_a_request_over_a_template(void **state)
{
    struct plane *plane = *state;
    struct doc *base = request(plane), *over = request(plane);
    struct doc *merged;
    const struct doc *tags;

    doc_set_z(base, M_ImageId, "ami-base");
    doc_set_z(base, M_InstanceType, "t2.micro");
    doc_set_z(doc_set_struct(base, M_Placement), M_Tenancy, "default");
    doc_list_add_z(doc_set_list(base, M_SecurityGroupIds), "sg-base");
    put_tag(base, "instance", "Name", "base");
    put_tag(base, "instance", "Team", "blue");
    doc_set_z(over, M_InstanceType, "t2.small");
    doc_set_z(doc_add_struct(over, M_NetworkInterfaces), M_SubnetId, "subnet-over");
    put_tag(over, "instance", "Name", "over");
    merged = template_merge(&plane->arena, base, over);
    check_text("what the request lacks", "ami-base", doc_text(merged, M_ImageId));
    check_text("what it has", "t2.small", doc_text(merged, M_InstanceType));
    check_int("interfaces of the request end the template's groups", 0,
              doc_count(merged, M_SecurityGroupIds));
    check_int("tags of a type are united", 1, doc_count(merged, M_TagSpecifications));
    tags = doc_at(merged, M_TagSpecifications, 0);
    check_int("by key", 2, doc_count(tags, M_Tags));
    check_text("the request's first", "over", doc_text(doc_at(tags, M_Tags, 0), M_Value));
    check_text("then the template's", "blue", doc_text(doc_at(tags, M_Tags, 1), M_Value));
}

static void test_template_data_survives_the_store(void **state)
{
    struct plane *plane = *state;
    struct doc *data = request(plane);
    struct doc *interface = doc_add_struct(data, M_NetworkInterfaces);
    struct doc *back;
    struct error err;
    char *text;

    doc_set_z(data, M_ImageId, "ami-1");
    doc_set_bool(doc_set_struct(data, M_Monitoring), M_Enabled, true);
    doc_set_bool(interface, M_AssociatePublicIpAddress, true);
    doc_list_add_z(doc_set_list(interface, M_Groups), "sg-1");
    doc_set_int(doc_set_struct(data, M_MetadataOptions), M_HttpPutResponseHopLimit, 2);
    text = template_data_save(data);
    assert_int_equal(0, template_data_load(&plane->arena, text, &back, &err));
    free(text);
    interface = (struct doc *)doc_at(back, M_NetworkInterfaces, 0);
    check_text("texts", "ami-1", doc_text(back, M_ImageId));
    check_int("booleans inside", true, doc_bool(doc_get(back, M_Monitoring), M_Enabled));
    check_int("lists of structs", true, doc_bool(interface, M_AssociatePublicIpAddress));
    check_text("lists of texts", "sg-1", slice_z(doc_z_at(interface, M_Groups, 0)));
    check_int("numbers", 2, doc_int(doc_get(back, M_MetadataOptions), M_HttpPutResponseHopLimit));
}

/* Filters. */

static void test_filters(void **state)
{
    struct plane *plane = *state;
    struct doc *tagged = launch_request(plane, 1);
    static const struct {
        const char *says, *name, *value;
        int64_t found;
    } rows[] = {
        {"by state", "instance-state-name", "pending", 2},
        {"by another", "instance-state-name", "running", 0},
        {"with a star", "instance-state-name", "pend*", 2},
        {"with a question mark", "instance-type", "t2.micr?", 2},
        {"case matters", "instance-type", "T2.micro", 0},
        {"by a tag's value", "tag:Name", "web", 1},
        {"by another value", "tag:Name", "db", 0},
        {"by a key that is there", "tag-key", "Name", 1},
        {"by code", "instance-state-code", "0", 2},
        {"no public address", "ip-address", "127.64.*", 2},
    };

    put_tag(tagged, "instance", "Name", "web");
    launch_one(plane, tagged);
    launch_one(plane, launch_request(plane, 1));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct doc *in = request(plane), *out = request(plane);
        struct doc *filter = doc_add_struct(in, M_Filters);
        struct error err;

        doc_set_z(filter, M_Name, rows[i].name);
        doc_list_add_z(doc_set_list(filter, M_Values), rows[i].value);
        check_int(rows[i].says, 0, ec2_describe_instances(&plane->ctx, in, out, &err));
        check_int(rows[i].says, rows[i].found, doc_count(out, M_Reservations));
    }
}

static void test_an_unknown_filter(void **state)
{
    struct plane *plane = *state;
    struct doc *in = request(plane), *out = request(plane);
    struct error err;

    doc_set_z(doc_add_struct(in, M_Filters), M_Name, "colour");
    check_int("is an error", ERR_API, ec2_describe_vpcs(&plane->ctx, in, out, &err));
    check_text("of this code", "InvalidParameterValue", slice_z(err.aws_code));
    check_text("and text", "The filter 'colour' is invalid", slice_z(err.message));
}

static void test_pages(void **state)
{
    struct plane *plane = *state;
    struct doc *in = request(plane), *out = request(plane);
    struct error err;

    launch_one(plane, launch_request(plane, 7));
    doc_set_int(in, M_MaxResults, 5);
    assert_int_equal(0, ec2_describe_instance_status(&plane->ctx, in, out, &err));
    doc_set_bool(in, M_IncludeAllInstances, true);
    assert_int_equal(0, ec2_describe_instance_status(&plane->ctx, in, out, &err));
    check_int("the first page", 5, doc_count(out, M_InstanceStatuses));
    doc_set_z(in, M_NextToken, doc_z(out, M_NextToken));
    out = request(plane);
    assert_int_equal(0, ec2_describe_instance_status(&plane->ctx, in, out, &err));
    check_int("the rest", 2, doc_count(out, M_InstanceStatuses));
    check_int("is the last", false, doc_has(out, M_NextToken));
    doc_set_z(in, M_NextToken, "made up");
    check_int("another token is refused", ERR_API,
              ec2_describe_instance_status(&plane->ctx, in, out, &err));
}

/* What is stored comes back. */

static void test_everything_is_loaded_again(void **state)
{
    struct plane *plane = *state;
    struct ec2_instance *instance = launch_one(plane, launch_request(plane, 1));
    const char *id = arena_strdup(&plane->arena, slice_z(instance->id));
    const char *address = arena_strdup(&plane->arena, slice_z(instance->address));
    struct control again = {.options = plane->control.options};
    struct error err;

    ec2_service.open(&again, NULL);
    for (size_t i = 0; i < plane->changes.count; i++) {
        const struct change *change = &plane->changes.list[i];
        bool last = true;

        for (size_t j = i + 1; j < plane->changes.count; j++) {
            last &= !(slice_equal(plane->changes.list[j].kind, change->kind) &&
                      slice_equal(plane->changes.list[j].id, change->id));
        }
        if (last && change->type == CHANGE_PUT && slice_starts(change->kind, SLICE_LIT("ec2."))) {
            check_int("a record loads", 0,
                      ec2_service.load(&again, change->kind, change->id, change->body, &err));
        }
    }
    check_text("the instance is there", address, slice_z(ec2_instance_find(&again, id)->address));
    for (enum kind kind = 0; kind < KINDS; kind++) {
        check_int(kinds[kind].word, plane->control.ec2->things[kind].count,
                  again.ec2->things[kind].count);
    }
    ec2_service.close(&again);
}

/* Keys. */

static void test_key_material(void **state)
{
    static const char *const types[] = {"rsa", "ed25519"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        struct key_material made = {0}, read = {0};
        struct error err;

        assert_int_equal(0, key_material_make(types[i], &made, &err));
        buf_add_z(&made.public_key, " comment");
        assert_int_equal(0, key_material_read(buf_slice(&made.public_key), &read, &err));
        check_text("the type", types[i], slice_z(read.type));
        check_int("made and imported fingerprints agree for ed25519 only", i == 1,
                  slice_equal(buf_slice(&made.fingerprint), buf_slice(&read.fingerprint)));
        key_material_close(&made);
        key_material_close(&read);
    }
}

static void test_keys_that_are_none(void **state)
{
    static const char *const rows[] = {"", "ssh-rsa", "ssh-rsa AAAA", "ssh-dss AAAAB3NzaC1kc3M=",
                                       "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA=="};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct key_material key;
        struct error err;

        check_int(rows[i], ERR_API, key_material_read(slice_z(rows[i]), &key, &err));
        check_text(rows[i], "InvalidKey.Format", slice_z(err.aws_code));
    }
}

/* Metadata. */

static void test_metadata_paths(void **state)
{
    struct plane *plane = *state;
    struct doc *in = launch_request(plane, 1);
    struct ec2_instance *instance;
    const struct imds_leaf *credentials;
    struct imds_tree tree;
    static const struct {
        const char *path;
        int status;
        const char *body; /* NULL: whatever. */
    } rows[] = {
        {"/latest/", 200, "dynamic/\nmeta-data/\nuser-data"},
        {"/latest", 200, "dynamic/\nmeta-data/\nuser-data"},
        {"/latest/user-data", 200, "#!/bin/sh\n"},
        {"/latest/meta-data/instance-type", 200, "t2.micro"},
        {"/2009-04-04/meta-data/instance-type", 200, "t2.micro"},
        {"/latest/meta-data/placement", 200, "availability-zone\nregion"},
        {"/latest/meta-data/placement/region", 200, "us-east-2"},
        {"/latest/meta-data/public-keys/", 200, "0=my key"},
        {"/latest/meta-data/public-keys/0/", 200, "openssh-key"},
        {"/latest/meta-data/public-keys/0/openssh-key", 200, "ssh-ed25519 AAAA my key"},
        {"/latest/meta-data/tags/instance", 200, "Name"},
        {"/latest/meta-data/tags/instance/Name", 200, "web"},
        {"/latest/meta-data/iam/", 404, NULL},
        {"/latest/meta-data/nothing", 404, NULL},
        {"/1999-01-01/meta-data/instance-id", 404, NULL},
        {"/latest/dynamic/instance-identity/document", 200, NULL},
        {"/", 200, NULL},
    };

    doc_set_z(in, M_UserData, "IyEvYmluL3NoCg==");
    put_tag(in, "instance", "Name", "web");
    doc_set_z(doc_set_struct(in, M_MetadataOptions), M_InstanceMetadataTags, "enabled");
    instance = launch_one(plane, in);
    text_replace(&instance->public_key, "ssh-ed25519 AAAA my key");
    imds_tree_make(&plane->ctx, instance, &tree);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf body = {0};

        check_int(rows[i].path, rows[i].status,
                  imds_tree_get(&tree, slice_z(rows[i].path), &body, &credentials));
        if (rows[i].body != NULL) {
            check_text(rows[i].path, rows[i].body, buf_slice(&body));
        }
        buf_close(&body);
    }
}

static void test_metadata_tokens(void **state)
{
    const unsigned char key[IMDS_KEY_BYTES] = "a key of thirty-two bytes......";
    const unsigned char other[IMDS_KEY_BYTES] = "another key of these many bytes";
    struct buf token = {0};

    (void)state;
    imds_token_make(key, "i-1", 5000, &token);
    check_int("as long as AWS's", 56, token.bytes);
    check_int("holds", true, imds_token_holds(key, "i-1", buf_slice(&token), 4999));
    check_int("until its end", false, imds_token_holds(key, "i-1", buf_slice(&token), 5000));
    check_int("not elsewhere", false, imds_token_holds(key, "i-2", buf_slice(&token), 0));
    check_int("nor with another key", false, imds_token_holds(other, "i-1", buf_slice(&token), 0));
    check_int("nor made up", false, imds_token_holds(key, "i-1", SLICE_LIT("AAAA"), 0));
    buf_close(&token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_launch_in_the_default_vpc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_its_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_news_nobody_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_launches_that_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_request_over_a_template, setup, teardown),
        cmocka_unit_test_setup_teardown(test_template_data_survives_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filters, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_unknown_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_everything_is_loaded_again, setup, teardown),
        cmocka_unit_test(test_key_material),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test_setup_teardown(test_metadata_paths, setup, teardown),
        cmocka_unit_test(test_metadata_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
