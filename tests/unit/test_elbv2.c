/* Load balancing as stories: the service's own code with a made-up EC2, a compute driver whose
 * health checks follow a script, and, where it is installed, a real HAProxy. */
#include "api/handlers.h"
#include "api/members.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "compute/compute.h"
#include "services/cloudwatch/cloudwatch.h"
#include "services/ec2/ec2.h"
#include "services/elbv2/elbv2.h"
#include "services/elbv2/private.h"
#include "store_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define SCALE 50
#define VPC "vpc-1"

/* A made-up EC2. */

static struct ec2_vpc vpc = {.id = (char[]){VPC}, .cidr = (char[]){"127.0.0.0/8"}};
static struct ec2_subnet subnets[] = {
    {.id = (char[]){"subnet-a"}, .vpc = (char[]){VPC}, .zone = (char[]){"us-east-2a"}},
    {.id = (char[]){"subnet-b"}, .vpc = (char[]){VPC}, .zone = (char[]){"us-east-2b"}},
    {.id = (char[]){"subnet-a2"}, .vpc = (char[]){VPC}, .zone = (char[]){"us-east-2a"}},
    {.id = (char[]){"subnet-x"}, .vpc = (char[]){"vpc-2"}, .zone = (char[]){"us-east-2b"}},
};
static struct ec2_instance instances[4];
static struct ec2_interface interface = {.id = (char[]){"eni-1"}, .address = (char[]){"127.0.0.1"}};
static ec2_change_fn *changed;

const struct ec2_vpc *ec2_vpc_find(const struct control *control, const char *id)
{
    (void)control;
    return strcmp(id, VPC) == 0 ? &vpc : NULL;
}

const struct ec2_subnet *ec2_subnet_find(const struct control *control, const char *id)
{
    (void)control;
    for (size_t i = 0; i < COUNT_OF(subnets); i++) {
        if (strcmp(subnets[i].id, id) == 0) {
            return &subnets[i];
        }
    }
    return NULL;
}

const char *ec2_group_vpc(const struct control *control, const char *group)
{
    (void)control;
    return strcmp(group, "sg-1") == 0 ? VPC : strcmp(group, "sg-2") == 0 ? "vpc-2" : NULL;
}

const char *ec2_group_default(const struct control *control, const char *vpc_id)
{
    (void)control;
    (void)vpc_id;
    return "sg-default";
}

int ec2_interface_make(struct ctx *ctx, const char *subnet, const char *const *groups,
                       size_t groups_count, const char *description, const char *requester,
                       const struct ec2_interface **made, struct error *err)
{
    (void)ctx;
    (void)subnet;
    (void)groups;
    (void)groups_count;
    (void)description;
    (void)requester;
    (void)err;
    *made = &interface;
    return 0;
}

const struct ec2_interface *ec2_interface_find(const struct control *control, const char *id)
{
    (void)control;
    (void)id;
    return &interface;
}

void ec2_interface_set_groups(struct ctx *ctx, const char *id, const char *const *groups,
                              size_t groups_count)
{
    (void)ctx;
    (void)id;
    (void)groups;
    (void)groups_count;
}

void ec2_interface_drop(struct ctx *ctx, const char *id)
{
    (void)ctx;
    (void)id;
}

const struct ec2_instance *ec2_instance_find(const struct control *control, const char *id)
{
    (void)control;
    for (size_t i = 0; i < COUNT_OF(instances); i++) {
        if (instances[i].id != NULL && strcmp(instances[i].id, id) == 0) {
            return &instances[i];
        }
    }
    return NULL;
}

const struct ec2_instance *ec2_instance_at(const struct control *control, const char *vpc_id,
                                           const char *address)
{
    (void)control;
    (void)vpc_id;
    (void)address;
    return NULL;
}

const char *ec2_state_name(enum ec2_state state)
{
    static const char *const names[] = {"pending", "running",       "stopping",
                                        "stopped", "shutting-down", "terminated"};

    return names[state];
}

void ec2_on_instance_change(struct control *control, ec2_change_fn *fn, void *data)
{
    (void)control;
    (void)data;
    changed = fn;
}

/* A made-up CloudWatch: it sums what is published of one metric, by the dimensions' number. */

