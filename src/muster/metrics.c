#include "muster/metrics.h"

#include <math.h>

#define BACK_S 600 /* With --metric-resolution aws a value comes each 60 or 300 s. */
#define PERIOD_S 5

double metrics_cpu(struct cli *cli, const char *dimension, const char *value)
{
    int64_t now_s = cli_muster_now_ms(cli) / 1000;
    json_t *answer = NULL, *row;
    double newest = -1, percent = (double)NAN;
    size_t i;
    json_t *in =
        json_pack("{s:s, s:s, s:[{s:s, s:s}], s:I, s:I, s:i, s:[s]}", "Namespace", "AWS/EC2",
                  "MetricName", "CPUUtilization", "Dimensions", "Name", dimension, "Value", value,
                  "StartTime", (json_int_t)(now_s - BACK_S), "EndTime",
                  (json_int_t)(now_s + PERIOD_S), "Period", PERIOD_S, "Statistics", "Average");

    cli_call_json(cli, AWS_CLOUD_WATCH, "GetMetricStatistics", in, &answer, NULL);
    json_array_foreach(tree_list(answer, "Datapoints"), i, row)
    {
        double at = tree_double(row, "Timestamp", 0);

        if (at > newest) {
            newest = at;
            percent = tree_double(row, "Average", (double)NAN);
        }
    }
    json_decref(answer);
    return percent;
}
