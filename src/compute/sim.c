/* The sim driver: instances as a model, for tests, simulations and machines without root.
 *
 * An instance boots after boot_ms and stops after stop_ms. Its CPU time grows by its load; `stress`
 * given to exec (as SSM does it) is a load of 100 % for its --timeout, in real seconds. There is no
 * data plane: nothing answers on a load balancer's address, and probes answer what the model says.
 */
#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/text.h"
#include "compute/compute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_PERCENT 2.0
#define NS_PER_MS 1000000

struct sim;

struct sim_instance {
    struct sim *sim;
    struct compute_instance spec;
    enum compute_state state; /* Where it is, or is going to. */
    bool booted;
    uv_timer_t timer;
    double percent;          /* Set by hand. */
    int64_t stress_until_ms; /* Real time (boot clock). */
    int64_t counted_ms;      /* Until when cpu_ns was counted. */
    double cpu_ns;
    int health; /* The status that probes get. */
    compute_done_fn *done;
    void *data;
};

struct sim {
    struct compute compute; /* First. */
    struct compute_sim_options options;
    struct map instances;
    double default_percent;
    int default_health;
    struct later *laters;
};

/* Something that is reported at the loop's next turn. */
struct later {
    uv_timer_t timer; /* First. */
    struct later *next, **link;
    compute_done_fn *done;
    compute_exec_fn *exec_done;
    compute_probe_fn *probe_done;
    compute_inventory_fn *inventory_done;
    void *data;
    struct error error;
    struct compute_result result;
    enum compute_probe_outcome outcome;
    int status;
    struct compute_found *found;
    size_t found_count;
};

static struct sim *sim_of(struct compute *compute)
{
    return (struct sim *)compute;
}

static void forget_later(struct later *later)
{
    *later->link = later->next;
    if (later->next != NULL) {
        later->next->link = later->link;
    }
}

static void on_later_closed(uv_handle_t *handle)
{
    struct later *later = (struct later *)handle;

    free(later->found);
    free(later);
}

static void on_later(uv_timer_t *timer)
{
    struct later *later = (struct later *)timer;
    const struct error *err = later->error.code == ERR_NONE ? NULL : &later->error;

    forget_later(later);
    if (later->done != NULL) {
        later->done(later->data, err);
    } else if (later->exec_done != NULL) {
        later->exec_done(later->data, err == NULL ? &later->result : NULL, err);
    } else if (later->probe_done != NULL) {
        later->probe_done(later->data, later->outcome, later->status);
    } else if (later->inventory_done != NULL) {
        later->inventory_done(later->data, later->found, later->found_count, err);
    }
    uv_close((uv_handle_t *)timer, on_later_closed);
}

static struct later *after(struct sim *sim, uint64_t ms)
{
    struct later *later = mem_calloc(1, sizeof(*later));

    uv_timer_init(sim->options.loop, &later->timer);
    uv_update_time(sim->options.loop);
    uv_timer_start(&later->timer, on_later, ms, 0);
    later->next = sim->laters;
    later->link = &sim->laters;
    if (sim->laters != NULL) {
        sim->laters->link = &later->next;
    }
    sim->laters = later;
    return later;
}

static void done_soon(struct sim *sim, compute_done_fn *done, void *data)
{
    if (done != NULL) {
        struct later *later = after(sim, 0);

        later->done = done;
        later->data = data;
    }
}

/* Load. */

/* Bring cpu_ns up to now; a stress that ended in between counts for its part. */
static void count_cpu(struct sim_instance *instance)
{
    int64_t now_ms = time_boot_ms();
    double quota = instance->spec.cpu_millicores == 0 ? 1 : instance->spec.cpu_millicores / 1000.0;
    int64_t from_ms = instance->counted_ms;

    if (instance->booted && instance->state == COMPUTE_RUNNING) {
        int64_t busy_ms = max_i64(min_i64(now_ms, instance->stress_until_ms) - from_ms, 0);
        int64_t rest_ms = now_ms - from_ms - busy_ms;

        instance->cpu_ns += (double)busy_ms * NS_PER_MS * quota +
                            (double)rest_ms * NS_PER_MS * quota * instance->percent / 100;
    }
    instance->counted_ms = now_ms;
}

/* Instances. */

static void on_instance_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void report(struct sim_instance *instance)
{
    compute_done_fn *done = instance->done;

    instance->done = NULL;
    if (done != NULL) {
        done(instance->data, NULL);
    }
}