static const char *const published_names[] = {"RequestCount", "HTTPCode_Target_2XX_Count",
                                              "HTTPCode_ELB_5XX_Count"};
static struct {
    double sum[3]; /* [1]: of the balancer, [2]: of its group. */
} published[COUNT_OF(published_names)];
static double healthy_now, unhealthy_now;

void cloudwatch_put(struct control *control, const struct cloudwatch_datum *datum)
{
    (void)control;
    assert_string_equal(datum->namespace, "AWS/ApplicationELB");
    assert_in_range(datum->dimension_count, 1, 2);
    for (size_t i = 0; i < COUNT_OF(published_names); i++) {
        if (strcmp(published_names[i], datum->name) == 0) {
            published[i].sum[datum->dimension_count] += datum->sum;
        }
    }
    if (strcmp(datum->name, "HealthyHostCount") == 0) {
        healthy_now = datum->sum;
    } else if (strcmp(datum->name, "UnHealthyHostCount") == 0) {
        unhealthy_now = datum->sum;
    }
}

void cloudwatch_put_value(struct control *control, const char *namespace, const char *name,
                          const struct cloudwatch_dimension *dimensions, size_t dimension_count,
                          const char *unit, int64_t time_ms, double value)
{
    cloudwatch_put(control, &(struct cloudwatch_datum){.namespace = namespace,
                                                       .name = name,
                                                       .dimensions = dimensions,
                                                       .dimension_count = dimension_count,
                                                       .unit = unit,
                                                       .time_ms = time_ms,
                                                       .count = 1,
                                                       .sum = value});
}

static void make_instances(void)
{
    static char ids[COUNT_OF(instances)][24];

    for (size_t i = 0; i < COUNT_OF(instances); i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "i-%017zx", i + 1);
        instances[i] = (struct ec2_instance){.id = ids[i],
                                             .vpc = (char *)VPC,
                                             .zone = subnets[i % 2].zone,
                                             .address = interface.address,
                                             .state = EC2_RUNNING};
    }
}

/* A compute driver: health checks by script, HAProxy in the test's own network. */

struct fake {
    struct compute compute; /* First. */
    uv_loop_t *loop;
    int status[COUNT_OF(instances)]; /* What instance i answers; 0: nothing, -1: refuses. */
    bool real;                       /* Start HAProxy. */
    char directory[64], socket[96], config[96];
    pid_t pid;
    int starts;
    int listen_fd, listen_port;
    int haproxies; /* Times that it was asked for. */
    bool gone;
};

struct later {
    uv_timer_t timer;
    compute_done_fn *done;
    compute_probe_fn *probe;
    void *data;
    enum compute_probe_outcome outcome;
    int status;
};

static void free_later(uv_handle_t *handle)
{
    free(handle);
}

static void on_later(uv_timer_t *timer)
{
    struct later *later = (struct later *)timer;

    if (later->probe != NULL) {
        later->probe(later->data, later->outcome, later->status);
    } else if (later->done != NULL) {
        later->done(later->data, NULL);
    }
    uv_close((uv_handle_t *)timer, free_later);
}

static struct later *soon(struct fake *fake, uint64_t ms, void *data)
{
    struct later *later = mem_calloc(1, sizeof(*later));

    later->data = data;
    uv_timer_init(fake->loop, &later->timer);
    uv_update_time(fake->loop);
    uv_timer_start(&later->timer, on_later, ms, 0);
    return later;
}

static void fake_probe(struct compute *compute, const struct compute_probe *probe,
                       compute_probe_fn *done, void *data)
{
    struct fake *fake = (struct fake *)compute;
    struct later *later = soon(fake, 1, data);
    int status = 0;

    assert_int_equal(probe->source, 0x7f000001);
    for (size_t i = 0; i < COUNT_OF(instances); i++) {
        if (strcmp(instances[i].id, probe->instance) == 0) {
            status = fake->status[i];
        }
    }
    later->probe = done;
    later->status = status;
    later->outcome = status > 0 ? PROBE_ANSWERED : status == 0 ? PROBE_TIMEOUT : PROBE_REFUSED;
}

