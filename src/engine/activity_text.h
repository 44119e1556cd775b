/* An activity in AWS's words: DescribeScalingActivities' Description, Cause, StatusCode, Details.
 *
 * Pure writers; everything comes from the fields. AWS: User Guide, "Verify a scaling activity";
 * sentences as observed in its output. */
#ifndef ENGINE_ACTIVITY_TEXT_H
#define ENGINE_ACTIVITY_TEXT_H

#include "base/buf.h"
#include "engine/activity.h"

#define CAUSE_BYTES_MAX 1023

/* "Launching a new EC2 instance: i-..." */
void activity_description(const struct activity *activity, struct buf *text);
/* Sentences "At TIME clause." with two blanks between; cut at the last that fits. */
void activity_cause(const struct cause *cause, struct buf *text);
/* {"Subnet ID":"subnet-...","Availability Zone":"us-east-2a"}: a JSON text. */
void activity_details(const struct activity *activity, struct buf *text);
/* "PreInService", "Successful", ... */
const char *activity_status_name(enum activity_status status);

#endif /* ENGINE_ACTIVITY_TEXT_H */
