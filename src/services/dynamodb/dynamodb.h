/* DynamoDB: tables that other services only meet through its actions (control_dispatch()).
 *
 * Items live in the store (store/items.h) and are written by jobs in its writer, conditions
 * included; table descriptions are records "dynamodb.table". The API model is dynamodb.api. */
#ifndef SERVICES_DYNAMODB_DYNAMODB_H
#define SERVICES_DYNAMODB_DYNAMODB_H

#include "services/control.h"

extern const struct service dynamodb_service;

#endif /* SERVICES_DYNAMODB_DYNAMODB_H */