static void start_haproxy(struct fake *fake)
{
    pid_t old = fake->pid;
    char old_text[16];

    (void)snprintf(old_text, sizeof(old_text), "%d", old);
    fake->starts++;
    fake->pid = fork();
    if (fake->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fake->listen_fd, 100);
        dup2(open("/dev/null", O_WRONLY), 2);
        execl("/usr/sbin/haproxy", "haproxy", "-db", "-f", fake->config, old > 0 ? "-sf" : NULL,
              old_text, (char *)NULL);
        _exit(127);
    }
}

static void fake_haproxy(struct compute *compute, const struct compute_haproxy *haproxy,
                         compute_done_fn *done, void *data)
{
    struct fake *fake = (struct fake *)compute;
    bool start = fake->real && (fake->pid == 0 || haproxy->reload);
    FILE *file;

    fake->haproxies++;
    fake->gone = false;
    if (fake->real) {
        file = fopen(fake->config, "w");
        assert_non_null(file);
        assert_int_equal(fwrite(haproxy->config.data, 1, haproxy->config.bytes, file),
                         haproxy->config.bytes);
        fclose(file);
    }
    if (start) {
        start_haproxy(fake);
    }
    soon(fake, start ? 300 : 1, data)->done = done; /* When its socket answers. */
}

static void fake_haproxy_gone(struct compute *compute, const char *id, compute_done_fn *done,
                              void *data)
{
    (void)id;
    (void)done;
    (void)data;
    ((struct fake *)compute)->gone = true;
}

static const char *fake_socket(struct compute *compute, const char *id)
{
    struct fake *fake = (struct fake *)compute;

    (void)id;
    return fake->real ? fake->socket : NULL;
}

static const struct compute_driver fake_driver = {.name = "fake",
                                                  .probe = fake_probe,
                                                  .haproxy = fake_haproxy,
                                                  .haproxy_gone = fake_haproxy_gone,
                                                  .haproxy_socket = fake_socket};

/* The control plane of one service. */

struct plane_test {
    struct store_fixture *fixture;
    struct control control;
    struct fake fake;
    struct arena arena;
    struct doc *in, *out;
    struct error err;
    bool answered;
    struct buf heard;
    const char *balancer, *group, *listener; /* ARNs */
};

static void hear(struct ctx *ctx, void *data, const char *arn, const char *instance,
                 enum elbv2_target_state state)
{
    static const char *const names[] = {"absent", "initial",  "healthy",    "unhealthy",
                                        "unused", "draining", "unavailable"};
    struct plane_test *test = data;

    (void)ctx;
    (void)arn;
    buf_printf(&test->heard, "%s %s, ", instance + strlen(instance) - 1, names[state]);
}

static void begin(struct plane_test *test)
{
    const struct service *services[] = {&elbv2_service};
    struct error err = {0};

    test->control = (struct control){
        .options = {.region = "us-east-2", .account = "000000000000", .time_scale = SCALE},
        .loop = &test->fixture->loop,
        .store = test->fixture->store,
        .compute = &test->fake.compute};
    check_int("start", 0, control_start(&test->control, services, 1, &err));
    elbv2_on_target_change(test->control.elbv2, hear, test);
}

static void end(struct plane_test *test)
{
    elbv2_service.close(&test->control);
    test->fake.compute.events.haproxy = NULL; /* The next musterd has a driver of its own. */
    control_close(&test->control);
}

static int setup(void **state)
{
    struct plane_test *test = mem_calloc(1, sizeof(*test));
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);

    log_set_level(LOG_ERROR_LEVEL);
    make_instances();
    fixture_setup((void **)&test->fixture);
    test->fake.compute = (struct compute){.driver = &fake_driver};
    test->fake.loop = &test->fixture->loop;
    for (size_t i = 0; i < COUNT_OF(instances); i++) {
        test->fake.status[i] = 200;
    }
    (void)snprintf(test->fake.socket, sizeof(test->fake.socket), "%s/haproxy.sock",
                   test->fixture->directory);
    (void)snprintf(test->fake.config, sizeof(test->fake.config), "%s/haproxy.cfg",
                   test->fixture->directory);
    test->fake.listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(test->fake.listen_fd, (struct sockaddr *)&address, bytes));
    assert_int_equal(0, listen(test->fake.listen_fd, 100));
    getsockname(test->fake.listen_fd, (struct sockaddr *)&address, &bytes);
    test->fake.listen_port = ntohs(address.sin_port);
    begin(test);
    test->in = doc_new(&test->arena, DOC_STRUCT);
    *state = test;
    return 0;
}

