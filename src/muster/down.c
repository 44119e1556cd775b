/* muster down: the stack, the images baked for it, and what a killed bake left behind. */
#include "muster/bake.h"
#include "muster/cli.h"
#include "muster/commands.h"
#include "muster/deploy.h"
#include "muster/stack.h"

static int run(struct cli *cli, struct error *err)
{
    const char *name = deploy_stack_name(cli);
    size_t images = 0;
    int rc;

    terminal_head(&cli->terminal, "Deleting stack %s", name);
    /* Builders first: they live in the stack's subnet. */
    rc = bake_tidy(cli, name, err);
    if (rc == 0) {
        rc = stack_delete(cli, name, err);
    }
    if (rc == 0) {
        terminal_good(&cli->terminal, "stack %s is gone", name);
    } else if (rc == ERR_NOT_FOUND) {
        terminal_note(&cli->terminal, "there is no stack %s", name);
        rc = 0;
    }
    if (rc == 0 && cli_option(cli, "keep-images") == NULL) {
        rc = bake_forget(cli, name, NULL, &images, err);
        if (images > 0) {
            terminal_good(&cli->terminal, "%zu baked image%s deregistered", images,
                          images == 1 ? "" : "s");
        }
    }
    return rc == 0 ? cli_result(cli, json_pack("{s:s, s:i}", "StackName", name,
                                               "DeregisteredImages", (int)images))
                   : rc;
}

static const struct option_row options[] = {
    {"name", "NAME", "the stack's name (candidates)"},
    {"keep-images", NULL, "do not deregister the images baked for it"},
    {NULL, NULL, NULL},
};

const struct command down_command = {
    .name = "down",
    .words = "",
    .says = "Delete the stack, and the images that were baked for it",
    .details = "Everything that the stack made is gone afterwards, the table's items included.\n"
               "Run again, it finds nothing to do.\n",
    .examples = "  muster down\n"
                "  muster down --name trial --keep-images\n",
    .options = options,
    .run = run,
};
