#include "services/autoscaling/neighbours.h"

#include "services/autoscaling/autoscaling.h"

static int absent(struct error *err)
{
    return error_set(err, ERR_UNAVAILABLE, "This muster has no EC2.");
}

static int template_find(struct ctx *ctx, const char *id, const char *name, const char *version,
                         struct as_template *found, struct error *err)
{
    (void)ctx;
    (void)id;
    (void)name;
    (void)version;
    (void)found;
    return absent(err);
}

const struct neighbours autoscaling_neighbours = {
    .template_find = template_find,
};