static int teardown(void **state)
{
    struct plane_test *test = *state;

    end(test);
    if (test->fake.pid > 0) {
        kill(test->fake.pid, SIGTERM);
    }
    while (test->fake.starts-- > 0) {
        wait(NULL);
    }
    close(test->fake.listen_fd);
    buf_close(&test->heard);
    arena_close(&test->arena);
    fixture_teardown((void **)&test->fixture);
    free(test);
    return 0;
}

/* Turn the loop until @ready says so; at most 10 s of real time. */
static void until(struct plane_test *test, const char *says, bool (*ready)(struct plane_test *test))
{
    for (int i = 0; i < 2000; i++) {
        if (ready(test)) {
            return;
        }
        uv_run(&test->fixture->loop, UV_RUN_NOWAIT);
        usleep(5000);
    }
    print_error("waited in vain: %s; heard %s\n", says, buf_z(&test->heard));
    fail();
}

static void on_answer(void *data)
{
    struct plane_test *test = data;

    test->answered = true;
}

static bool answered(struct plane_test *test)
{
    return test->answered;
}

/* Call @handler with test->in, which is emptied for the next. */
static int call(struct plane_test *test, handler_fn *handler)
{
    struct ctx *ctx = control_begin(&test->control);
    int rc;

    test->out = doc_new(&test->arena, DOC_STRUCT);
    test->err = (struct error){0};
    rc = handler(ctx, test->in, test->out, &test->err);
    test->in = doc_new(&test->arena, DOC_STRUCT);
    if (rc == 0) {
        test->answered = false;
        control_commit(ctx, on_answer, test);
        until(test, "the commit", answered);
    }
    control_end(ctx);
    return rc;
}

static void make_balancer(struct plane_test *test)
{
    doc_set_z(test->in, M_Name, "web");
    doc_add_z(test->in, M_Subnets, "subnet-a");
    doc_add_z(test->in, M_Subnets, "subnet-b");
    doc_add_z(test->in, M_SecurityGroups, "sg-1");
    check_int("create load balancer", 0, call(test, elbv2_create_load_balancer));
    test->balancer = doc_z(doc_at(test->out, M_LoadBalancers, 0), M_LoadBalancerArn);
}

static void make_group(struct plane_test *test)
{
    doc_set_z(test->in, M_Name, "web");
    doc_set_z(test->in, M_Protocol, "HTTP");
    doc_set_int(test->in, M_Port, 8000);
    doc_set_z(test->in, M_VpcId, VPC);
    doc_set_z(test->in, M_HealthCheckPath, "/gtg");
    doc_set_int(test->in, M_HealthCheckIntervalSeconds, 5);
    doc_set_int(test->in, M_HealthCheckTimeoutSeconds, 2);
    doc_set_int(test->in, M_HealthyThresholdCount, 3);
    doc_set_int(test->in, M_UnhealthyThresholdCount, 2);
    check_int("create target group", 0, call(test, elbv2_create_target_group));
    test->group = doc_z(doc_at(test->out, M_TargetGroups, 0), M_TargetGroupArn);
}

static void make_listener(struct plane_test *test)
{
    struct doc *action = doc_add_struct(test->in, M_DefaultActions);

    doc_set_z(test->in, M_LoadBalancerArn, test->balancer);
    doc_set_z(test->in, M_Protocol, "HTTP");
    doc_set_int(test->in, M_Port, 80);
    doc_set_z(action, M_Type, "forward");
    doc_set_z(action, M_TargetGroupArn, test->group);
    check_int("create listener", 0, call(test, elbv2_create_listener));
    test->listener = doc_z(doc_at(test->out, M_Listeners, 0), M_ListenerArn);
}