/* Booted, or down. */
static void on_arrival(uv_timer_t *timer)
{
    struct sim_instance *instance = timer->data;
    struct sim *sim = instance->sim;
    enum compute_state state = instance->state;
    char id[COMPUTE_ID_BYTES];

    memcpy(id, instance->spec.id, sizeof(id));
    count_cpu(instance);
    instance->booted = state == COMPUTE_RUNNING;
    report(instance);
    if (state == COMPUTE_GONE) {
        map_remove(&sim->instances, slice_z(id));
        uv_close((uv_handle_t *)&instance->timer, on_instance_closed);
    }
    if (sim->compute.events.instance != NULL) {
        sim->compute.events.instance(sim->compute.events.data, id, state, "");
    }
}

static void sim_instance(struct compute *compute, const struct compute_instance *spec,
                         enum compute_state state, compute_done_fn *done, void *data)
{
    struct sim *sim = sim_of(compute);
    struct sim_instance *instance = map_get_z(&sim->instances, spec->id);
    int64_t delay_ms = state == COMPUTE_RUNNING ? sim->options.boot_ms : sim->options.stop_ms;

    if (instance == NULL && state == COMPUTE_GONE) {
        done_soon(sim, done, data);
        return;
    }
    if (instance == NULL) {
        instance = mem_calloc(1, sizeof(*instance));
        instance->sim = sim;
        instance->percent = sim->default_percent;
        instance->health = sim->default_health;
        instance->counted_ms = time_boot_ms();
        uv_timer_init(sim->options.loop, &instance->timer);
        instance->timer.data = instance;
        map_put(&sim->instances, slice_z(spec->id), instance);
    }
    count_cpu(instance);
    report(instance); /* A newer wish ends an older one. */
    if (instance->state == state && (state != COMPUTE_RUNNING || instance->booted)) {
        done_soon(sim, done, data);
        return;
    }
    instance->spec = *spec;
    instance->state = state;
    instance->booted = false;
    instance->done = done;
    instance->data = data;
    uv_update_time(sim->options.loop);
    uv_timer_start(&instance->timer, on_arrival,
                   (uint64_t)(delay_ms / max_i64(sim->options.time_scale, 1)), 0);
}

static void sim_reboot(struct compute *compute, const char *id, compute_done_fn *done, void *data)
{
    (void)id;
    done_soon(sim_of(compute), done, data);
}

static void sim_vpc(struct compute *compute, const struct compute_vpc *vpc, compute_done_fn *done,
                    void *data)
{
    (void)vpc;
    done_soon(sim_of(compute), done, data);
}

static void sim_done_id(struct compute *compute, const char *id, compute_done_fn *done, void *data)
{
    (void)id;
    done_soon(sim_of(compute), done, data);
}

static void sim_image(struct compute *compute, const char *instance, const char *id,
                      compute_done_fn *done, void *data)
{
    (void)instance;
    (void)id;
    done_soon(sim_of(compute), done, data);
}

static void sim_haproxy(struct compute *compute, const struct compute_haproxy *haproxy,
                        compute_done_fn *done, void *data)
{
    (void)haproxy;
    done_soon(sim_of(compute), done, data);
}

static const char *sim_haproxy_socket(struct compute *compute, const char *id)
{
    (void)compute;
    (void)id;
    return NULL;
}

/* What the model understands of a script. */
struct script {
    int64_t stress_ms; /* Of "stress ... --timeout 60s"; 0: it is no stress. */
    bool background;   /* It does not wait for the stress. */
    bool ends_stress;  /* pkill stress */
};

static struct script read_script(const struct compute_exec *exec)
{
    static const char *const marks[] = {"--timeout ", "-t ", "--timeout="};
    struct script script = {0};

    for (const char *const *word = exec->argv; *word != NULL; word++) {
        if (strstr(*word, "stress") == NULL) {
            continue;
        }
        script.ends_stress |= strstr(*word, "pkill") != NULL;
        script.background |= strchr(*word, '&') != NULL;
        for (size_t i = 0; i < COUNT_OF(marks); i++) {
            const char *found = strstr(*word, marks[i]);
            int64_t seconds = 0;

            if (found != NULL) {
                found += strlen(marks[i]);
                (void)text_to_i64(slice_of(found, strspn(found, "0123456789")), 0, 1000000,
                                  &seconds, NULL);
                script.stress_ms = max_i64(script.stress_ms, seconds * 1000);
            }
        }
    }
    return script;
}

