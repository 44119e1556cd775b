#include "wire/model.h"

const struct model_service *model_service_find(const struct model *model, struct slice name)
{
    for (size_t i = 0; i < model->service_count; i++) {
        if (slice_equal_z(name, model->services[i]->name)) {
            return model->services[i];
        }
    }
    return NULL;
}

const struct model_op *model_op_find(const struct model_service *service, struct slice name)
{
    for (size_t i = 0; i < service->op_count; i++) {
        if (slice_equal_z(name, service->ops[i].name)) {
            return &service->ops[i];
        }
    }
    return NULL;
}

const struct model_member *model_member_find(const struct model_shape *shape, int id)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        if (shape->members[i].id == id) {
            return &shape->members[i];
        }
    }
    return NULL;
}

const struct model_member *model_member_named(const struct model_shape *shape, struct slice name)
{
    for (size_t i = 0; i < shape->member_count; i++) {
        if (slice_equal_z(name, shape->members[i].name)) {
            return &shape->members[i];
        }
    }
    return NULL;
}