static void set_delay(struct plane_test *test, const char *seconds)
{
    struct doc *attribute = doc_add_struct(test->in, M_Attributes);

    doc_set_z(test->in, M_TargetGroupArn, test->group);
    doc_set_z(attribute, M_Key, "deregistration_delay.timeout_seconds");
    doc_set_z(attribute, M_Value, seconds);
    check_int("modify attributes", 0, call(test, elbv2_modify_target_group_attributes));
}

static void targets(struct plane_test *test, handler_fn *handler, const int *ports, size_t count)
{
    doc_set_z(test->in, M_TargetGroupArn, test->group);
    for (size_t i = 0; i < count; i++) {
        struct doc *target = doc_add_struct(test->in, M_Targets);

        doc_set_z(target, M_Id, instances[i].id);
        if (ports != NULL) {
            doc_set_int(target, M_Port, ports[i]);
        }
    }
    check_int("targets", 0, call(test, handler));
}

static enum elbv2_target_state state_of(struct plane_test *test, size_t index)
{
    return elbv2_target_health(&test->control, test->group, instances[index].id).state;
}

static bool first_healthy(struct plane_test *test)
{
    return state_of(test, 0) == ELBV2_HEALTHY;
}

static bool both_healthy(struct plane_test *test)
{
    return first_healthy(test) && state_of(test, 1) == ELBV2_HEALTHY;
}

static bool first_unhealthy(struct plane_test *test)
{
    return state_of(test, 0) == ELBV2_UNHEALTHY;
}

static bool first_absent(struct plane_test *test)
{
    return state_of(test, 0) == ELBV2_ABSENT;
}

static const struct doc *describe_first(struct plane_test *test)
{
    struct doc *target;

    doc_set_z(test->in, M_TargetGroupArn, test->group);
    target = doc_add_struct(test->in, M_Targets);
    doc_set_z(target, M_Id, instances[0].id);
    check_int("describe", 0, call(test, elbv2_describe_target_health));
    return doc_get(doc_at(test->out, M_TargetHealthDescriptions, 0), M_TargetHealth);
}

static void a_target_goes_from_unused_to_gone(void **state)
{
    struct plane_test *test = *state;
    const struct doc *health;

    make_balancer(test);
    make_group(test);
    set_delay(test, "20");
    targets(test, elbv2_register_targets, NULL, 1);
    health = describe_first(test);
    check_text("no listener yet", "unused", doc_text(health, M_State));
    check_text("why", "Target.NotInUse", doc_text(health, M_Reason));
    make_listener(test);
    until(test, "healthy", first_healthy);
    health = describe_first(test);
    check_text("healthy", "healthy", doc_text(health, M_State));
    check_int("without a reason", false, doc_has(health, M_Reason));
    test->fake.status[0] = 503;
    until(test, "unhealthy", first_unhealthy);
    check_text("the code is told", "Health checks failed with these codes: [503]",
               doc_text(describe_first(test), M_Description));
    test->fake.status[0] = 200;
    until(test, "healthy again", first_healthy);
    targets(test, elbv2_deregister_targets, NULL, 1);
    check_text("draining", "Target.DeregistrationInProgress",
               doc_text(describe_first(test), M_Reason));
    until(test, "gone", first_absent);
    check_text("not registered", "Target.NotRegistered", doc_text(describe_first(test), M_Reason));
    check_text("what listeners heard",
               "1 unused, 1 initial, 1 initial, 1 healthy, 1 unhealthy, 1 healthy, 1 draining, "
               "1 absent, ",
               buf_slice(&test->heard));
}

static void stopped_and_terminated_instances_get_no_requests(void **state)
{
    struct plane_test *test = *state;
    struct ctx *ctx;

    make_balancer(test);
    make_group(test);
    make_listener(test);
    targets(test, elbv2_register_targets, NULL, 1);
    until(test, "healthy", first_healthy);
    instances[0].state = EC2_STOPPED;
    ctx = control_begin(&test->control);
    changed(ctx, NULL, &instances[0]);
    control_end(ctx);
    check_text("unused", "Target is in the stopped state",
               doc_text(describe_first(test), M_Description));
    instances[0].state = EC2_RUNNING;
    ctx = control_begin(&test->control);
    changed(ctx, NULL, &instances[0]);
    control_end(ctx);
    until(test, "healthy when it runs again", first_healthy);
    instances[0].state = EC2_TERMINATED;
    ctx = control_begin(&test->control);
    changed(ctx, NULL, &instances[0]);
    control_end(ctx);
    until(test, "deregistered by itself", first_absent);
}