static void sim_exec(struct compute *compute, const struct compute_exec *exec,
                     compute_exec_fn *done, void *data)
{
    struct sim *sim = sim_of(compute);
    struct sim_instance *instance = map_get_z(&sim->instances, exec->instance);
    struct script script = read_script(exec);
    bool runs = instance != NULL && instance->booted;
    bool times_out = script.stress_ms > exec->timeout_ms;
    int64_t runs_ms = times_out ? exec->timeout_ms : script.stress_ms;
    struct later *later = after(sim, !runs || script.background ? 1 : (uint64_t)runs_ms + 1);

    later->exec_done = done;
    later->data = data;
    if (!runs) {
        error_set(&later->error, ERR_NOT_FOUND, "%s does not run", exec->instance);
        return;
    }
    later->result.status = times_out ? -1 : 0;
    if (script.stress_ms > 0 || script.ends_stress) {
        count_cpu(instance);
        instance->stress_until_ms = time_boot_ms() + runs_ms;
    }
}

static void sim_console(struct compute *compute, const char *id, compute_exec_fn *done, void *data)
{
    struct later *later = after(sim_of(compute), 0); /* A model has none. */

    (void)id;
    later->exec_done = done;
    later->data = data;
}

static void sim_probe(struct compute *compute, const struct compute_probe *probe,
                      compute_probe_fn *done, void *data)
{
    struct sim *sim = sim_of(compute);
    const struct sim_instance *instance = map_get_z(&sim->instances, probe->instance);
    struct later *later = after(sim, 0);

    later->probe_done = done;
    later->data = data;
    later->outcome = instance == NULL || !instance->booted ? PROBE_REFUSED
                     : instance->health == 0               ? PROBE_TIMEOUT
                                                           : PROBE_ANSWERED;
    later->status = later->outcome == PROBE_ANSWERED ? instance->health : 0;
}

static void sim_inventory(struct compute *compute, compute_inventory_fn *done, void *data)
{
    struct later *later = after(sim_of(compute), 0); /* A model remembers nothing. */

    later->inventory_done = done;
    later->data = data;
}

static int sim_usage(struct compute *compute, const char *id, struct compute_usage *usage,
                     struct error *err)
{
    struct sim_instance *instance = map_get_z(&sim_of(compute)->instances, id);

    if (instance == NULL || !instance->booted) {
        return error_set(err, ERR_NOT_FOUND, "%s does not run", id);
    }
    count_cpu(instance);
    *usage = (struct compute_usage){.cpu_ns = (int64_t)instance->cpu_ns,
                                    .memory_bytes = instance->spec.memory_bytes / 10};
    return 0;
}

static void sim_close(struct compute *compute)
{
    struct sim *sim = sim_of(compute);
    struct sim_instance *instance;
    struct later *later;

    while ((later = sim->laters) != NULL) {
        forget_later(later);
        uv_close((uv_handle_t *)&later->timer, on_later_closed);
    }
    for (size_t at = 0; (instance = map_next(&sim->instances, &at)) != NULL;) {
        uv_close((uv_handle_t *)&instance->timer, on_instance_closed);
    }
    map_close(&sim->instances);
    free(sim);
}

static const struct compute_driver sim_driver = {
    .name = "sim",
    .instance = sim_instance,
    .reboot = sim_reboot,
    .vpc = sim_vpc,
    .vpc_gone = sim_done_id,
    .image = sim_image,
    .image_gone = sim_done_id,
    .exec = sim_exec,
    .console = sim_console,
    .probe = sim_probe,
    .haproxy = sim_haproxy,
    .haproxy_gone = sim_done_id,
    .inventory = sim_inventory,
    .usage = sim_usage,
    .haproxy_socket = sim_haproxy_socket,
    .close = sim_close,
};

struct compute *compute_sim_open(const struct compute_sim_options *options)
{
    struct sim *sim = mem_calloc(1, sizeof(*sim));

    sim->compute.driver = &sim_driver;
    sim->options = *options;
    sim->default_percent = IDLE_PERCENT;
    sim->default_health = 200;
    return &sim->compute;
}

void compute_sim_load(struct compute *compute, const char *id, double percent)
{
    struct sim *sim = sim_of(compute);
    struct sim_instance *instance;

    if (id == NULL) {
        sim->default_percent = percent;
    }
    for (size_t at = 0; (instance = map_next(&sim->instances, &at)) != NULL;) {
        if (id == NULL || strcmp(instance->spec.id, id) == 0) {
            count_cpu(instance);
            instance->percent = percent;
        }
    }
}

void compute_sim_health(struct compute *compute, const char *id, int status)
{
    struct sim_instance *instance = map_get_z(&sim_of(compute)->instances, id);

    if (instance != NULL) {
        instance->health = status;
    }
}
