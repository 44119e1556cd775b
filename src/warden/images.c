/* Images: STATE/images/ID/layer, what an instance had written when the image was made of it, above
 * the layers of the image that one was launched from. STATE/images/ID/layers names them all, a path
 * a line, its own first; without it the image is none (any more). A layer stays for as long as
 * images or instances name it: as on AWS, an image may go before what was made of it. */
#include "warden/private.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK "layers" /* Who names which layer does not change meanwhile. */

static size_t read_layers(const char *path, char layers[IMAGE_LAYERS_MAX][PATH_BYTES])
{
    size_t count = 0;
    FILE *file = fopen(path, "re");

    while (file != NULL && count < IMAGE_LAYERS_MAX &&
           fgets(layers[count], PATH_BYTES, file) != NULL) {
        layers[count][strcspn(layers[count], "\n")] = '\0';
        count += layers[count][0] != '\0';
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static int write_layers(const char *path, const char *own,
                        char layers[IMAGE_LAYERS_MAX][PATH_BYTES], size_t count, struct error *err)
{
    struct buf text = {0};
    int rc;

    if (own != NULL) {
        buf_printf(&text, "%s\n", own);
    }
    for (size_t i = 0; i < count; i++) {
        buf_printf(&text, "%s\n", layers[i]);
    }
    rc = keep_file(path, buf_slice(&text), err);
    buf_close(&text);
    return rc;
}

size_t image_layers_of(const struct site *site, const char *instance,
                       char layers[IMAGE_LAYERS_MAX][PATH_BYTES])
{
    char path[PATH_BYTES];

    site_path(site, path, "instances/%s/layers", instance);
    return read_layers(path, layers);
}

int image_use(const struct site *site, const char *image, const char *instance, struct error *err)
{
    static char layers[IMAGE_LAYERS_MAX][PATH_BYTES];
    char path[PATH_BYTES];
    size_t count;
    int lock, rc;

    if (image_layers_of(site, instance, layers) > 0) {
        return 0;
    }
    rc = site_lock(site, LOCK, &lock, err);
    if (rc != 0) {
        return rc;
    }
    site_path(site, path, "images/%s/layers", image);
    count = read_layers(path, layers);
    site_path(site, path, "instances/%s/layers", instance);
    rc = count == 0 ? error_set(err, ERR_NOT_FOUND, "there is no image %s", image)
                    : write_layers(path, NULL, layers, count, err);
    close(lock);
    return rc;
}

bool image_exists(const struct site *site, const char *image)
{
    char path[PATH_BYTES];

    site_path(site, path, "images/%s/layers", image);
    return access(path, F_OK) == 0;
}

int image_begin(const struct site *site, const char *image, const char *instance,
                char layer[PATH_BYTES], bool *whole, struct error *err)
{
    static char layers[IMAGE_LAYERS_MAX][PATH_BYTES];
    char path[PATH_BYTES], own[PATH_BYTES];
    size_t count = image_layers_of(site, instance, layers);
    int rc;

    if (count == 0) {
        return error_set(err, ERR_NOT_FOUND, "there is no instance %s", instance);
    }
    *whole = count == IMAGE_LAYERS_MAX;
    site_path(site, path, "images/%s.new", image);
    remove_tree(path); /* What was killed in mid-copy. */
    rc = make_directory(path, 0711, err);
    site_path(site, own, "images/%s/layer", image);
    site_path(site, path, "images/%s.new/layers", image);
    rc = rc != 0 ? rc : write_layers(path, own, layers, *whole ? 0 : count, err);
    site_path(site, layer, "images/%s.new/layer", image);
    return rc;
}

int image_end(const struct site *site, const char *image, int rc, struct error *err)
{
    char made[PATH_BYTES], path[PATH_BYTES];

    site_path(site, made, "images/%s.new", image);
    site_path(site, path, "images/%s", image);
    if (rc == 0 && rename(made, path) != 0) {
        rc = error_errno(err, "%s", path);
    }
    if (rc != 0) {
        remove_tree(made);
    }
    return rc;
}

/* Layers that nobody names. */

struct naming {
    const struct site *site;
    const char *of; /* "images", "instances" */
    const char *layer;
    bool named;
};

static void names_layer(void *data, const char *name)
{
    static char layers[IMAGE_LAYERS_MAX][PATH_BYTES];
    struct naming *naming = data;
    char path[PATH_BYTES];
    size_t count;

    site_path(naming->site, path, "%s/%s/layers", naming->of, name);
    count = read_layers(path, layers);
    for (size_t i = 0; i < count; i++) {
        naming->named |= strcmp(layers[i], naming->layer) == 0;
    }
}

static bool is_named(const struct site *site, const char *layer)
{
    struct naming naming = {.site = site, .of = "images", .layer = layer};
    char path[PATH_BYTES];

    site_path(site, path, "images");
    each_name(path, "ami-", names_layer, &naming);
    naming.of = "instances";
    site_path(site, path, "instances");
    each_name(path, "i-", names_layer, &naming);
    return naming.named;
}

static void set_aside(void *data, const char *name)
{
    const struct site *site = data;
    char layer[PATH_BYTES], path[PATH_BYTES], aside[PATH_BYTES];

    if (!id_has(name, WARDEN_ID_BYTES, "ami-") || image_exists(site, name)) {
        return;
    }
    site_path(site, layer, "images/%s/layer", name);
    if (!is_named(site, layer)) {
        site_path(site, path, "images/%s", name);
        site_path(site, aside, "images/%s.gone", name);
        if (rename(path, aside) != 0) {
            log_warn("image.left path=%s reason=\"%s\"", path, strerror(errno));
        }
    }
}

static void remove_aside(void *data, const char *name)
{
    const char *ending = strrchr(name, '.');
    char path[PATH_BYTES];

    if (ending != NULL && strcmp(ending, ".gone") == 0) {
        site_path(data, path, "images/%s", name);
        remove_tree(path);
    }
}

void images_sweep(const struct site *site)
{
    char path[PATH_BYTES];
    int lock;

    site_path(site, path, "images");
    if (site_lock(site, LOCK, &lock, NULL) == 0) {
        each_name(path, "ami-", set_aside, (void *)(uintptr_t)site);
        close(lock);
    }
    each_name(path, "ami-", remove_aside, (void *)(uintptr_t)site); /* Which may take a while. */
}

static void remove_unfinished(void *data, const char *name)
{
    const char *ending = strrchr(name, '.');
    char path[PATH_BYTES];

    if (ending != NULL && strcmp(ending, ".new") == 0) {
        site_path(data, path, "images/%s", name);
        remove_tree(path);
    }
}

void images_adopt(const struct site *site)
{
    char path[PATH_BYTES];

    site_path(site, path, "images");
    each_name(path, "ami-", remove_unfinished, (void *)(uintptr_t)site);
    images_sweep(site);
}

int image_gone(const struct site *site, const char *image, struct error *err)
{
    char path[PATH_BYTES];

    if (strcmp(image, BASE_IMAGE) == 0) {
        return error_set(err, ERR_INVALID, "the base image stays");
    }
    site_path(site, path, "images/%s/layers", image);
    if (unlink(path) != 0 && errno != ENOENT) {
        return error_errno(err, "%s", path);
    }
    images_sweep(site);
    return 0;
}

int images_prepare_base(const struct site *site, struct error *err)
{
    const char *script = getenv("MUSTER_MAKE_BASE");
    const char *const argv[] = {script != NULL ? script : MUSTER_DATA_DIR "/image/make-base.sh",
                                NULL};
    char path[PATH_BYTES];
    struct buf output = {0}, list = {0};
    struct slice text, line;
    int rc = run_program(argv, SLICE_EMPTY, &output, err);

    if (rc != 0) {
        buf_close(&output);
        return error_wrap(err, "making the base image");
    }
    text = slice_trim(buf_slice(&output));
    while (slice_next(&text, '\n', &line)) {
        buf_clear(&list);
        buf_printf(&list, "%.*s\n", SLICE_ARG(line)); /* The last line is the path. */
    }
    if (snprintf(path, sizeof(path), "%.*s/..", SLICE_ARG(slice_trim(buf_slice(&list)))) <
            (int)sizeof(path) &&
        chmod(path, 0700) != 0) { /* Its setuid programs are never updated. */
        log_warn("image.open path=%s", path);
    }
    site_path(site, path, "images/" BASE_IMAGE);
    rc = make_directory(path, 0711, err);
    site_path(site, path, "images/" BASE_IMAGE "/layers");
    if (rc == 0) {
        rc = write_file(path, buf_slice(&list), 0644, err);
    }
    buf_close(&output);
    buf_close(&list);
    return rc;
}