static void a_restart_keeps_what_was_known(void **state)
{
    struct plane_test *test = *state;

    make_balancer(test);
    make_group(test);
    make_listener(test);
    targets(test, elbv2_register_targets, NULL, 2);
    until(test, "healthy", both_healthy);
    test->fake.status[0] = 0;
    until(test, "unhealthy", first_unhealthy);
    (void)describe_first(test); /* An answer comes after the commit of what it saw. */
    end(test);
    buf_clear(&test->heard);
    begin(test);
    check_int("the sick one is sick at once", ELBV2_UNHEALTHY, state_of(test, 0));
    check_int("the healthy one healthy", ELBV2_HEALTHY, state_of(test, 1));
    check_text("why", "Target.Timeout", doc_text(describe_first(test), M_Reason));
    doc_add_z(test->in, M_LoadBalancerArns, test->balancer);
    check_int("describe", 0, call(test, elbv2_describe_load_balancers));
    check_text("active at once", "active",
               doc_text(doc_get(doc_at(test->out, M_LoadBalancers, 0), M_State), M_Code));
}

static void bad_requests_are_refused(void **state)
{
    static const struct {
        const char *says;
        handler_fn *handler;
        struct {
            int member;
            const char *text; /* A list's only element, where it is a list. */
            int64_t number;
        } members[6];
        const char *code, *message;
    } cases[] = {
        {"one subnet",
         elbv2_create_load_balancer,
         {{M_Name, "x", 0}, {M_Subnets, "subnet-a", 0}},
         "ValidationError",
         "At least two subnets in two different Availability Zones must be specified"},
        {"no such subnet",
         elbv2_create_load_balancer,
         {{M_Name, "x", 0}, {M_Subnets, "nope", 0}},
         "SubnetNotFound",
         "The subnet ID 'nope' does not exist"},
        {"a name's end",
         elbv2_create_load_balancer,
         {{M_Name, "x-", 0}},
         "ValidationError",
         "The load balancer name 'x-' cannot begin or end with '-'"},
        {"a name's characters",
         elbv2_create_load_balancer,
         {{M_Name, "x_y", 0}},
         "ValidationError",
         "The load balancer name 'x_y' can only contain characters that are alphanumeric "
         "characters or hyphens(-)"},
        {"a name that exists",
         elbv2_create_load_balancer,
         {{M_Name, "web", 0}, {M_Subnets, "subnet-a", 0}, {M_Subnets, "subnet-b", 0}},
         "DuplicateLoadBalancerName",
         "A load balancer with the same name 'web' exists, but with different settings"},
        {"two subnets of a zone",
         elbv2_create_load_balancer,
         {{M_Name, "x", 0}, {M_Subnets, "subnet-a", 0}, {M_Subnets, "subnet-a2", 0}},
         "InvalidConfigurationRequest",
         "A load balancer cannot be attached to multiple subnets in the same Availability Zone"},
        {"no such security group",
         elbv2_create_load_balancer,
         {{M_Name, "x", 0},
          {M_Subnets, "subnet-a", 0},
          {M_Subnets, "subnet-b", 0},
          {M_SecurityGroups, "sg-9", 0}},
         "InvalidSecurityGroup",
         "The security group 'sg-9' does not exist"},
        {"names of nobody",
         elbv2_describe_load_balancers,
         {{M_Names, "x", 0}},
         "LoadBalancerNotFound",
         "Load balancers '[x]' not found"},
        {"a timeout as long as the interval",
         elbv2_create_target_group,
         {{M_Name, "y", 0},
          {M_Protocol, "HTTP", 0},
          {M_Port, NULL, 80},
          {M_VpcId, VPC, 0},
          {M_HealthCheckTimeoutSeconds, NULL, 30}},
         "ValidationError",
         "Health check timeout '30' must be smaller than the interval '30'"},
        {"no VPC",
         elbv2_create_target_group,
         {{M_Name, "y", 0}, {M_Protocol, "HTTP", 0}, {M_Port, NULL, 80}},
         "ValidationError",
         "A VPC ID must be specified"},
        {"a group's name that exists",
         elbv2_create_target_group,
         {{M_Name, "web", 0}, {M_Protocol, "HTTP", 0}, {M_Port, NULL, 80}, {M_VpcId, VPC, 0}},
         "DuplicateTargetGroupName",
         "A target group with the same name 'web' exists, but with different settings"},
        {"groups of nobody",
         elbv2_describe_target_groups,
         {{M_Names, "x", 0}},
         "TargetGroupNotFound",
         "One or more target groups not found"},
        {"no listener",
         elbv2_delete_listener,
         {{M_ListenerArn, "arn:aws:elasticloadbalancing:x:listener/app/1", 0}},
         "ListenerNotFound",
         "One or more listeners not found"},
    };
    struct plane_test *test = *state;

    make_balancer(test);
    make_group(test);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t j = 0; j < COUNT_OF(cases[i].members) && cases[i].members[j].member != 0; j++) {
            int member = cases[i].members[j].member;

            if (cases[i].members[j].text == NULL) {
                doc_set_int(test->in, member, cases[i].members[j].number);
            } else if (member == M_Subnets || member == M_SecurityGroups || member == M_Names) {
                doc_add_z(test->in, member, cases[i].members[j].text);
            } else {
                doc_set_z(test->in, member, cases[i].members[j].text);
            }
        }
        check_int(cases[i].says, ERR_API, call(test, cases[i].handler));
        check_text(cases[i].says, cases[i].code, slice_z(test->err.aws_code));
        check_text(cases[i].says, cases[i].message, slice_z(test->err.message));
    }
    check_int("nothing is left of them", 1, test->control.elbv2->balancers.count);
}

static void a_group_in_use_stays(void **state)
{
    struct plane_test *test = *state;

    make_balancer(test);
    make_group(test);
    make_listener(test);
    doc_set_z(test->in, M_TargetGroupArn, test->group);
    check_int("refused", ERR_API, call(test, elbv2_delete_target_group));
    check_text("code", "ResourceInUse", slice_z(test->err.aws_code));
    doc_set_z(test->in, M_LoadBalancerArn, test->balancer);
    check_int("the balancer goes", 0, call(test, elbv2_delete_load_balancer));
    check_int("its process too", true, test->fake.gone);
    check_int("and its listeners", 0, test->control.elbv2->listeners.count);
    doc_set_z(test->in, M_TargetGroupArn, test->group);
    check_int("now the group may go", 0, call(test, elbv2_delete_target_group));
    end(test);
    begin(test);
    check_int("for good", 0, test->control.elbv2->groups.count);
}

/* With a real HAProxy. */

static pid_t serve(const char *name, int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pid_t child;

    assert_int_equal(0, bind(fd, (struct sockaddr *)&address, bytes));
    assert_int_equal(0, listen(fd, 100));
    getsockname(fd, (struct sockaddr *)&address, &bytes);
    *port = ntohs(address.sin_port);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    while (child == 0) {
        int client = accept(fd, NULL, NULL);
        char request[4096];

        if (read(client, request, sizeof(request)) > 0) {
            dprintf(client, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n%s",
                    name);
        }
        close(client);
    }
    close(fd);
    return child;
}

static int served; /* Requests since count_anew(). */

static void count_anew(void)
{
    served = 0;
    memset(published, 0, sizeof(published));
}

static bool all_counted(struct plane_test *test)
{
    (void)test;
    return published[0].sum[1] == served && published[0].sum[2] == served &&
           published[1].sum[1] == served && published[1].sum[2] == served;
}

/* Those of the moment in which HAProxy was adopted may be missing. */
static bool some_counted(struct plane_test *test)
{
    (void)test;
    return published[0].sum[1] > 0 && published[0].sum[1] <= served;
}

/* One request through HAProxy: the body's first byte, or the status' first digit when it is no 200,
 * '-' without an answer. The loop is turned meanwhile. */
static char request(struct plane_test *test)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)test->fake.listen_port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const char *text = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    char answer[2048] = "";
    size_t bytes = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char *body;

    assert_int_equal(0, connect(fd, (struct sockaddr *)&address, sizeof(address)));
    assert_int_equal((ssize_t)strlen(text), write(fd, text, strlen(text)));
    for (ssize_t got; bytes < sizeof(answer) - 1 &&
                      (got = read(fd, answer + bytes, sizeof(answer) - 1 - bytes)) > 0;) {
        bytes += (size_t)got;
    }
    close(fd);
    uv_run(&test->fixture->loop, UV_RUN_NOWAIT);
    body = strstr(answer, "\r\n\r\n");
    if (body == NULL) {
        return '-';
    }
    if (strncmp(answer + 9, "200", 3) != 0) {
        return answer[9];
    }
    served++;
    return body[4];
}

static char seen[32];

static bool only_b(struct plane_test *test)
{
    for (int i = 0; i < 6; i++) {
        seen[i] = request(test);
    }
    return strncmp(seen, "bbbbbb", 6) == 0;
}

static bool a_and_b(struct plane_test *test)
{
    for (int i = 0; i < 6; i++) {
        seen[i] = request(test);
    }
    return strncmp(seen, "ababab", 6) == 0 || strncmp(seen, "bababa", 6) == 0;
}

static bool only_a(struct plane_test *test)
{
    for (int i = 0; i < 6; i++) {
        seen[i] = request(test);
    }
    return strncmp(seen, "aaaaaa", 6) == 0;
}

static bool unavailable(struct plane_test *test)
{
    return request(test) == '5';
}

static bool only_own_errors(struct plane_test *test)
{
    return request(test) == '5' && published[2].sum[1] > 0;
}

static bool one_healthy(struct plane_test *test)
{
    (void)test;
    return healthy_now == 1 && unhealthy_now == 1;
}

static void haproxy_does_what_the_targets_say(void **state)
{
    struct plane_test *test = *state;
    int ports[2], starts;
    pid_t a, b;

    if (access("/usr/sbin/haproxy", X_OK) != 0) {
        skip();
    }
    a = serve("a", &ports[0]);
    b = serve("b", &ports[1]);
    test->fake.real = true;
    make_balancer(test);
    make_group(test);
    set_delay(test, "20");
    make_listener(test);
    count_anew();
    targets(test, elbv2_register_targets, ports, 2);
    until(test, "healthy", both_healthy);
    until(test, "requests take turns", a_and_b);
    starts = test->fake.starts;
    test->fake.status[0] = 500;
    until(test, "an unhealthy target gets none", only_b);
    until(test, "one is healthy, says CloudWatch", one_healthy);
    test->fake.status[1] = 500;
    until(test, "when all are unhealthy, all get some", a_and_b);
    test->fake.status[0] = test->fake.status[1] = 200;
    until(test, "healthy", both_healthy);
    targets(test, elbv2_deregister_targets, NULL, 1);
    until(test, "a draining one gets none", only_b);
    until(test, "gone", first_absent);
    check_int("all that without a successor", starts, test->fake.starts);
    until(test, "CloudWatch has every request", all_counted);

    count_anew();
    end(test); /* musterd is restarted; HAProxy goes on. */
    begin(test);
    targets(test, elbv2_register_targets, ports, 1);
    until(test, "the one that came after the restart", a_and_b);
    check_int("it was adopted", starts, test->fake.starts);
    until(test, "no request is counted again", some_counted);

    set_delay(test, "40"); /* Changes hard-stop-after: another shape. */
    until(test, "a successor serves as well", a_and_b);
    check_int("by a reload", starts + 1, test->fake.starts);
    test->fake.status[1] = -1;
    until(test, "and takes commands", only_a);
    targets(test, elbv2_deregister_targets, NULL, 2);
    until(test, "nobody is left", unavailable);
    count_anew();
    until(test, "the balancer's own errors are no target's", only_own_errors);
    check_int("nobody asked for more processes", starts + 1, test->fake.starts);
    kill(a, SIGKILL);
    kill(b, SIGKILL);
    waitpid(a, NULL, 0);
    waitpid(b, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_target_goes_from_unused_to_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_and_terminated_instances_get_no_requests, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_restart_keeps_what_was_known, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_requests_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_group_in_use_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(haproxy_does_what_the_targets_say, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
